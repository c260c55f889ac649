import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync, sign } from "node:crypto";
import KeyvRedis from "@keyv/redis";
import express from "express";
import { Keyv } from "keyv";
import { describe, expect, onTestFinished, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { agentIdentityAuth, createVerifier } from "../../src/index.js";
import { createIssuer, type Issuer, type IssuerOptions, type KeyvStore, type MintClaims } from "../../src/issuer.js";
import { loadAuth } from "../../src/login.js";
import { createTestIssuer, type TestClaims } from "../../src/testing.js";
import { takeOverClock } from "../support/clock.js";
import { now, signingKey } from "../support/agents.js";
import { timestamp } from "../support/assertions.js";
import { createCodexHome } from "../support/homes.js";
import { redisIsInstalled, startRedis } from "../support/redis.js";
import { listen } from "../support/servers.js";
import { TextStore } from "../support/text-store.js";

const base = "https://chatgpt.com/backend-api";
const somebody: MintClaims = { accountId: "acct-1", chatgptUserId: "user-1" };

async function verifierOf(issuer: Issuer, options: { issuer?: string; audience?: string } = {}) {
  return createVerifier(base, { ...options, jwks: { keySet: await issuer.jwks() } });
}

function payloadOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, unknown>;
}

/** What the agent of a token sends to register its task. */
function registration(token: string, time = timestamp()): { timestamp: string; signature: string } {
  const { agent_runtime_id: id, agent_private_key: key } = payloadOf(token) as Record<string, string>;
  const privateKey = createPrivateKey({ key: Buffer.from(key ?? "", "base64"), format: "der", type: "pkcs8" });
  const signature = sign(null, Buffer.from(`${String(id)}:${time}`), privateKey).toString("base64");
  return { timestamp: time, signature };
}

describe("mint", () => {
  test("has safe defaults", async () => {
    const issuer = await createIssuer();
    const { token, agentRuntimeId } = await issuer.mint(somebody);
    const verifier = await verifierOf(issuer);
    expect(await verifier.verify(token)).toEqual({
      agentRuntimeId,
      accountId: "acct-1",
      chatgptUserId: "user-1",
      email: "",
      planType: "free",
      chatgptAccountIsFedramp: false,
      issuedAt: expect.closeTo(now(), -1) as number,
      expiresAt: expect.closeTo(now() + 7 * 86_400, -1) as number,
    });
    expect((await issuer.mint(somebody)).agentRuntimeId).not.toBe(agentRuntimeId);
  });

  test("sets every claim", async () => {
    const issuer = await createIssuer({ issuer: "https://gw.example", audience: "gateway" });
    const { token } = await issuer.mint({
      ...somebody,
      agentRuntimeId: "agent-x",
      email: "agent@example.com",
      planType: "edu",
      chatgptAccountIsFedramp: true,
      issuedAt: 1_700_000_000,
      expiresAt: now() + 3_600,
      notBefore: 1_600_000_000,
    });
    const verifier = await verifierOf(issuer, { issuer: "https://gw.example", audience: "gateway" });
    expect(await verifier.verify(token)).toEqual({
      agentRuntimeId: "agent-x",
      accountId: "acct-1",
      chatgptUserId: "user-1",
      email: "agent@example.com",
      planType: "edu",
      chatgptAccountIsFedramp: true,
      issuedAt: 1_700_000_000,
      expiresAt: expect.closeTo(now() + 3_600, -1) as number,
    });
    expect(payloadOf(token)).toMatchObject({ nbf: 1_600_000_000 });
    expect(payloadOf((await issuer.mint({ ...somebody, lifetime: 60 })).token)["exp"]).toBeLessThan(now() + 62);
  });

  test.each<[string, Partial<TestClaims>, string]>([
    ["an expired token", { expiresAt: 1 }, "token_expired"],
    ["one for another audience", { audience: "x" }, "audience_invalid"],
    ["one of another issuer", { issuer: "x" }, "issuer_invalid"],
    ["one that is not valid yet", { notBefore: 4_000_000_000 }, "token_not_yet_valid"],
    ["one with a claim of the wrong type", { overrides: { email: 7 } }, "claims_invalid"],
    ["one that lacks a claim", { overrides: { account_id: undefined } }, "claims_invalid"],
    ["a forged one", { forged: true }, "signature_invalid"],
    ["none of them", {}, "good"],
  ])("a test issuer makes bad tokens: %s", async (_, claims, code) => {
    const issuer = await createTestIssuer();
    const { token } = await issuer.mint({ ...somebody, ...claims });
    const verdict = (await verifierOf(issuer)).verify(token);
    expect(
      await verdict.then(
        () => "good",
        (error: unknown) => (error as { code: string }).code,
      ),
    ).toBe(code);
  });

  test("a test issuer's mint checks what makes a token bad", async () => {
    const issuer = await createTestIssuer();
    await expect(issuer.mint({ ...somebody, overrides: [] as never })).rejects.toThrow("overrides must be an object");
    await expect(issuer.mint({ ...somebody, forged: 1 as never })).rejects.toThrow("forged must be true or");
  });

  test.each([createIssuer, createTestIssuer])("another issuer's tokens are of an unknown key: %o", async (create) => {
    const { token } = await (await create()).mint(somebody);
    await expect((await verifierOf(await create())).verify(token)).rejects.toMatchObject({ code: "key_untrusted" });
  });

  test.each<[object, RegExp]>([
    [{}, /accountId and chatgptUserId are needed/],
    [{ ...somebody, accountId: "" }, /accountId must be a string that is not blank/],
    [{ ...somebody, chatgptUserId: " " }, /chatgptUserId must be a string that is not blank/],
    [{ ...somebody, agentRuntimeId: "a:b" }, /agentRuntimeId must be 1 to 128 characters without/],
    [{ ...somebody, agentRuntimeId: "x".repeat(129) }, /agentRuntimeId/],
    [{ ...somebody, lifetime: 0 }, /lifetime must be an integer of 1 to/],
    [{ ...somebody, expiresAt: 1.5 }, /expiresAt must be an integer/],
    ...["issuedAt", "notBefore", "expiresAt"].map((name): [object, RegExp] => [
      { ...somebody, [name]: 1e11 }, // milliseconds
      new RegExp(`${name} must be an integer of 0 to 99999999999 \\(seconds since the epoch\\)`),
    ]),
    [{ ...somebody, plan: "pro" }, /there is no option "plan"/],
  ])("refuses %o", async (claims, message) => {
    const issuer = await createIssuer();
    await expect(issuer.mint(claims as MintClaims)).rejects.toThrow(TypeError);
    await expect(issuer.mint(claims as MintClaims)).rejects.toThrow(message);
  });

  test("keeps the public half of the agent's key only", async () => {
    const store = new TextStore();
    const issuer = await createIssuer({ store });
    const { token, agentRuntimeId } = await issuer.mint(somebody);
    const stored = JSON.stringify([...store.entries].filter(([name]) => name.includes(agentRuntimeId)));
    expect(stored).toContain('\\"crv\\":\\"Ed25519\\"');
    expect(stored).not.toContain('\\"d\\"');
    expect(stored).not.toContain(String(payloadOf(token)["agent_private_key"]));
  });
});

describe("options", () => {
  test.each<[unknown, RegExp]>([
    ...[{}, new Map(), new TextStore().entries].map((store): [unknown, RegExp] => [
      { store },
      /store must be a store with get\(\), set\(\), delete\(\) and compareAndSet\(\), such as redisStore\(client\)/,
    ]),
    [{ store: new Keyv() }, /a Keyv cannot compare and set, so it cannot hold signing keys: pass signingKeys/],
    ...[
      new Keyv({ store: new KeyvRedis("redis://127.0.0.1:1") }),
      new Keyv({ store: new KeyvRedis("redis://127.0.0.1:1"), throwOnErrors: true }),
      new Keyv({ store: new KeyvRedis("redis://127.0.0.1:1", { throwOnErrors: true }) }),
    ].map((store): [unknown, RegExp] => [
      { store, signingKeys: [signingKey] },
      /write new Keyv\(\{ store: new KeyvRedis\(url, \{ throwOnErrors: true \}\), throwOnErrors: true \}\)/,
    ]),
    [{ signingKeys: [signingKey, signingKey] }, /signingKeys\[1\] has the kid of another one/],
    [{ signingKeys: [signingKey], rotateEvery: 1e6 }, /rotateEvery is for stored keys/],
    [{ rotateEvery: 302_999 }, /rotateEvery must be at least 303000 seconds/],
    ...["", "a:b", "{a}", "x".repeat(65), 1].map((name): [unknown, RegExp] => [{ name }, /name must be 1 to 64 of/]),
    [{ maxLifetime: 0 }, /maxLifetime must be an integer/],
    [{ maxLifetime: 94_608_000, rotateEvery: 47_304_599 }, /rotateEvery must be at least 47304600 seconds/],
    [{ taskLifetime: 1.5 }, /taskLifetime must be an integer/],
    [{ signingKeys: [] }, /signingKeys must be a list of at least one key/],
    [{ signingKeys: [{ privateKey: { kty: "RSA" } }] }, /signingKeys\[0\].privateKey must be a private RSA key/],
    ...[
      signingKey.jwk,
      createPublicKey(signingKey.privateKey),
      generateKeyPairSync("ed25519").privateKey,
      createSecretKey(Buffer.alloc(32)),
    ].map((privateKey): [unknown, RegExp] => [
      { signingKeys: [{ privateKey }] },
      /signingKeys\[0\].privateKey must be a private RSA key/,
    ]),
    [
      { signingKeys: [{ privateKey: generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey }] },
      /signingKeys\[0\] must have 2048 to 8192 bits/,
    ],
    [{ audience: "" }, /audience/],
    [{ keys: [] }, /there is no option "keys"/],
  ])("are checked: %o", async (options, message) => {
    await expect(createIssuer(options as IssuerOptions)).rejects.toThrow(message);
  });
});

describe("signing keys", () => {
  test("are published with public members only", async () => {
    const { keys } = await (await createIssuer()).jwks();
    expect(keys).toHaveLength(1);
    expect(Object.keys(keys[0] ?? {}).sort()).toEqual(["alg", "e", "kid", "kty", "n", "use"]);
  });

  test("may be given: the first signs, and all are published", async () => {
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const signingKeys = [{ kid: "mine", privateKey: signingKey.privateKey }, { privateKey: exportJwk(other) }];
    const issuer = await createIssuer({ signingKeys });
    const { keys } = await issuer.jwks();
    expect(keys[0]?.kid).toBe("mine");
    expect(keys[1]?.kid).toMatch(/^[\w-]{43}$/);
    for (const key of keys) expect(key).not.toHaveProperty("d");
    const { token } = await issuer.mint(somebody);
    expect(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()).toContain('"kid":"mine"');
    expect(await (await verifierOf(issuer)).verify(token)).toBeTruthy();
  });
});

/** A backend that the issuer serves, with the assertions of its directory accepted. */
async function serve(issuer: Issuer) {
  const app = express();
  const { url } = await listen(app);
  app.use(issuer.router());
  app.use(
    "/backend-api",
    agentIdentityAuth(`${url}/backend-api`, { directory: issuer.directory, jwks: {} }),
    (req, res) => {
      res.json(req.agentIdentity);
    },
  );
  app.use((_req, res) => void res.status(404).json("not the issuer's"));
  return url;
}

async function register(url: string, id: string, body: unknown, init: RequestInit = {}) {
  const response = await fetch(`${url}/v1/agent/${id}/task/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
  });
  const { status, headers } = response;
  return { status, headers, body: (await response.json()) as { task_id?: string; error?: { code: string } } };
}

test("a restart keeps tokens, agents and tasks, and a second process serves the same", async () => {
  const store = new TextStore();
  const before = await createIssuer({ store });
  const { token, agentRuntimeId } = await before.mint(somebody);
  const registered = await register(await serve(before), agentRuntimeId, registration(token));
  expect(registered.status).toBe(200);

  const after = await createIssuer({ store });
  expect(await after.jwks()).toEqual(await before.jwks());
  expect(await (await verifierOf(after)).verify(token)).toMatchObject({ agentRuntimeId });
  expect(await after.directory.findAgent(agentRuntimeId)).toMatchObject({ accountId: "acct-1" });
  expect(await after.directory.findTask(registered.body.task_id ?? "")).toMatchObject({ agentRuntimeId });
  expect((await register(await serve(after), agentRuntimeId, registration(token))).body).toEqual(registered.body);
  await after.revokeAgent(agentRuntimeId);
  expect(await before.directory.findAgent(agentRuntimeId)).toBeUndefined();
});

test.each<[string, () => Promise<KeyvStore>]>([
  ["in memory", () => Promise.resolve(new Keyv({ throwOnErrors: true }) as KeyvStore)],
  [
    "on Redis",
    async () => {
      const adapter = new KeyvRedis(await startRedis(), { throwOnErrors: true });
      const keyv = new Keyv({ store: adapter, throwOnErrors: true });
      onTestFinished(() => keyv.disconnect());
      return keyv as KeyvStore;
    },
  ],
])("a Keyv %s holds agents and tasks beside given keys", async (name, open) => {
  if (name === "on Redis" && !redisIsInstalled) return;
  const issuer = await createIssuer({ store: await open(), signingKeys: [signingKey] });
  const { token, agentRuntimeId } = await issuer.mint({ ...somebody, agentRuntimeId: "agent-1" });
  const renewed = await issuer.mint({ ...somebody, agentRuntimeId });
  const url = await serve(issuer);
  for (const each of [token, renewed.token]) {
    expect(await register(url, agentRuntimeId, registration(each))).toMatchObject({ status: 200 });
  }
  await issuer.revokeAgent(agentRuntimeId);
  expect(await register(url, agentRuntimeId, registration(token))).toMatchObject({ status: 401 });
});

describe("an agent", () => {
  const assertionOf = (token: string, taskId: string) => {
    const { agent_runtime_id: id = "", agent_private_key: key = "" } = payloadOf(token) as Record<string, string>;
    const privateKey = createPrivateKey({ key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" });
    const time = timestamp();
    const signature = sign(null, Buffer.from(`${id}:${taskId}:${time}`), privateKey).toString("base64");
    const envelope = { agent_runtime_id: id, signature, task_id: taskId, timestamp: time };
    return { authorization: `AgentAssertion ${Buffer.from(JSON.stringify(envelope)).toString("base64url")}` };
  };

  test.each([["agent-1"], [undefined]])("%s leaves the store when the last of its tokens ends", async (given) => {
    const ttls: unknown[] = [];
    const store = new TextStore();
    store.before = (call, ...args) => {
      if (String(args[0]).includes(":agent:")) ttls.push(args.at(call === "set" ? 2 : 3));
    };
    const issuer = await createIssuer({ store });
    const { agentRuntimeId } = await issuer.mint({ ...somebody, agentRuntimeId: given, lifetime: 600 });
    for (const lifetime of [9_000, 60]) await issuer.mint({ ...somebody, agentRuntimeId, lifetime });
    const written = ttls.filter((ttl) => ttl !== undefined).map((ttl) => Math.round(Number(ttl) / 10_000));
    expect(written).toEqual([60, 900, 900]);
  });

  test("keeps the keys of its newest 8 tokens: each registers a task of its own, and its assertions pass", async () => {
    const issuer = await createIssuer({ store: new TextStore() });
    const url = await serve(issuer);
    const tokens = [];
    for (let i = 0; i < 9; i++) tokens.push((await issuer.mint({ ...somebody, agentRuntimeId: "agent-1" })).token);
    const tasks = new Set<string>();
    for (const [i, token] of tokens.entries()) {
      const { status, body } = await register(url, "agent-1", registration(token));
      expect(status).toBe(i === 0 ? 401 : 200);
      if (i === 0) continue;
      tasks.add(body.task_id ?? "");
      const headers = assertionOf(token, body.task_id ?? "");
      expect((await fetch(`${url}/backend-api/whoami`, { headers })).status).toBe(200);
    }
    expect(tasks.size).toBe(8);
    expect(await issuer.directory.findAgent("agent-1")).toMatchObject({ publicKey: { kty: "OKP" } });
  });

  test("that is minted by several processes at once loses no key", async () => {
    const store = new TextStore();
    store.before = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
    const issuers = await Promise.all(Array.from({ length: 4 }, () => createIssuer({ store })));
    const minted = await Promise.all(issuers.map((issuer) => issuer.mint({ ...somebody, agentRuntimeId: "agent-1" })));
    const url = await serve(issuers[0] ?? expect.fail());
    for (const { token } of minted) {
      expect(await register(url, "agent-1", registration(token))).toMatchObject({ status: 200 });
    }
  });

  test("that is revoked gets no token until it is reinstated, and its task is good again then", async () => {
    const issuer = await createIssuer();
    const { token, agentRuntimeId } = await issuer.mint(somebody);
    const url = await serve(issuer);
    const { body } = await register(url, agentRuntimeId, registration(token));
    const ask = async () =>
      (await fetch(`${url}/backend-api/whoami`, { headers: assertionOf(token, body.task_id ?? "") })).status;
    expect(await ask()).toBe(200);
    await issuer.revokeAgent(agentRuntimeId);
    expect(await ask()).toBe(401);
    await expect(issuer.mint({ ...somebody, agentRuntimeId })).rejects.toThrow(/is revoked: call reinstateAgent first/);
    await issuer.reinstateAgent(agentRuntimeId);
    expect(await ask()).toBe(200);
    expect(await issuer.mint({ ...somebody, agentRuntimeId })).toMatchObject({ agentRuntimeId });
  });

  test("that is revoked while a token is minted stays revoked, and no token leaves after that", async () => {
    const store = new TextStore();
    const issuer = await createIssuer({ store });
    const known = { ...somebody, agentRuntimeId: "agent-1" };
    await issuer.mint(known);
    store.before = async (call) => {
      if (call === "compareAndSet") await issuer.revokeAgent("agent-1");
    };
    await expect(issuer.mint(known)).rejects.toThrow(/is revoked: call reinstateAgent first/);
    expect(await issuer.directory.findAgent("agent-1")).toBeUndefined();
    expect(await issuer.directory.find?.("agent-1", "task-1")).toEqual({ agent: undefined });
  });

  test("for which many tokens are minted at once gets all of them", async () => {
    const issuer = await createIssuer({ store: new TextStore() });
    const minting = Array.from({ length: 100 }, () => issuer.mint({ ...somebody, agentRuntimeId: "agent-1" }));
    expect(new Set((await Promise.all(minting)).map(({ token }) => token)).size).toBe(100);
  });

  test.each([undefined, "", "a:b", 7, "x".repeat(129)])("with the id %j cannot be revoked", async (id) => {
    const issuer = await createIssuer();
    await expect(issuer.revokeAgent(id as string)).rejects.toThrow("revokeAgent takes the agentRuntimeId");
    await expect(issuer.reinstateAgent(id as string)).rejects.toThrow("reinstateAgent takes the agentRuntimeId");
  });
});

test.each<[string, object]>([
  ["lifetime", { lifetime: 3_601 }],
  ["expiresAt", { expiresAt: now() + 3_700 }],
  ["issuedAt", { issuedAt: now() + 100 }],
])("no token lives longer than maxLifetime, by %s", async (_, claims) => {
  for (const issuer of [await createIssuer({ maxLifetime: 3_600 }), await createTestIssuer({ maxLifetime: 3_600 })]) {
    await expect(issuer.mint({ ...somebody, ...claims })).rejects.toThrow("would live longer than maxLifetime");
    expect(await issuer.mint({ ...somebody, lifetime: 3_600 })).toBeTruthy();
  }
});

describe("the router", () => {
  test.each([
    "/backend-api/wham/agent-identities/jwks",
    "/api/codex/agent-identities/jwks",
    "/agent-identities/jwks",
    "/a/b/agent-identities/jwks",
  ])("serves the JWKS at %s", async (path) => {
    const issuer = await createIssuer();
    const url = await serve(issuer);
    const response = await fetch(url + path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("public, max-age=60");
    expect(await response.json()).toEqual(await issuer.jwks());
    const head = await fetch(`${url}${path}?x=1`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const post = await fetch(url + path, { method: "POST" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("passes on what is not its own, and is a listener by itself", async () => {
    const issuer = await createIssuer();
    const url = await serve(issuer);
    for (const path of [
      "/",
      "/jwks",
      "/x-agent-identities/jwks",
      "/agent-identities/jwks/x",
      "/v1/agent/a/b/task/register",
      "/v1/agent//task/register",
    ]) {
      const response = await fetch(url + path, { method: "POST" });
      expect([response.status, await response.json()]).toEqual([404, "not the issuer's"]);
    }
    const alone = await listen(issuer.router());
    expect((await fetch(`${alone.url}/agent-identities/jwks`)).status).toBe(200);
    expect((await fetch(alone.url)).status).toBe(404);
  });
});

describe("task registration", () => {
  test.each(["", "/api/accounts", "/backend-api", "/a/b/c"])("works under any prefix: %j", async (prefix) => {
    const issuer = await createIssuer();
    const { token, agentRuntimeId } = await issuer.mint(somebody);
    const { status, headers, body } = await register(
      (await serve(issuer)) + prefix,
      agentRuntimeId,
      registration(token),
    );
    expect(status).toBe(200);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(body.task_id).toMatch(/^task-[\w-]{43}$/);
  });

  test("lives as long as the token, and has the same task however often it is sent", async () => {
    const clock = takeOverClock();
    const issuer = await createIssuer();
    const { token, agentRuntimeId } = await issuer.mint(somebody);
    const url = await serve(issuer);
    const { body } = await register(url, agentRuntimeId, registration(token));
    const task = { agentRuntimeId, expiresAt: payloadOf(token)["exp"] };
    expect(await issuer.directory.findTask(body.task_id ?? "")).toMatchObject(task);
    clock.advance(6 * 86_400_000);
    expect((await register(url, agentRuntimeId, registration(token))).body).toEqual(body);
    expect(await issuer.directory.findTask(body.task_id ?? "")).toMatchObject(task);
  });

  test("lives for one to two taskLifetimes where that is set, but not longer than the token", async () => {
    const clock = takeOverClock();
    const issuer = await createIssuer({ taskLifetime: 1_000 });
    const { token, agentRuntimeId } = await issuer.mint({ ...somebody, lifetime: 1_500 });
    const url = await serve(issuer);
    const tasks = new Set<string>();
    for (let i = 0; i < 14; i++) {
      const { body } = await register(url, agentRuntimeId, registration(token));
      tasks.add(body.task_id ?? "");
      const { expiresAt = 0 } = (await issuer.directory.findTask(body.task_id ?? "")) ?? {};
      expect(expiresAt - now() > 1_000 || expiresAt === payloadOf(token)["exp"]).toBe(true);
      expect(expiresAt - now()).toBeLessThanOrEqual(2_000);
      clock.advance(100_000);
    }
    expect(tasks.size).toBeLessThanOrEqual(3);
  });

  test("has another task for each agent, within the same second too", async () => {
    const issuer = await createIssuer();
    const url = await serve(issuer);
    const time = timestamp();
    const tasks = [];
    for (const { token, agentRuntimeId } of [await issuer.mint(somebody), await issuer.mint(somebody)]) {
      const { body } = await register(url, agentRuntimeId, registration(token, time));
      tasks.push(body.task_id);
      expect(await issuer.directory.findTask(body.task_id ?? "")).toMatchObject({ agentRuntimeId });
    }
    expect(tasks[0]).not.toBe(tasks[1]);
  });

  test("is refused for each fault with its code, and without a hint", async () => {
    const issuer = await createIssuer();
    const { token, agentRuntimeId: id } = await issuer.mint(somebody);
    const expired = await issuer.mint({ ...somebody, expiresAt: 1 });
    const other = await issuer.mint(somebody);
    const url = await serve(issuer);
    const good = registration(token);
    const codeOf = async (agentId: string, body: unknown, init?: RequestInit) => {
      const answer = await register(url, agentId, body, init);
      expect(answer.headers.get("cache-control")).toBe("no-store");
      return `${String(answer.status)} ${answer.body.error?.code ?? ""}`;
    };
    const invalid = "401 assertion_invalid";
    expect(await codeOf("unknown", good)).toBe(invalid);
    expect(await codeOf(other.agentRuntimeId, good)).toBe(invalid);
    expect(await codeOf(expired.agentRuntimeId, registration(expired.token))).toBe(invalid);
    expect(await codeOf(id, { ...good, signature: "AAAA" })).toBe(invalid);
    expect(await codeOf(id, { ...good, timestamp: timestamp(-2) })).toBe(invalid);
    expect(await codeOf(id, registration(token, timestamp(-302)))).toBe("401 assertion_stale");
    expect(await codeOf(id, registration(token, timestamp(302)))).toBe("401 assertion_stale");
    const malformed = "401 assertion_malformed";
    for (const body of [
      "",
      "hello",
      "null",
      "[]",
      {},
      { ...good, extra: "x" },
      { ...good, timestamp: 1 },
      { timestamp: "x", signature: "x" },
    ]) {
      expect(await codeOf(id, body)).toBe(malformed);
    }
    expect(await codeOf("a%3Ab", good)).toBe(malformed);
    expect(await codeOf("x".repeat(129), good)).toBe(malformed);
    expect(await codeOf(id, JSON.stringify(good).padEnd(5_000))).toBe("413 body_too_large");
    const asText = { headers: { "Content-Type": "text/plain" } };
    expect(await codeOf(id, good, asText)).toBe("415 media_type_unsupported");
    await issuer.revokeAgent(id);
    expect(await codeOf(id, good)).toBe(invalid);
  });

  test("works behind a body parser", async () => {
    const issuer = await createIssuer();
    const { token, agentRuntimeId } = await issuer.mint(somebody);
    const { url } = await listen(express().use(express.json(), issuer.router()));
    expect(await register(url, agentRuntimeId, registration(token))).toMatchObject({ status: 200 });
  });
});

test("the login side registers with it and calls the middleware; revoking ends that at once, but not the bearer token", async () => {
  const issuer = await createIssuer();
  const { token, agentRuntimeId } = await issuer.mint({ ...somebody, planType: "pro" });
  const url = await serve(issuer);
  const auth = await loadAuth({
    chatgptBaseUrl: `${url}/backend-api`,
    codexHome: createCodexHome().codexHome,
    env: { CODEX_ACCESS_TOKEN: token },
  });
  if (auth?.mode !== "agentIdentity") throw new Error("not signed in");
  await auth.registerTask();
  const call = (headers: Record<string, string>) => fetch(`${url}/backend-api/whoami`, { headers });
  const answer = await call(auth.authorizationHeaders());
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({
    agentRuntimeId,
    planType: "pro",
    taskId: expect.stringMatching(/^task-/) as string,
  });
  await issuer.revokeAgent(agentRuntimeId);
  expect((await call(auth.authorizationHeaders())).status).toBe(401);
  expect((await call({ Authorization: `Bearer ${token}` })).status).toBe(200);
});
