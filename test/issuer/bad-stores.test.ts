/** Stores that misbehave: the issuer rejects or answers 503, tells no secret, and overwrites nothing. */

import { createPrivateKey, sign } from "node:crypto";
import { inspect } from "node:util";
import { Keyv } from "keyv";
import { describe, expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { createIssuer, type Issuer, type KeyvStore } from "../../src/issuer.js";
import { takeOverClock } from "../support/clock.js";
import { signingKey } from "../support/agents.js";
import { timestamp } from "../support/assertions.js";
import { listen } from "../support/servers.js";
import { TextStore } from "../support/text-store.js";

const somebody = { accountId: "acct-1", chatgptUserId: "user-1" };
const known = { ...somebody, agentRuntimeId: "agent-1" };
const ringName = "{agent-identity-auth}:signing-keys";

const calls = ["get", "set", "delete", "compareAndSet"] as const;
type Call = (typeof calls)[number];
type Misbehave = (call: Call, args: unknown[]) => unknown;

/** Replaces calls of a store. Its entries are as they were. */
function spoil(store: TextStore, misbehave: Misbehave, spoilt: readonly Call[] = calls): void {
  for (const call of spoilt) store[call] = (...args: unknown[]) => misbehave(call, args) as never;
}

/** As ioredis: its error holds the command, and so the document. */
const error = (name: Call, args: unknown[]) =>
  Object.assign(new Error("OOM command not allowed"), { command: { name, args } });
const reject: Misbehave = (call, args) => Promise.reject(error(call, args));
const throwAtOnce: Misbehave = (call, args) => {
  throw error(call, args);
};
const hang: Misbehave = () => new Promise(() => undefined);

function answer(read: unknown, write: unknown): Misbehave {
  return (call) => Promise.resolve(call === "get" ? read : write);
}

const writes = ["set", "delete", "compareAndSet"] as const;
const reads = ["jwks", "find", "GET jwks"];
const tombstones = ["revokeAgent", "reinstateAgent"];
const failed = /store failed in \w+\(\): OOM$/;
const late = /gave no answer to \w+\(\) within 2000 ms$/;
const strange = /gave something strange for \w+\(\)$/;
const lost = /has lost its signing keys$|refused every compareAndSet$|something strange for set\(\)$/;

/** @returns the JSON of a registration by the agent of the token */
function registrationBy(token: string): string {
  const { agent_private_key: key = "" } = JSON.parse(
    Buffer.from(token.split(".")[1] ?? "", "base64url").toString(),
  ) as Record<string, string>;
  const privateKey = createPrivateKey({ key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" });
  const time = timestamp();
  const signature = sign(null, Buffer.from(`agent-1:${time}`), privateKey).toString("base64");
  return JSON.stringify({ timestamp: time, signature });
}

describe("a store that", () => {
  test.each<[string, Misbehave, readonly Call[], RegExp, goesOn: string[]]>([
    ["rejects", reject, calls, failed, []],
    ["throws", throwAtOnce, calls, failed, []],
    ["hangs", hang, calls, late, []],
    ["is read-only", reject, writes, failed, ["createIssuer", ...reads]],
    ["hangs when it is written to", hang, writes, late, ["createIssuer", ...reads]],
    ["gives an object for text", answer({}, undefined), ["get"], strange, tombstones],
    ["gives null for nothing", answer(null, undefined), ["get"], strange, tombstones],
    ["hides its errors, as a Keyv does", answer(undefined, false), calls, lost, ["find", "register", "reinstateAgent"]],
    ["is suddenly empty", answer(undefined, true), ["get"], lost, ["find", "register", ...tombstones]],
  ])("%s: 503 or a rejection, no secret in it, nothing overwritten", async (...row) => {
    const [, misbehave, spoilt, message, goesOn] = row;
    const store = new TextStore();
    const issuer = await createIssuer({ store });
    const { token } = await issuer.mint(known);
    const [{ kid } = expect.fail()] = (await issuer.jwks()).keys;
    const { url } = await listen(issuer.router());
    const registration = registrationBy(token);
    const before = new Map(store.entries);
    spoil(store, misbehave, spoilt);

    const ask = async (path: string, init?: RequestInit) => {
      const { status, headers } = await fetch(url + path, init);
      if (status === 503) throw new Error([headers.get("cache-control"), headers.get("retry-after")].join());
      expect(status).toBe(path.endsWith("jwks") ? 200 : 401); // 401: an agent that is not there
    };
    const register = { method: "POST", headers: { "Content-Type": "application/json" }, body: registration };
    const operations: Record<string, () => unknown> = {
      createIssuer: () => createIssuer({ store }),
      "mint, known": () => issuer.mint(known),
      "mint, new": () => issuer.mint(somebody),
      rotateKey: () => issuer.rotateKey(),
      withdrawKey: () => issuer.withdrawKey(kid),
      revokeAgent: () => issuer.revokeAgent("agent-2"),
      reinstateAgent: () => issuer.reinstateAgent("agent-2"),
      jwks: () => issuer.jwks(),
      find: () => issuer.directory.find?.("agent-1", "task-1"),
      "GET jwks": () => ask("/agent-identities/jwks"),
      register: () => ask("/v1/agent/agent-1/task/register", register),
    };
    const results = await Promise.allSettled(Object.values(operations).map(async (operation) => await operation()));
    const fulfilled = Object.keys(operations).filter((_, i) => results[i]?.status === "fulfilled");
    expect(fulfilled.sort()).toEqual([...goesOn].sort());
    for (const result of results) {
      if (result.status === "fulfilled") continue;
      const { message: said } = result.reason as Error;
      if (said !== "no-store,1") expect(said).toMatch(message);
      expect(inspect(result.reason, { depth: 9, showHidden: true })).not.toMatch(/"d":|privateJwk/);
    }
    for (const [name, text] of before) expect(store.entries.get(name)).toBe(text);
  });

  test.each<[string, (issuer: Issuer) => Promise<unknown>, keys: number]>([
    ["mint", (issuer) => issuer.mint(known), 1],
    ["rotateKey", (issuer) => issuer.rotateKey(), 2],
    ["revokeAgent", (issuer) => issuer.revokeAgent("agent-1"), 1],
    ["reinstateAgent", (issuer) => issuer.reinstateAgent("agent-1"), 1],
  ])("fails once, before or after it has done its work: %s rejects, and succeeds the next time", async (...row) => {
    const [, operate, keys] = row;
    const first = new TextStore();
    const { token } = await (await createIssuer({ store: first })).mint(known);
    for (const isDone of [false, true]) {
      for (let failAt = 1; ; failAt++) {
        const store = new TextStore(new Map(first.entries));
        const issuer = await createIssuer({ store });
        let asked = 0;
        const intact = new TextStore(store.entries);
        spoil(store, async (call, args) => {
          const isFailure = ++asked === failAt;
          if (isFailure && !isDone) throw error(call, args);
          const result = await (intact[call] as (...given: unknown[]) => Promise<unknown>)(...args);
          if (isFailure) throw error(call, args);
          return result;
        });
        const isRejected = await operate(issuer).then(
          () => false,
          () => true,
        );
        expect(isRejected).toBe(asked >= failAt);
        if (!isRejected) break;
        await operate(issuer);
        const keySet = await issuer.jwks();
        expect(keySet.keys).toHaveLength(keys);
        await createVerifier("https://gw.example", { jwks: { keySet } }).verify(token);
      }
    }
  });

  test.each([
    ["of another version", '{"version":2,"keys":[]}', /holds a document of another version$/],
    ["that is not JSON", '{"version":1,"keys":[{"privateJwk":{"d":secret}}]}', /holds a document that is not JSON$/],
    ["without keys", '{"version":1,"keys":[]}', /holds no signing keys$/],
  ])("has a document %s: it is left alone, and not quoted", async (_, text, message) => {
    const store = new TextStore(new Map([[ringName, text]]));
    await expect(createIssuer({ store })).rejects.toThrow(message);
    expect([...store.entries.values()]).toEqual([text]);
  });

  test("others change each time gets its change in the end", async () => {
    const store = new TextStore();
    const issuer = await createIssuer({ store, signingKeys: [signingKey] });
    const name = "{agent-identity-auth}:agent:agent-1";
    let changes = 0;
    store.before = (call) => {
      if (call === "compareAndSet" && ++changes <= 60)
        store.entries.set(name, `{"version":1,"keys":[],"n":${changes}}`);
    };
    await issuer.mint(known);
    expect(changes).toBe(61);
  });

  test("answers at once is asked synchronously, with getMany or without", async () => {
    const entries = new Map<string, string>();
    const store = {
      get: (name: string) => entries.get(name),
      set: (name: string, text: string) => entries.set(name, text),
      delete: (name: string) => entries.delete(name),
      compareAndSet: (name: string, expected: string | undefined, text: string) =>
        entries.get(name) === expected && entries.set(name, text).size > 0,
    };
    const issuer = await createIssuer({ store });
    await issuer.mint(known);
    expect(issuer.directory.find?.("agent-1", "task-1")).toMatchObject({ agent: { accountId: "acct-1" } });
    const getMany = (names: readonly string[]) => names.map((name) => entries.get(name));
    const another = await createIssuer({ store: { ...store, getMany } });
    expect(another.directory.findAgent("agent-1")).toMatchObject({ accountId: "acct-1" });
    // A cache before a database: the first answer is there, the next two fail, each in its own way.
    const get = (name: string) => {
      if (name.includes(":agent:")) return entries.get(name);
      return (name.includes(":task:") ? throwAtOnce("get", []) : reject("get", [])) as Promise<string>;
    };
    const third = await createIssuer({ store: { ...store, get }, signingKeys: [signingKey] });
    await expect(third.directory.find?.("agent-1", "task-1")).rejects.toThrow(failed);
  });
});

describe("a Keyv", () => {
  const keyv = (options: object) => new Keyv({ throwOnErrors: true, ...options }) as KeyvStore;

  test("with a ttl of its own forgets no revocation", async () => {
    const clock = takeOverClock();
    const issuer = await createIssuer({ store: keyv({ ttl: 1_000 }), signingKeys: [signingKey] });
    await issuer.mint(known);
    await issuer.revokeAgent("agent-1");
    clock.advance(60_000);
    expect(await issuer.directory.findAgent("agent-1")).toBeUndefined();
    await expect(issuer.mint(known)).rejects.toThrow("revoked");
  });

  test("whose adapter does not take a value rejects", async () => {
    const store = keyv({ store: Object.assign(new Map(), { set: () => false }) });
    const issuer = await createIssuer({ store, signingKeys: [signingKey] });
    for (const call of [issuer.mint(known), issuer.revokeAgent("agent-1")]) {
      await expect(call).rejects.toThrow("gave something strange for set()");
    }
  });
});
