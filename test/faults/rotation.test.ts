import { describe, expect, test } from "vitest";
import { mint, secondKey as newKey, signingKey, stranger as junk } from "../support/agents.js";
import { sendJson } from "../support/servers.js";
import { watchSignatureJobs } from "../support/signature-jobs.js";
import { occupyThreadPool } from "../support/thread-pool.js";
import { minutes, takeOverClock } from "../support/clock.js";
import { median, startProtectedApi } from "../support/protected-api.js";

const junkToken = (i: number) => mint({}, { ...junk, kid: `junk-${String(i)}` });

test("1000 cold requests make one fetch; of a dead endpoint too, and 1000 more none", async () => {
  takeOverClock(); // it stands still: the back-off does not end meanwhile
  for (const isDead of [false, true]) {
    const { backend, valid, unavailable } = await startProtectedApi();
    if (isDead) backend.answer = (_req, res) => res.writeHead(500).end();
    for (let round = 0; round < 2; round++) {
      const token = mint();
      const tokens = Array.from({ length: 1000 }, (_, i) => (i % 10 ? token : mint({ jti: String(i) })));
      await Promise.all(tokens.map((each) => (isDead ? unavailable : valid)(each)));
      expect(backend.fetches).toBe(1);
    }
  }
});

describe("rotation", () => {
  test("the first token of a new key passes at once, whatever was refreshed just now", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid } = await startProtectedApi();
    await valid();
    clock.advance(1);
    await verifier.jwks.ready();
    backend.keys = [signingKey.jwk, newKey.jwk];
    await valid(mint({}, newKey));
    await valid();
    expect(backend.fetches).toBe(2);
  });

  test("100 first tokens of a new key at once make one fetch", async () => {
    const { backend, valid } = await startProtectedApi();
    await valid();
    backend.keys = [newKey.jwk, signingKey.jwk];
    await Promise.all(Array.from({ length: 100 }, (_, i) => valid(mint({ jti: String(i) }, newKey))));
    expect(backend.fetches).toBe(2);
  });

  test("a cold start with an unknown kid costs one fetch: what was asked for after the token came is conclusive", async () => {
    const { backend, invalid } = await startProtectedApi();
    await invalid(junkToken(1));
    expect(backend.fetches).toBe(1);
  });

  test.each([
    ["an old set", 10],
    ["a set past half its age", 6],
  ])("an unknown kid that meets %s costs one fetch: the one that it starts is conclusive", async (_set, age) => {
    const clock = takeOverClock();
    const { backend, valid, invalid } = await startProtectedApi();
    await valid();
    clock.advance(minutes(age));
    await invalid(junkToken(1));
    expect(backend.fetches).toBe(2);
  });

  test("an unknown kid that meets a refresh from before its time is not refused for it", async () => {
    const clock = takeOverClock();
    const { backend, valid } = await startProtectedApi();
    await valid();
    clock.advance(minutes(6));
    // The background refresh has its answer, without the new key, on the way when the first token of that key comes.
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    backend.answer = (_req, res) => {
      backend.answer = undefined;
      void released.then(() => {
        sendJson(res, { keys: [signingKey.jwk] });
      });
    };
    await valid();
    backend.keys = [signingKey.jwk, newKey.jwk];
    clock.advance(1);
    const first = Array.from({ length: 5 }, (_, i) => valid(mint({ jti: String(i) }, newKey)));
    setTimeout(release, 100); // when all of them wait for it
    await Promise.all(first);
    expect(backend.fetches).toBe(3);
  });
});

describe("a flood of junk kids", () => {
  test("5000 of them with valid traffic beside: one fetch a window, and no valid request refused or delayed", async () => {
    const { backend, valid, invalid } = await startProtectedApi();
    await valid();
    backend.answer = (_req, res) => {
      setTimeout(() => {
        sendJson(res, { keys: backend.keys });
      }, 50);
    };
    const [, ...rest] = junkToken(0).split(".");
    const withKid = (kid: string) =>
      [Buffer.from(JSON.stringify({ alg: "RS256", kid })).toString("base64url"), ...rest].join(".");
    const durations = [];
    for (let burst = 0; burst < 50; burst++) {
      const flood = Array.from({ length: 100 }, (_, i) => invalid(withKid(`junk-${burst * 100 + i}`)));
      durations.push((await valid()).duration);
      await Promise.all(flood);
    }
    expect(backend.fetches).toBe(2);
    expect(median(durations)).toBeLessThan(100);
  });

  test("a request whose kid is known does not wait for the fetch that junk started", async () => {
    const { backend, valid, unavailable } = await startProtectedApi({ timeoutDuration: 1_000 });
    await valid();
    backend.answer = () => undefined;
    const waiting = unavailable(junkToken(1));
    await expect.poll(() => backend.fetches).toBe(2);
    expect((await valid()).duration).toBeLessThan(500);
    await waiting;
  });

  test("the next window has one fetch more; in it the new key is found", async () => {
    const clock = takeOverClock();
    const { backend, valid, invalid } = await startProtectedApi();
    await valid();
    for (let window = 1; window <= 5; window++) {
      clock.advance(10_000);
      for (let i = 0; i < 10; i++) await invalid(junkToken(i));
      expect(backend.fetches).toBe(1 + window);
    }
    // The one named exception: during a flood a brand-new key may wait for the next window.
    backend.keys = [signingKey.jwk, newKey.jwk];
    await invalid(mint({}, newKey));
    clock.advance(10_000);
    await valid(mint({}, newKey));
  });

  test("a cooldown of 0 asks each time", async () => {
    const { backend, valid, invalid } = await startProtectedApi({ cooldownDuration: 0 });
    await valid();
    for (let i = 0; i < 5; i++) await invalid(junkToken(i));
    expect(backend.fetches).toBe(6);
  });

  test("tokens that their own unverified parts condemn cause no fetch at all", async () => {
    const { backend, valid, invalid } = await startProtectedApi();
    await valid();
    for (const claims of [{ iss: "x" }, { aud: "x" }, { exp: 1 }, { nbf: 4e9 }, { email: 1 }]) {
      await invalid(mint(claims, { ...junk, kid: "junk" }));
    }
    expect(backend.fetches).toBe(1);
  });
});

describe("revocation", () => {
  test("a key that a good answer lacks stops at once, tokens verified before included", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid, invalid } = await startProtectedApi();
    backend.keys = [signingKey.jwk, newKey.jwk];
    const remembered = mint();
    const kept = mint({}, newKey);
    await valid(remembered);
    await valid(kept);
    backend.keys = [newKey.jwk];
    clock.advance(minutes(10));
    await valid(kept);
    expect(verifier.jwks.status().kids).toEqual(["key-2"]);
    await invalid(remembered);
    await invalid(mint());
    await valid(kept);
  });

  test("a key that is revoked while a token of it is verified has not verified it", async () => {
    const { backend, verifier, valid, invalid } = await startProtectedApi();
    backend.keys = [signingKey.jwk, newKey.jwk];
    await valid(mint({}, newKey));
    const release = occupyThreadPool();
    const jobs = watchSignatureJobs();
    const token = mint();
    const before = invalid(token);
    await expect.poll(() => jobs.started).toBe(1);
    backend.keys = [newKey.jwk];
    await invalid(junkToken(1));
    expect(verifier.jwks.status().kids).toEqual(["key-2"]);
    const after = invalid(token);
    await release();
    await Promise.all([before, after]);
    expect(jobs.calledBack).toBe(1);
    await invalid(token);
  });

  const replacement = { ...newKey, kid: "key-1", jwk: { ...newKey.jwk, kid: "key-1" } };
  test.each<[string, unknown[]]>([
    ["replaced under its kid", [replacement.jwk]],
    ["replaced by one with another exponent", [{ ...signingKey.jwk, e: "Aw" }]],
    ["made unusable", [{ ...signingKey.jwk, use: "enc" }, signingKey.jwk, newKey.jwk]],
  ])("a key that is %s is another key: what the old one verified is refused", async (_, keys) => {
    const clock = takeOverClock();
    const { backend, valid, invalid } = await startProtectedApi();
    const remembered = mint();
    await valid(remembered);
    backend.keys = keys;
    clock.advance(minutes(10));
    if (keys.includes(replacement.jwk)) await valid(mint({}, replacement));
    await invalid(remembered);
  });
});
