import { expect, test } from "vitest";
import { mint, now, signingKey } from "../support/agents.js";
import { sendJson } from "../support/servers.js";
import { minutes, takeOverClock } from "../support/clock.js";
import { startProtectedApi } from "../support/protected-api.js";

const HOUR = minutes(60);

test("a wall clock that jumps back ages no key set and fetches nothing", async () => {
  const clock = takeOverClock();
  const { backend, valid } = await startProtectedApi();
  const token = mint({ exp: now() + 7 * 86_400 });
  await valid(token);
  backend.answer = (_req, res) => res.writeHead(500).end();
  clock.jump(-48 * HOUR);
  for (let i = 0; i < 3; i++) await valid(token);
  await valid(mint());
  expect(backend.fetches).toBe(1);
});

test("a machine that was suspended, whose monotonic clock stood still, does not trust its old set", async () => {
  const clock = takeOverClock();
  const { backend, verifier, valid, invalid, unavailable } = await startProtectedApi();
  const token = mint({ exp: now() + 7 * 86_400 });
  await valid(token);
  clock.jump(48 * HOUR);
  expect(verifier.jwks.status()).toMatchObject({ stale: true });
  backend.keys = [{ ...signingKey.jwk, kid: "another" }];
  await invalid(token);
  backend.answer = (_req, res) => res.writeHead(500).end();
  clock.jump(48 * HOUR);
  await unavailable(token);
});

test("a wall clock that jumps forward expires tokens, remembered ones too; one that is set right again revives them", async () => {
  const clock = takeOverClock();
  const { valid, invalid } = await startProtectedApi();
  const token = mint();
  await valid(token);
  clock.jump(HOUR + minutes(1));
  await invalid(token);
  clock.jump(-HOUR - minutes(1));
  await valid(token);
});

test("a wall clock that jumps back during an outage lengthens no back-off", async () => {
  const clock = takeOverClock();
  const { backend, valid, unavailable } = await startProtectedApi();
  backend.answer = (_req, res) => res.writeHead(500).end();
  await unavailable();
  clock.jump(-HOUR);
  backend.answer = undefined;
  clock.advance(2_000);
  await valid();
});

test("an answer that comes after its deadline is dropped: the newer set stays", async () => {
  const releases: (() => void)[] = [];
  const old = { keys: [{ ...signingKey.jwk, kid: "old" }] };
  const clock = takeOverClock();
  const { backend, verifier, valid, unavailable } = await startProtectedApi({
    timeoutDuration: 200,
    // It ignores its signal, as custom ones do: the first answer arrives long after it was given up.
    fetch: async (url) => {
      const response = await fetch(url);
      if (backend.fetches === 1) await new Promise<void>((resolve) => releases.push(resolve));
      return response;
    },
  });
  backend.answer = (_req, res) => {
    sendJson(res, old);
  };
  await unavailable();
  backend.answer = undefined;
  clock.advance(30_000);
  await valid();
  expect(releases).toHaveLength(1);
  releases.forEach((release) => {
    release();
  });
  await new Promise(setImmediate);
  expect(verifier.jwks.status().kids).toEqual(["key-1"]);
  await valid();
});
