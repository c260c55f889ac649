/** Trouble with the keys is told to the operator once, and never per request. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createJwksResolver, createVerifier, type JwksResolver, type VerifierOptions } from "../../src/index.js";
import { createSigningKey, mint } from "../support/agents.js";
import { takeOverClock } from "../support/clock.js";
import { startBackend } from "../support/servers.js";

let told: string[] = [];

beforeEach(() => {
  told = [];
  vi.spyOn(process, "emitWarning").mockImplementation((message, name) => {
    expect(name).toBe("AgentIdentityWarning");
    told.push(String(message));
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

async function start(options: VerifierOptions = {}) {
  const backend = await startBackend();
  const jwks: JwksResolver = createJwksResolver(backend.baseUrl);
  const url = `${backend.baseUrl}/wham/agent-identities/jwks`;
  const verifier = createVerifier(backend.baseUrl, { tokenCache: false, ...options, jwks });
  const verify = (token: string) =>
    verifier.verify(token).then(
      () => "accepted",
      (error: unknown) => (error as { code: string }).code,
    );
  return { backend, jwks, url, verify };
}

const down = (_req: unknown, res: { writeHead(status: number): { end(): void } }) => {
  res.writeHead(500).end();
};

describe("an outage from the start", () => {
  test("is told once, with the URL and the reason, and so is its end", async () => {
    const clock = takeOverClock();
    const { backend, url, verify } = await start();
    backend.answer = down;
    for (let i = 0; i < 3; i++) expect(await verify(mint())).toBe("keys_unavailable");
    expect(told).toEqual([expect.stringContaining(`there are no keys from ${url} (status 500)`)]);
    backend.answer = undefined;
    clock.advance(31_000);
    expect(await verify(mint())).toBe("accepted");
    expect(told.slice(1)).toEqual([`the keys of ${url} are back`]);
  });
});

test("a set that serves past cacheMaxAge is told once, with the time that it has left", async () => {
  const clock = takeOverClock();
  const { backend, url, verify } = await start();
  expect(await verify(mint())).toBe("accepted");
  backend.answer = down;
  clock.advance(601_000);
  for (let i = 0; i < 3; i++) expect(await verify(mint())).toBe("accepted");
  expect(told).toEqual([
    `the keys of ${url} cannot be refreshed (status 500). The last set serves for 60 more minutes; after that, requests are answered with 503`,
  ]);
});

test("kids that the set does not have are told once a set, without the kid of the token", async () => {
  const { backend, url, verify } = await start({});
  for (const kid of ["secret-1", "secret-2"]) {
    expect(await verify(mint({}, createSigningKey(kid)))).toBe("key_untrusted");
  }
  expect(told).toEqual([
    `a token was refused because ${url} does not have its key. It has key-1. Compare the base URL with the backend that issues the tokens`,
  ]);
  expect(backend.fetches).toBe(2);
});

test("a set of many keys is not listed whole", async () => {
  const { backend, verify } = await start();
  backend.keys = Array.from({ length: 10 }, (_, i) => ({ ...(backend.keys[0] as object), kid: `k${i}` }));
  expect(await verify(mint())).toBe("key_untrusted");
  expect(told[0]).toContain("It has k0, k1, k2, k3, k4, k5, k6, k7 and 2 more. ");
});

test("warnings: false silences the verifier that says so, and no other", async () => {
  const { backend, jwks, verify } = await start({ warnings: false });
  backend.answer = down;
  expect(await verify(mint())).toBe("keys_unavailable");
  expect(told).toEqual([]);
  const loud = createVerifier(backend.baseUrl, { jwks });
  await expect(loud.verify(mint())).rejects.toMatchObject({ code: "keys_unavailable" });
  expect(told).toHaveLength(1);
});

test("a warning that fails fails no request", async () => {
  const failing = vi.spyOn(process, "emitWarning").mockImplementation(() => {
    throw new Error("no warnings here");
  });
  const fallback = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { verify } = await start();
  expect(await verify(mint({}, createSigningKey("other")))).toBe("key_untrusted");
  expect(failing).toHaveBeenCalledTimes(1);
  expect(fallback).toHaveBeenCalledTimes(1);
});

test("waitUntil gets the refresh that runs after the answer", async () => {
  const clock = takeOverClock();
  const work: Promise<unknown>[] = [];
  const { backend, verify } = await start({ waitUntil: (promise) => void work.push(promise) });
  expect(await verify(mint())).toBe("accepted");
  expect(work).toEqual([]);
  clock.advance(301_000);
  expect(await verify(mint())).toBe("accepted");
  expect(work).toHaveLength(1);
  await work[0];
  expect(backend.fetches).toBe(2);
});
