import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Keyv } from "keyv";
import { describe, expect, test } from "vitest";
import { createVerifier, type JwksStore } from "../../src/index.js";
import { createSigningKey, mint, signingKey } from "../support/agents.js";
import { redisIsInstalled, startRedis } from "../support/redis.js";
import { startBackend, stop } from "../support/servers.js";
import { minutes, takeOverClock } from "../support/clock.js";
import { startProtectedApi } from "../support/protected-api.js";

const dead = (_req: unknown, res: { writeHead(status: number): { end(): void } }) => {
  res.writeHead(500).end();
};
const jwks = { keys: [signingKey.jwk] };
const never = (): Promise<never> => new Promise(() => undefined);

const text = (entry: unknown) => (typeof entry === "object" ? JSON.stringify(entry) : entry);

/** A store that holds one entry, whatever it is asked for. */
const holding = (entry: unknown): JwksStore => ({ get: () => text(entry), set: () => undefined });

/** A store that answers after 300 ms, as of then. */
const slow = (keys: object[], delay = 300, age = 0): JwksStore => ({
  get: () =>
    new Promise((resolve) => {
      setTimeout(() => {
        resolve(text({ jwks: { keys }, fetchedAt: Date.now() - age }));
      }, delay);
    }),
  set: () => undefined,
});

/** An API of a fleet whose backend answers 500. */
async function startWithDeadBackend(store: JwksStore) {
  const api = await startProtectedApi({ store });
  api.backend.answer = dead;
  return api;
}

test("Keyv in memory: the second of a fleet starts while the backend is down", async () => {
  const store = new Keyv();
  const first = await startProtectedApi({ store });
  await first.valid();
  const second = createVerifier(first.backend.baseUrl, { jwks: { store } });
  await stop(first.backend.server);
  await second.jwks.ready();
  expect(await second.verify(mint())).toMatchObject({ agentRuntimeId: "agent-1" });
  expect(second.jwks.status()).toEqual(first.verifier.jwks.status());
});

test("the entry is written with a life of cacheMaxAge and staleIfErrorDuration", async () => {
  const written: unknown[][] = [];
  const store: JwksStore = { get: () => undefined, set: (...entry) => written.push(entry) };
  const { verifier, valid } = await startProtectedApi({ store, cacheMaxAge: 1_000, staleIfErrorDuration: 500 });
  await valid();
  const { url, fetchedAt } = verifier.jwks.status();
  expect(written).toEqual([[`agent-identity-auth:jwks:${url}`, expect.any(String), 1_500]]);
  expect(JSON.parse(written[0]?.[1] as string)).toEqual({
    jwks: { keys: [{ kid: "key-1", kty: "RSA", n: signingKey.jwk["n"], e: "AQAB" }] },
    fetchedAt,
  });
});

test.skipIf(!redisIsInstalled)("Redis: another process starts while the backend is down", async () => {
  const redisUrl = await startRedis();
  const { baseUrl, server } = await startBackend();
  const member = () =>
    promisify(execFile)(process.execPath, [
      "--import",
      "tsx",
      "test/faults/fleet-member.ts",
      baseUrl,
      redisUrl,
      mint(),
    ]);
  const expected = { agentRuntimeId: "agent-1", kids: ["key-1"] };
  expect(JSON.parse((await member()).stdout)).toEqual(expected);
  await stop(server);
  expect(JSON.parse((await member()).stdout)).toEqual(expected);
});

describe("an entry", () => {
  test("that is fresh means no fetch; from a random age one runs in the background", async () => {
    const clock = takeOverClock();
    const { backend, valid } = await startProtectedApi({
      store: holding({ jwks, fetchedAt: Date.now() - minutes(4) }),
    });
    await valid();
    clock.advance(minutes(1) - 1);
    await valid();
    await new Promise((resolve) => setTimeout(resolve, 50)); // a refresh would have asked the endpoint by now
    expect(backend.fetches).toBe(0);
    clock.advance(minutes(4) + 1);
    await valid();
    await expect.poll(() => backend.fetches).toBe(1);
  });

  test("as old as cacheMaxAge serves only while the endpoint fails", async () => {
    takeOverClock(); // it stands still, so that the set is exactly as old as cacheMaxAge
    const store = holding({ jwks, fetchedAt: Date.now() - minutes(10) });
    const up = await startProtectedApi({ store });
    await up.valid();
    expect(up.backend.fetches).toBe(1);
    const down = await startWithDeadBackend(store);
    await down.valid();
    expect(down.verifier.jwks.status()).toMatchObject({ stale: true, lastError: "status 500" });
  });

  test.each<[string, unknown]>([
    ["is not there", undefined],
    ["is null", null],
    ["is no text", Symbol("entry")],
    ["is text that is no JSON", "{"],
    ["is null in JSON", "null"],
    ["is a JWKS without a date", jwks],
    ["has no date", { jwks }],
    ["has a date of another type", { jwks, fetchedAt: "2026-01-01T00:00:00Z" }],
    ["is from the future", { jwks, fetchedAt: Date.now() + minutes(1) }],
    ["is past the ceiling", { jwks, fetchedAt: Date.now() - minutes(71) }],
    ["holds text for a JWKS", { jwks: JSON.stringify(jwks), fetchedAt: Date.now() }],
    ["holds no usable key", { jwks: { keys: [] }, fetchedAt: Date.now() }],
    ["is larger than a response may be", text({ jwks, fetchedAt: Date.now(), x: "x".repeat(256 * 1024) })],
  ])("that %s counts as absent", async (_, entry) => {
    const up = await startProtectedApi({ store: holding(entry) });
    await up.valid();
    expect(up.backend.fetches).toBe(1);
    const down = await startWithDeadBackend(holding(entry));
    await down.unavailable();
  });

  test("that is older never replaces a newer set, nor does our own come back as news", async () => {
    const clock = takeOverClock();
    const old = createSigningKey("old");
    const entry = { jwks: { keys: [old.jwk] }, fetchedAt: Date.now() };
    const { backend, verifier, valid } = await startProtectedApi({ store: holding(entry) });
    await valid(mint({}, old));
    expect(backend.fetches).toBe(0);
    for (let refresh = 1; refresh <= 2; refresh++) {
      clock.advance(minutes(10));
      await valid();
      expect(backend.fetches).toBe(refresh);
      expect(verifier.jwks.status().kids).toEqual(["key-1"]);
    }
  });

  test("that is fresh, but older than the set, brings back no key that was revoked since", async () => {
    const clock = takeOverClock();
    const revoked = createSigningKey("revoked");
    const entry = { jwks: { keys: [revoked.jwk] }, fetchedAt: Date.now() - minutes(1) };
    const { backend, valid, invalid } = await startProtectedApi({ store: holding(entry) });
    await valid(mint({}, revoked));
    await valid(); // an unknown kid: the endpoint is asked
    expect(backend.fetches).toBe(1);
    clock.advance(minutes(9));
    await valid();
    await expect.poll(() => backend.fetches).toBe(2);
    await invalid(mint({}, revoked));
    await valid();
  });

  test("that another process refreshed spares the fetch", async () => {
    const clock = takeOverClock();
    const entry = { jwks, fetchedAt: Date.now() };
    const { backend, verifier, valid } = await startProtectedApi({ store: holding(entry) });
    await valid();
    clock.advance(minutes(9));
    entry.fetchedAt = Date.now() - minutes(1);
    await valid();
    await expect.poll(() => verifier.jwks.status().fetchedAt).toBe(entry.fetchedAt);
    expect(backend.fetches).toBe(0);
  });

  test.each([
    ["60 s newer than the set may come from a clock that is ahead: the endpoint is asked", 60_000, 2, ["key-1"]],
    ["more than 60 s newer replaces the set", 60_001, 1, ["key-2"]],
  ])("that is %s", async (_, newerBy, fetches, kids) => {
    const token = mint();
    const clock = takeOverClock();
    const entry = { jwks: { keys: [createSigningKey("key-2").jwk] }, fetchedAt: Infinity };
    const { backend, verifier, valid } = await startProtectedApi({ store: holding(entry) });
    await valid(token);
    entry.fetchedAt = Date.now() + newerBy;
    clock.advance(minutes(9));
    await valid(token);
    await expect.poll(() => [backend.fetches, verifier.jwks.status().kids]).toEqual([fetches, kids]);
  });

  test("that is adopted within a window does not turn its 401 into a 503", async () => {
    const clock = takeOverClock();
    const entry = { jwks, fetchedAt: Date.now() };
    const { backend, verifier, valid, invalid } = await startProtectedApi({
      store: holding(entry),
      cacheMaxAge: 4_000,
    });
    const junk = mint({}, createSigningKey("junk"));
    await valid();
    await invalid(junk);
    clock.advance(4_000);
    entry.fetchedAt = Date.now() - 1; // newer by nearly all of cacheMaxAge
    await valid();
    expect(verifier.jwks.status().fetchedAt).toBe(entry.fetchedAt);
    await invalid(junk);
    expect(backend.fetches).toBe(1);
  });

  test("is not asked for when a token has an unknown kid: the endpoint knows better", async () => {
    const newKey = createSigningKey("key-2");
    const entry = { jwks, fetchedAt: Date.now() - minutes(1) };
    const { backend, valid } = await startProtectedApi({ store: holding(entry) });
    await valid();
    entry.fetchedAt = Date.now(); // another process has just asked, and the new key was not there yet
    backend.keys = [signingKey.jwk, newKey.jwk];
    await valid(mint({}, newKey));
    expect(backend.fetches).toBe(1);
  });
});

describe("a store that", () => {
  const broken = () => {
    throw new Error("secret");
  };
  test.each<[string, JwksStore]>([
    ["hangs", { get: never, set: never }],
    ["rejects", { get: () => Promise.reject(new Error("x")), set: () => Promise.reject(new Error("x")) }],
    ["throws", { get: broken, set: broken }],
    ["gives what throws", { get: () => new Proxy({}, { get: broken }), set: broken }],
    ["gives what throws when awaited", { get: () => Promise.resolve().then(broken), set: broken }],
  ])("%s delays nobody and costs nothing but the sharing", async (_, store) => {
    const { backend, valid } = await startProtectedApi({ store });
    expect((await valid()).duration).toBeLessThan(1_000);
    await valid();
    expect(backend.fetches).toBe(1);
  });

  test("hangs while the backend is down is an outage, told within its 2 s", async () => {
    const { backend, unavailable } = await startWithDeadBackend({ get: never, set: never });
    const { duration } = await unavailable();
    expect(duration).toBeLessThan(4_000);
    expect(backend.fetches).toBe(1);
  });

  test("is slow, and newer than a hanging endpoint, serves as soon as it answers", async () => {
    const store = slow([signingKey.jwk]);
    const { backend, valid } = await startProtectedApi({ store });
    backend.answer = () => undefined;
    const { duration } = await valid();
    expect(duration).toBeLessThan(2_000);
  });

  test("gives what was fetched after our own slow fetch had begun keeps it, unharmed", async () => {
    const newKey = createSigningKey("key-2");
    const written: unknown[] = [];
    const store = { ...slow([signingKey.jwk, newKey.jwk]), set: (_name: string, entry: string) => written.push(entry) };
    const { backend, verifier, valid } = await startProtectedApi({ store });
    let answered = false;
    backend.answer = (_req, res) => {
      setTimeout(() => {
        res.end(JSON.stringify(jwks), () => (answered = true));
      }, 600);
    };
    await valid(mint({}, newKey));
    await expect.poll(() => answered).toBe(true);
    await verifier.jwks.ready();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(verifier.jwks.status().kids).toEqual(["key-1", "key-2"]);
    expect(written).toEqual([]);
  });

  test("overtakes a fetch that fails in the end: by then a later one has found the endpoint well", async () => {
    const [second, third] = [createSigningKey("key-2"), createSigningKey("key-3")];
    const store = slow([signingKey.jwk]);
    const { backend, verifier } = await startProtectedApi({ store, timeoutDuration: 800, cooldownDuration: 0 });
    const gaveUp = new Promise((resolve) => {
      backend.answer = (req) => {
        backend.answer = undefined;
        req.once("close", resolve);
      };
    });
    await verifier.verify(mint());
    backend.keys = [signingKey.jwk, second.jwk];
    await verifier.verify(mint({}, second));
    expect(backend.fetches).toBe(2);
    await gaveUp;
    await new Promise((resolve) => setTimeout(resolve, 50)); // from the connection's end to the verdict on the fetch
    expect(verifier.jwks.status().lastError).toBeNull();
    backend.keys = [signingKey.jwk, second.jwk, third.jwk];
    expect(await verifier.verify(mint({}, third))).toMatchObject({ agentRuntimeId: "agent-1" });
  });

  test("is slow is overtaken by the endpoint, and waited for when that fails", async () => {
    const store = slow([signingKey.jwk], 700, minutes(20));
    const up = await startProtectedApi({ store });
    expect((await up.valid()).duration).toBeLessThan(700);
    expect(up.backend.fetches).toBe(1);
    const down = await startWithDeadBackend(store);
    await down.valid();
  });
});
