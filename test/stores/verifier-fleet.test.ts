/** Verifiers in real processes that share a key set in a real Redis: how often they fetch, and what they say when Redis fails. */

import { fork } from "node:child_process";
import { once, type EventEmitter } from "node:events";
import { createRequire } from "node:module";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { JwksOptions } from "../../src/index.js";
import { createSigningKey, mint, type SigningKey } from "../support/agents.js";
import { missingFor, startRedis, type RedisServer } from "../support/databases.js";
import { sendJson, startBackend } from "../support/servers.js";

export interface MemberOptions {
  baseUrl: string;
  redisUrl: string;
  client: "node-redis" | "keyv";
  /** Whether the client has a listener for its errors. */
  listens: boolean;
  /** ms between two verifications of each token. */
  every: number;
  /** ms */
  clockAhead: number;
  jwks: JwksOptions;
}

interface Verdict {
  name: string;
  /** `accepted`, or the error's code. */
  outcome: string;
  from: number;
  to: number;
}

// The root project checks this file, and does not install the client.
const { createClient } = createRequire(import.meta.url)("redis") as {
  createClient: (options: { url: string }) => EventEmitter & {
    connect(): Promise<unknown>;
    keys(pattern: string): Promise<string[]>;
    set(name: string, value: string): Promise<unknown>;
    multi(): { del(name: string): { lPush(name: string, value: string): { exec(): Promise<unknown> } } };
    destroy(): void;
  };
};

const ENDPOINT_TAKES = 50; // ms
const ROUNDS = 2;

const missing = missingFor("redis");
if (missing !== undefined) console.log(`SKIPPED: the fleet of verifiers, because ${missing} is not installed`);

const print = (...cells: (string | number)[]) => {
  console.log(`| ${cells.join(" | ")} |`);
};

async function forkMember(options: Partial<MemberOptions>) {
  const defaults = { client: "node-redis", listens: true, every: 100, clockAhead: 0 };
  const given = JSON.stringify({ ...defaults, ...options });
  const child = fork(join(import.meta.dirname, "verifier-member.js"), [given], { execArgv: [], silent: true });
  onTestFinished(() => void child.kill());
  const verdicts: Verdict[] = [];
  let stderr = "";
  child.stderr?.on("data", (chunk) => (stderr += String(chunk)));
  await once(child, "message");
  child.on("message", (more: Verdict[]) => verdicts.push(...more));
  const send = (tokens: Record<string, string>) => {
    if (child.connected) child.send(tokens, () => undefined); // a member may end meanwhile: `ended` tells
  };
  /** What the last verdict on this token was. */
  const last = (name: string) => verdicts.findLast((verdict) => verdict.name === name)?.outcome;
  const ended = () => child.exitCode !== null && (/^.*Error.*/m.exec(stderr)?.[0] ?? stderr);
  const end = () => child.kill();
  return { send, verdicts, last, ended, end };
}

type Member = Awaited<ReturnType<typeof forkMember>>;

async function start() {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const backend = await startBackend([]);
  const publish = (...keys: SigningKey[]) => (backend.keys = keys.map(({ jwk }) => jwk));
  backend.answer = (_req, res) => {
    const body = { keys: backend.keys }; // as of the question
    setTimeout(() => {
      sendJson(res, body);
    }, ENDPOINT_TAKES);
  };
  return { redis, backend, publish };
}

describe.skipIf(missing !== undefined)("a fleet of verifiers on one Redis", () => {
  test.each([
    { processes: 8, most: 3 },
    { processes: 16, most: 6 },
  ])("$processes processes fetch at most $most times in each cacheMaxAge", async ({ processes, most }) => {
    const CACHE_MAX_AGE = 4_000;
    const PERIODS = 4;
    const { redis, backend, publish } = await start();
    const key = createSigningKey("key-1");
    publish(key);
    const options = { baseUrl: backend.baseUrl, redisUrl: redis.url, jwks: { cacheMaxAge: CACHE_MAX_AGE } };
    const members = [];
    for (let i = 0; i < processes; i++) members.push(await forkMember(options));
    for (const member of members) member.send({ good: mint({}, key) });
    for (const member of members) await expect.poll(() => member.last("good"), { timeout: 10_000 }).toBe("accepted");
    const periods = [];
    for (let i = 0; i < PERIODS; i++) {
      const before = backend.fetches;
      await sleep(CACHE_MAX_AGE);
      periods.push(backend.fetches - before);
    }
    const mean = periods.reduce((sum, fetches) => sum + fetches, 0) / PERIODS;
    const verifications = members.reduce((sum, { verdicts }) => sum + verdicts.length, 0);
    print(
      `${processes} processes`,
      `fetches per cacheMaxAge: ${periods.join()}`,
      `mean ${mean}`,
      `${verifications} verifications`,
    );
    expect(mean).toBeLessThanOrEqual(most);
    expect(mean).toBeGreaterThanOrEqual(1);
    for (const { verdicts } of members) expect(verdicts.filter(({ outcome }) => outcome !== "accepted")).toEqual([]);
  });

  test("a writer whose clock is 1.5 s ahead brings no withdrawn key back", async () => {
    const { redis, backend, publish } = await start();
    const options = { baseUrl: backend.baseUrl, redisUrl: redis.url, jwks: { cacheMaxAge: 4_000 } };
    const answerNormally = backend.answer;
    for (let round = 1; round <= ROUNDS; round++) {
      const [kept, old, next] = [createSigningKey("kept"), createSigningKey("old"), createSigningKey("next")] as const;
      const tokens = { good: mint({}, kept), old: mint({}, old) };
      redis.command("FLUSHALL");
      publish(kept, old);
      const members = await Promise.all([1, 2, 3].map(() => forkMember({ ...options, every: 50 })));
      const ahead = await forkMember({ ...options, every: 50, clockAhead: 1_500 });
      let release = () => undefined as unknown;
      const asked = new Promise((resolve) => {
        backend.answer = (_req, res) => {
          const body = { keys: backend.keys };
          release = () => {
            sendJson(res, body);
          };
          backend.answer = answerNormally;
          resolve(undefined);
        };
      });
      ahead.send(tokens);
      await asked; // it asked before the withdrawal, and its answer comes after those of the others
      publish(kept, next);
      for (const member of members) member.send({ ...tokens, next: mint({}, next) });
      for (const member of members)
        await expect.poll(() => member.last("old"), { timeout: 4_000 }).toBe("key_untrusted");
      release();
      await expect.poll(() => ahead.last("old"), { timeout: 4_000 }).toBe("accepted");
      const fetches = backend.fetches;
      await expect.poll(() => ahead.last("old"), { timeout: 6_000 }).toBe("key_untrusted");
      const until = Date.now() + 4_000; // by then, each has refreshed once more
      for (const member of members) {
        await expect.poll(() => member.verdicts.at(-1)?.from ?? 0, { timeout: 6_000 }).toBeGreaterThan(until);
      }
      const all = members.flatMap(({ verdicts }) => verdicts);
      const count = (name: string, outcome: string) =>
        all.filter((verdict) => verdict.name === name && verdict.outcome === outcome).length;
      print(`a clock 1.5 s ahead, round ${round}`, `withdrawn key: ${count("old", "key_untrusted")} refused`);
      expect(backend.fetches).toBeGreaterThan(fetches);
      expect(count("old", "accepted")).toBe(0);
      expect([count("good", "key_untrusted"), count("next", "key_untrusted")]).toEqual([0, 0]);
      for (const member of [...members, ahead]) member.end(); // they would write to the store of the next round
    }
  });
});

/** A TCP proxy in front of Redis that can misbehave. */
async function startProxy(target: string) {
  const sockets = new Set<Socket>();
  const faults = { /** ms before the answers of Redis go on */ delay: 0 };
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(target).port), "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => setTimeout(() => client.writable && client.write(chunk), faults.delay));
  });
  const listen = async (port = 0) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const port = await listen();
  const refuse = () => {
    server.close();
    cut();
  };
  onTestFinished(refuse);
  return { url: `redis://127.0.0.1:${port}`, faults, cut, refuse, listen: () => void listen(port) };
}

interface Place {
  redis: RedisServer;
  proxy: Awaited<ReturnType<typeof startProxy>>;
}

/** Begins a fault, and returns what ends it. */
type Fault = (place: Place) => () => unknown;

const every = (ms: number, work: () => unknown) => {
  const timer = setInterval(work, ms);
  return () => {
    clearInterval(timer);
  };
};

const delayed =
  (delay: number): Fault =>
  ({ proxy }) => {
    proxy.faults.delay = delay;
    return () => (proxy.faults.delay = 0);
  };

const cutting: Fault = ({ proxy }) => every(300, proxy.cut);

const commands =
  (begin: string[], end: string[]): Fault =>
  ({ redis }) => {
    for (const command of begin) expect(redis.command(command)).toBe("OK\n");
    return () => {
      for (const command of end) redis.command(command);
    };
  };

const entry = (jwks: unknown) => JSON.stringify({ jwks, fetchedAt: Date.now() });

/** Over what the fleet writes, a value in turn every 50 ms. */
const garbage: Fault = ({ redis }) => {
  const client = createClient({ url: redis.url });
  client.on("error", () => undefined);
  const values = [
    () => "{",
    () => "\u0000\uffff",
    () => entry(null),
    () => entry({ keys: [] }),
    () => entry({ keys: [{ kty: "RSA", kid: "kept", n: "AA", e: "AQAB" }] }),
    () => JSON.stringify({ jwks: { keys: [] }, fetchedAt: -1 }),
    () => "x".repeat(2 ** 20),
  ];
  let turn = 0;
  const write = async () => {
    for (const name of await client.keys("*")) {
      const value = values[++turn % (values.length + 1)];
      if (value) await client.set(name, value());
      else await client.multi().del(name).lPush(name, "a list").exec();
    }
  };
  const connected = client.connect();
  const stop = every(50, () => void connected.then(write).catch(() => undefined));
  return () => {
    stop();
    client.destroy();
    redis.command("FLUSHALL");
  };
};

interface Case extends Partial<Pick<MemberOptions, "client" | "listens">> {
  name: string;
  begin: Fault;
}

const CASES: Case[] = [
  { name: "slow: 0.3 s", begin: delayed(300) },
  { name: "slow: 2.5 s", begin: delayed(2_500) },
  {
    name: "hanging: SIGSTOP",
    begin: ({ redis }) => {
      redis.signal("SIGSTOP");
      return () => {
        redis.signal("SIGCONT");
      };
    },
  },
  {
    name: "refused",
    begin: ({ proxy }) => {
      proxy.refuse();
      return proxy.listen;
    },
  },
  { name: "cut every 300 ms", begin: cutting },
  { name: "garbage", begin: garbage },
  { name: "read-only replica", begin: commands(["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"]) },
  { name: "out of memory", begin: commands(["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"]) },
  { name: "cut, and node-redis has no listener", begin: cutting, listens: false },
  { name: "cut, and Keyv has no listener", begin: cutting, client: "keyv", listens: false },
];

describe.skipIf(missing !== undefined)("no wrong verdict while Redis is", () => {
  const CACHE_MAX_AGE = 1_500;
  const DOWN = 1_000; // ms for which the endpoint fails as well
  /** ms that a refresh may take: it waits for the store, and then for the endpoint. */
  const REFRESH = 1_000;

  test.each(CASES)("$name", async ({ begin, name, ...clientOptions }) => {
    const { redis, backend, publish } = await start();
    const proxy = await startProxy(redis.url);
    const [kept, old, next] = [createSigningKey("kept"), createSigningKey("old"), createSigningKey("next")] as const;
    const forged = mint({}, { ...createSigningKey("forger"), kid: "kept" });
    const tokens = { good: mint({}, kept), forged, old: mint({}, old) };
    // One fetch for unknown kids in a test: otherwise the fetches for the withdrawn key would make the store superfluous.
    const jwks = { cacheMaxAge: CACHE_MAX_AGE, cooldownDuration: 60_000 };
    const options = { ...clientOptions, baseUrl: backend.baseUrl, redisUrl: proxy.url, jwks };
    const members: Member[] = [];
    const join = async (sent: Record<string, string>) => {
      const member = await forkMember(options);
      member.send(sent);
      members.push(member);
    };
    /** Until each has given one more verdict, or has ended. */
    const settle = async (since = Date.now()) => {
      const isSettled = (member: Member) =>
        member.ended() !== false || (member.verdicts.findLast(({ name }) => name === "good")?.from ?? 0) > since;
      await expect.poll(() => members.every(isSettled), { timeout: 10_000 }).toBe(true);
    };

    publish(kept, old);
    for (let i = 0; i < 3; i++) await join(tokens);
    await settle();
    const end = begin({ redis, proxy });
    await join(tokens); // starts while Redis fails
    await settle();

    const rotatedAt = Date.now();
    publish(kept, next);
    const knowing = new Set([members[0], members[3]]);
    for (const member of knowing) member?.send({ ...tokens, next: mint({}, next) });
    await settle(rotatedAt + CACHE_MAX_AGE + REFRESH);

    const answer = backend.answer;
    const downAt = Date.now();
    backend.answer = (_req, res) => void res.writeHead(500).end();
    await join({ good: tokens.good, forged }); // starts while both fail
    await settle(downAt + DOWN);
    backend.answer = answer;
    await settle();
    await end();
    // A process that started without keys has to wait for its back-off.
    await expect
      .poll(() => members.every((member) => member.ended() !== false || member.last("good") === "accepted"), {
        timeout: 10_000,
      })
      .toBe(true);

    const isRight = ({ name, outcome, from, to }: Verdict, isCold: boolean): boolean => {
      // Only a process that has no set yet may say so, and only while the endpoint is down or it backs off after that.
      if (outcome === "keys_unavailable") return isCold && to >= downAt;
      if (name === "forged") return outcome === "signature_invalid";
      if (name !== "old") return outcome === "accepted";
      if (outcome === "key_untrusted") return to >= rotatedAt;
      return outcome === "accepted" && from <= rotatedAt + CACHE_MAX_AGE + REFRESH;
    };
    const wrong = members.flatMap(({ verdicts }, i) => verdicts.filter((verdict) => !isRight(verdict, i === 4)));
    const all = members.flatMap(({ verdicts }) => verdicts);
    const count = (what: (verdict: Verdict) => boolean) => all.filter(what).length;
    const ends = new Set(members.map((member) => member.ended()).filter((ended) => ended !== false));
    const unavailable = count(({ outcome }) => outcome === "keys_unavailable");
    const slowest = Math.max(...all.map(({ from, to }) => to - from));
    const endings = ends.size > 0 ? `ended: ${[...ends].join()}` : "";
    print(name, `${all.length} verdicts, ${wrong.length} wrong, ${unavailable} 503, slowest ${slowest} ms`, endings);
    expect(wrong).toEqual([]);
    // Without a listener, node-redis itself ends the process. redisStore therefore refuses such a client.
    expect(ends.size > 0).toBe(clientOptions.client !== "keyv" && clientOptions.listens === false);
    const seen = new Set(all.map(({ name, outcome }) => `${name} ${outcome}`));
    const rotated = ends.size > 0 ? [] : ["next accepted", "old key_untrusted"];
    for (const each of ["good accepted", "forged signature_invalid", "old accepted", ...rotated]) {
      expect(seen).toContain(each);
    }
  });
});
