import { describe, expect, test } from "vitest";
import { createSigningKey, mint } from "../support/agents.js";
import { minutes, takeOverClock } from "../support/clock.js";
import { median, startProtectedApi } from "../support/protected-api.js";

const dead = (_req: unknown, res: { writeHead(status: number): { end(): void } }) => {
  res.writeHead(500).end();
};
const hanging = () => undefined;

describe("with a warm set", () => {
  test("an outage is not felt up to the ceiling, costs a constant, and past the ceiling is 503", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid, unavailable } = await startProtectedApi();
    await valid();
    backend.answer = dead;
    // Ten minutes of cacheMaxAge and an hour on top, with a request every 5 s; the refresh begins at half the age.
    for (let second = 5; second < 70 * 60; second += 5) {
      clock.advance(5_000);
      await valid(second % 50 ? undefined : mint({ exp: Math.floor(Date.now() / 1000) + 60 }));
    }
    const attempts = backend.fetches - 1;
    expect(verifier.jwks.status()).toMatchObject({ stale: true, lastError: "status 500" });
    // 65 minutes of attempts, 15 to 30 s apart once the back-off has grown, after a few quicker ones.
    expect(attempts).toBeGreaterThan(65);
    expect(attempts).toBeLessThan(65 * 4 + 6);
    clock.advance(5_000);
    await unavailable();

    backend.answer = undefined;
    clock.advance(30_000);
    await valid();
    expect(verifier.jwks.status()).toMatchObject({ stale: false, lastError: null });
  });

  test("once an attempt has failed, nobody waits for the next: a hanging endpoint delays no request", async () => {
    const clock = takeOverClock();
    const { backend, valid } = await startProtectedApi({ timeoutDuration: 300 });
    await valid();
    backend.answer = hanging;
    clock.advance(minutes(11));
    await valid();
    const durations = [];
    for (let i = 0; i < 50; i++) {
      clock.advance(2_000);
      durations.push((await valid()).duration);
    }
    expect(median(durations)).toBeLessThan(100);
  });

  test("from half its age a set is refreshed in the background: nobody waits", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid } = await startProtectedApi({ timeoutDuration: 1_000 });
    const token = mint();
    await valid(token);
    backend.answer = hanging;
    clock.advance(minutes(5));
    for (let i = 0; i < 10; i++)
      expect((await valid(i % 2 ? token : mint({ jti: String(i) }))).duration).toBeLessThan(500);
    expect(backend.fetches).toBe(2);
    backend.answer = undefined;
    await expect.poll(() => verifier.jwks.status().lastError).toBe("no complete answer within 1000 ms");
  });

  test("a ceiling of 0 serves nothing stale", async () => {
    const clock = takeOverClock();
    const { backend, valid, unavailable } = await startProtectedApi({ staleIfErrorDuration: 0 });
    const token = mint();
    await valid(token);
    backend.answer = dead;
    clock.advance(minutes(10) - 1);
    await valid(token);
    clock.advance(1);
    await unavailable(token);
  });
});

test("recovery comes within one back-off step", async () => {
  const clock = takeOverClock();
  const { backend, valid, unavailable } = await startProtectedApi();
  backend.answer = dead;
  const steps = [];
  for (let i = 0; i < 8; i++) {
    const { retryAfter } = await unavailable();
    steps.push(retryAfter);
    clock.advance(retryAfter * 1_000);
  }
  expect(backend.fetches).toBe(8);
  expect(steps.map((step) => step >= 1 && step <= 30)).toEqual(Array(8).fill(true));
  const { retryAfter } = await unavailable();
  backend.answer = undefined;
  await unavailable();
  clock.advance(retryAfter * 1_000);
  await valid();
  expect(steps[0]).toBeLessThanOrEqual(2);
  expect(steps[7]).toBeGreaterThanOrEqual(15);
});

describe("ready", () => {
  test("resolves with a usable set, joins a running fetch, and ignores the back-off", async () => {
    const { backend, verifier, valid } = await startProtectedApi();
    backend.answer = dead;
    await expect(verifier.jwks.ready()).rejects.toMatchObject({ code: "keys_unavailable", status: 503 });
    await expect(verifier.jwks.ready()).rejects.toMatchObject({ code: "keys_unavailable", status: 503 });
    expect(backend.fetches).toBe(2);
    backend.answer = undefined;
    await Promise.all([verifier.jwks.ready(), verifier.jwks.ready(), valid()]);
    expect(backend.fetches).toBe(3);
    await verifier.jwks.ready();
    expect(backend.fetches).toBe(3);
  });

  test("fetches from cacheMaxAge on, when the set is stale", async () => {
    const clock = takeOverClock();
    const { backend, verifier } = await startProtectedApi();
    await verifier.jwks.ready();
    clock.advance(minutes(10));
    expect(verifier.jwks.status().stale).toBe(true);
    await verifier.jwks.ready();
    expect(backend.fetches).toBe(2);
  });

  test("resolves in an outage while a set is within its ceiling", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid } = await startProtectedApi();
    await valid();
    backend.answer = dead;
    clock.advance(minutes(69));
    await verifier.jwks.ready();
    clock.advance(minutes(1));
    await expect(verifier.jwks.ready()).rejects.toMatchObject({ code: "keys_unavailable" });
  });
});

test("a set that reaches its ceiling while an unknown kid is asked for serves no longer", async () => {
  const clock = takeOverClock();
  const { backend, valid, unavailable } = await startProtectedApi({ cacheMaxAge: 100, staleIfErrorDuration: 0 });
  await valid();
  backend.answer = (req, res) => {
    clock.advance(100);
    dead(req, res);
  };
  await unavailable(mint({}, createSigningKey("key-2")));
});

test("an unknown kid respects the back-off that another fetch has started", async () => {
  const clock = takeOverClock();
  const { backend, verifier, valid, unavailable } = await startProtectedApi();
  await valid();
  backend.answer = dead;
  clock.advance(minutes(6));
  await valid();
  await expect.poll(() => verifier.jwks.status().lastError).toBe("status 500");
  await unavailable(mint({}, createSigningKey("key-2")));
  expect(backend.fetches).toBe(2);
});

test("an unknown kid in an outage is 503, not 401, and costs no fetch while backing off", async () => {
  const clock = takeOverClock();
  const { backend, valid, unavailable } = await startProtectedApi();
  await valid();
  backend.answer = dead;
  const newKey = createSigningKey("key-2");
  await unavailable(mint({}, newKey));
  for (let i = 0; i < 20; i++) await unavailable(mint({}, { ...newKey, kid: `junk-${i}` }));
  expect(backend.fetches).toBe(2);
  await valid();
  clock.advance(10_000);
  backend.keys = [...backend.keys, newKey.jwk];
  backend.answer = undefined;
  await valid(mint({}, newKey));
});
