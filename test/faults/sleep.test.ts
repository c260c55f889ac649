import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createVerifier, type Fetch, type JwksOptions } from "../../src/index.js";
import { createSigningKey, mint, signingKey } from "../support/agents.js";
import { sendJson, startBackend } from "../support/servers.js";
import { takeOverClock, type TestClock } from "../support/clock.js";
import { startProtectedApi } from "../support/protected-api.js";

test("a process that is frozen between requests refuses nobody, and blames no endpoint", async () => {
  const backend = await startBackend();
  // Slow enough for the process to be frozen before the answer to a refresh in the background.
  backend.answer = (_req, res) =>
    void sleep(30).then(() => {
      sendJson(res, { keys: backend.keys });
    });
  const child = fork("test/faults/sleeping-process.ts", [backend.baseUrl, mint()], { execArgv: ["--import", "tsx"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child, "message");
  const answers: unknown[] = [];
  for (let call = 0; call < 6; call++) {
    child.kill("SIGCONT");
    child.send("verify");
    answers.push((await once(child, "message"))[0]);
    child.kill("SIGSTOP");
    await sleep(1_200); // longer than a deadline and the tolerance for a late one
  }
  expect(answers).toEqual(Array(6).fill({ refused: false, lastError: null }));
  expect(backend.fetches).toBeGreaterThan(1);
});

const TIMEOUT = 250;
/** What a deadline may be late by without the process having stood still. */
const LATEST = TIMEOUT + 500;

type Move = (clock: TestClock, by: number) => void;
const bothClocks: Move = (clock, by) => {
  clock.advance(by);
};

/** An API whose clocks move on by so many ms during each fetch, which then hangs. */
async function startSleeper(by = LATEST + 1, move = bothClocks, jwks: JwksOptions = {}) {
  const clock = takeOverClock();
  const api = await startProtectedApi({ timeoutDuration: TIMEOUT, ...jwks });
  const hang = () => {
    move(clock, by);
  };
  const hangOnce = () => {
    api.backend.answer = undefined;
    hang();
  };
  return { ...api, clock, hang, hangOnce };
}

describe("a deadline that fires late", () => {
  test.each<[string, Move]>([
    ["both clocks", bothClocks],
    [
      "the wall clock alone",
      (clock, by) => {
        clock.jump(by);
      },
    ],
    [
      "the monotonic clock alone",
      (clock, by) => {
        clock.advance(by);
        clock.jump(-by);
      },
    ],
  ])("by %s, is no failure: those who wait get a second answer", async (_, move) => {
    const { backend, verifier, valid, hangOnce } = await startSleeper(LATEST + 1, move);
    backend.answer = hangOnce;
    await Promise.all([valid(), valid(mint({ jti: "another" }))]);
    expect(backend.fetches).toBe(2);
    expect(verifier.jwks.status().lastError).toBeNull();
  });

  test.each([0, LATEST - 1])("by %i ms, in a process that is awake, is one, and 503", async (by) => {
    const { backend, verifier, unavailable, hang } = await startSleeper(by);
    backend.answer = hang;
    for (let i = 0; i < 2; i++) await unavailable();
    expect(backend.fetches).toBe(1);
    expect(verifier.jwks.status().lastError).toBe(`no complete answer within ${TIMEOUT} ms`);
  });

  test("again and again is 503 in the end, and begins no back-off", async () => {
    const { backend, verifier, valid, unavailable, hang } = await startSleeper();
    backend.answer = hang;
    expect(await unavailable()).toMatchObject({ retryAfter: 1 });
    expect(backend.fetches).toBe(3);
    expect(verifier.jwks.status().lastError).toBeNull();
    backend.answer = undefined;
    await valid();
  });

  test("while an unknown kid is asked for costs it another fetch, not the window", async () => {
    const { backend, valid, invalid, hangOnce } = await startSleeper();
    await valid();
    const newKey = createSigningKey("key-2");
    backend.keys = [signingKey.jwk, newKey.jwk];
    backend.answer = hangOnce;
    await valid(mint({}, newKey));
    expect(backend.fetches).toBe(3);
    // The window is that of the fetch that was answered.
    await invalid(mint({}, createSigningKey("key-3")));
    expect(backend.fetches).toBe(3);
  });
});

test("a refresh that stands still ends no window of an unknown kid", async () => {
  const sleeper = await startSleeper(LATEST + 1, bothClocks, { cacheMaxAge: 4_000 });
  const { backend, verifier, clock, valid, invalid, hangOnce } = sleeper;
  const junk = (kid: string) => mint({}, { ...signingKey, kid });
  await valid();
  await invalid(junk("a")); // opens the window, by fetch 2
  clock.advance(2_000);
  backend.answer = hangOnce;
  await valid(); // starts the refresh in the background, which is fetch 3
  await sleep(TIMEOUT + 100);
  await verifier.jwks.ready();
  await invalid(junk("b")); // meets another refresh, whose answer decides
  await invalid(junk("c"));
  expect(backend.fetches).toBe(4);
});

describe("an HTTP cache on the way is not asked", () => {
  const watchInit = async () => {
    const inits: object[] = [];
    const custom: Fetch = (url, init) => {
      inits.push(init);
      return fetch(url, init);
    };
    const { baseUrl } = await startBackend();
    await createVerifier(baseUrl, { jwks: { fetch: custom } }).jwks.ready();
    return inits;
  };

  test("by a custom fetch", async () => {
    expect(await watchInit()).toMatchObject([{ cache: "no-store", redirect: "manual" }]);
  });

  test("nor is it told so where the runtime would refuse to fetch at all", async () => {
    const refuse = (_url: string, init: object) => {
      if ("cache" in init) throw new Error("The 'cache' field on 'RequestInitializerDict' is not implemented.");
    };
    vi.stubGlobal(
      "Request",
      vi.fn(function (...args: Parameters<typeof refuse>) {
        refuse(...args);
      }),
    );
    onTestFinished(() => void vi.unstubAllGlobals());
    const [init] = await watchInit();
    expect(init).toMatchObject({ redirect: "manual" });
    expect(init).not.toHaveProperty("cache");
  });
});
