/** Cloudflare Workers end the work of a request when it is answered or its caller hangs up: no other request may wait for it. */

import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { mint, signingKey } from "../support/agents.js";
import { bearer } from "../support/request-table.js";
import { send, sendJson, startBackend, type Backend } from "../support/servers.js";
import { onWorkers, type WorkerOptions } from "./runtimes.js";

const CACHE_MAX_AGE = 1_000; // ms
const CALLERS = 200;

const workers: [name: string, options: WorkerOptions][] = [
  ["without waitUntil", {}],
  ["with waitUntil", { passWaitUntil: true }],
  ["of 2024, without waitUntil", { compatibilityDate: "2024-10-01" }],
];

describe.each(workers)("a worker %s", (_, options) => {
  test("refreshes past cacheMaxAge, again and again, and drops a withdrawn key", async () => {
    const { backend, ask } = await start(options);
    const token = mint();
    for (let period = 0; period < 3; period++) {
      expect(await ask(token)).toBe(200);
      expect(await ask(token)).toBe(200);
      await sleep(CACHE_MAX_AGE + 100);
    }
    expect(backend.fetches).toBeGreaterThanOrEqual(3);
    backend.keys = [{ ...signingKey.jwk, kid: "another" }];
    await expect.poll(() => ask(token), { timeout: 10_000, interval: 300 }).toBe(401);
  });

  test("serves the last set while the endpoint fails, and the new one when it is back", async () => {
    const { backend, ask } = await start(options);
    const token = mint();
    expect(await ask(token)).toBe(200);
    backend.answer = (_req, res) => res.writeHead(500).end();
    for (let second = 0; second < 4; second++) {
      await sleep(500);
      expect(await ask(token)).toBe(200);
    }
    backend.answer = undefined;
    backend.keys = [{ ...signingKey.jwk, kid: "another" }];
    await expect.poll(() => ask(token), { timeout: 20_000, interval: 300 }).toBe(401);
  });

  test(`is well after ${CALLERS} callers have hung up while keys are fetched`, async () => {
    const { backend, ask, hangUp } = await start(options);
    const slowly = () => {
      backend.answer = (_req, res) => {
        setTimeout(() => {
          sendJson(res, { keys: backend.keys });
        }, 300);
      };
    };
    slowly();
    const token = mint();
    await Promise.all(Array.from({ length: CALLERS }, () => hangUp(token, 50)));
    expect(await ask(token)).toBe(200); // the first set
    await sleep(CACHE_MAX_AGE + 100);
    await Promise.all(Array.from({ length: CALLERS }, () => hangUp(token, 50)));
    expect(await ask(token)).toBe(200); // a refresh
    expect(await ask(mint({}, { ...signingKey, kid: "unknown" }))).toBe(401); // an unknown kid
  });

  test(`is well after ${CALLERS} callers have hung up while signatures are checked`, async () => {
    const { ask, hangUp } = await start(options);
    const tokens = Array.from({ length: CALLERS }, (_, i) => mint({ jti: String(i) }));
    expect(await ask(mint())).toBe(200);
    await Promise.all(tokens.map((token, i) => hangUp(token, i % 8)));
    expect(new Set(await Promise.all(tokens.map((token) => ask(token))))).toEqual(new Set([200]));
  });

  test("shares keys between factories that are called per request", async () => {
    const { backend, ask } = await start(options);
    for (let i = 0; i < 5; i++) expect(await ask(mint({ jti: String(i) }), "/per-request")).toBe(200);
    expect(backend.fetches).toBe(1);
  });
});

async function start(options: WorkerOptions) {
  const backend: Backend = await startBackend();
  const app = await onWorkers(options)(backend.baseUrl, {
    jwks: { cacheMaxAge: CACHE_MAX_AGE, timeoutDuration: 2_000 },
  });
  onTestFinished(() => app.stop());
  return {
    backend,
    /** The status, at most 8 s later: a request that hangs fails the test. */
    ask: async (token: string, path = "/required"): Promise<number> => {
      const late = sleep(8_000).then(() => Promise.reject(new Error("the request hangs")));
      return (await Promise.race([send(app.url + path, bearer(token)), late])).status;
    },
    /** Sends a request and closes the connection so many ms later. */
    hangUp: (token: string, after: number) =>
      new Promise<void>((resolve) => {
        const req = request(`${app.url}/required`, { headers: { authorization: `Bearer ${token}` }, agent: false });
        req.on("error", () => undefined).on("close", resolve);
        req.end();
        setTimeout(() => req.destroy(), after);
      }),
  };
}
