import { expect, test } from "vitest";
import { mint } from "../support/agents.js";
import { takeOverClock } from "./clock.js";
import { report, startProtectedApi } from "./protected-api.js";

test("1000 cold requests make one fetch", async () => {
  const { backend, valid } = await startProtectedApi();
  const token = mint();
  const asked = await Promise.all(
    Array.from({ length: 1000 }, (_, i) => valid(i % 2 ? token : mint({ jti: String(i) }))),
  );
  expect(asked.every(({ status }) => status === 200)).toBe(true);
  expect(backend.fetches).toBe(1);
  report(`stampede: 1000 cold requests, ${backend.fetches} fetch`);
});

test("1000 cold requests of a dead endpoint make one fetch, and 1000 more none", async () => {
  takeOverClock(); // it stands still: the back-off does not end meanwhile
  const { backend, valid } = await startProtectedApi();
  backend.answer = (_req, res) => res.writeHead(500).end();
  for (const round of [1, 2]) {
    const asked = await Promise.all(Array.from({ length: 1000 }, () => valid(undefined, { outage: true })));
    expect(asked.every(({ status, retryAfter }) => status === 503 && retryAfter !== undefined && retryAfter >= 1)).toBe(
      true,
    );
    expect(backend.fetches, `round ${round}`).toBe(1);
  }
  report(`stampede on a dead endpoint: 2000 requests, ${backend.fetches} fetch`);
});
