import { execFile } from "node:child_process";
import type { RequestListener } from "node:http";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { createSigningKey, mint, signingKey } from "../support/agents.js";
import { listen, sendJson, startBackend, stop } from "../support/servers.js";
import { takeOverClock, minutes } from "./clock.js";
import { report, startProtectedApi } from "./protected-api.js";

const TIMEOUT = 300;
const goodSet = JSON.stringify({ keys: [signingKey.jwk] });
const weak = createSigningKey("key-1", 1024).jwk;

const text =
  (body: string | Buffer, status = 200, headers: Record<string, string> = {}): RequestListener =>
  (_req, res) =>
    res.writeHead(status, { "Content-Type": "application/json", ...headers }).end(body);

/** Sends until nobody listens any more. */
const endless =
  (chunk: string | Buffer, pause: number): RequestListener =>
  (_req, res) => {
    res.writeHead(200, { "Content-Type": "application/json" });
    const send = () => {
      if (res.destroyed) return;
      if (pause > 0) res.write(chunk, () => setTimeout(send, pause));
      else if (res.write(chunk)) setImmediate(send);
      else res.once("drain", send);
    };
    send();
  };

const FAILURES: [name: string, answer: RequestListener, lastError: RegExp][] = [
  ["status 500", text(goodSet, 500), /^status 500$/],
  ["status 429", text(goodSet, 429, { "Retry-After": "7" }), /^status 429$/],
  ["status 204", text("", 204), /^status 204$/],
  ["status 203 with a good set", text(goodSet, 203), /^status 203$/],
  ["garbage", text("<html>Bad gateway</html>"), /^not JSON$/],
  ["truncated", text(goodSet.slice(0, -1)), /^not JSON$/],
  [
    "cut off",
    (_req, res) => res.writeHead(200, { "Content-Length": "9999" }).write(goodSet, () => res.destroy()),
    /^no answer/,
  ],
  ["not UTF-8", text(Buffer.from(goodSet.replace('"key-1"', '"key-1","x":"\u00ff"'), "latin1")), /^not JSON$/],
  ["marked with a byte order", text(`\ufeff${goodSet}`), /^not JSON$/],
  ["empty", text(""), /^not JSON$/],
  ["null", text("null"), /^not a JSON object/],
  ["an array", text(`[${goodSet}]`), /^not a JSON object/],
  ["no keys", text("{}"), /^not a JSON object with an array of keys$/],
  ["keys that are no array", text('{"keys":{}}'), /^not a JSON object with/],
  ["an empty set", text('{"keys":[]}'), /^no usable key$/],
  [
    "unusable keys",
    text(JSON.stringify({ keys: [null, "key", { ...signingKey.jwk, use: "enc" }, weak] })),
    /^no usable key$/,
  ],
  ["redirecting", text("", 302, { Location: "/elsewhere" }), /^status 302$/],
  ["redirecting to itself", text("", 307, { Location: "/backend-api/wham/agent-identities/jwks" }), /^status 307$/],
  ["dropping the connection", (req) => req.socket.destroy(), /^no answer \(UND_ERR_SOCKET\)$/],
  ["not speaking HTTP", (req) => req.socket.end("hello\r\n\r\n"), /^no answer( \(HPE_INVALID_CONSTANT\))?$/], // Node 26 names no code
  ["hanging", () => undefined, /^no complete answer within 300 ms$/],
  [
    "hanging after the headers",
    (_req, res) => {
      res.writeHead(200).flushHeaders();
    },
    /^no complete answer within 300 ms$/,
  ],
  ["dripping", endless(" ", 20), /^no complete answer within 300 ms$/],
  ["sending 200 MB and more", endless(Buffer.alloc(64 * 1024, " "), 0), /^an answer of more than 262144 bytes$/],
];

describe.each(FAILURES)("an endpoint that is %s", (name, answer, lastError) => {
  test("costs one fetch for 21 requests, each 503 in time, and recovers by itself", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid } = await startProtectedApi({ timeoutDuration: TIMEOUT });
    backend.answer = answer;
    const before = process.memoryUsage().rss;
    const asked = [];
    for (let i = 0; i < 21; i++) asked.push(await valid(undefined, { outage: true }));
    const growth = (process.memoryUsage().rss - before) / 2 ** 20;
    const slowest = Math.max(...asked.map(({ duration }) => duration));
    expect(asked.map(({ status }) => status)).toEqual(Array(21).fill(503));
    expect(asked.every(({ retryAfter = 0 }) => retryAfter >= 1 && retryAfter <= 7)).toBe(true);
    expect(backend.fetches).toBe(1);
    expect(slowest).toBeLessThan(TIMEOUT + 2_000);
    expect(verifier.jwks.status()).toMatchObject({
      kids: [],
      fetchedAt: null,
      lastError: expect.stringMatching(lastError) as string,
    });
    expect(growth).toBeLessThan(100);
    report(
      `${name}: 21 × 503, ${backend.fetches} fetch, slowest ${slowest.toFixed()} ms, memory ${growth.toFixed()} MiB`,
    );

    backend.answer = undefined;
    clock.advance(30_000);
    expect((await valid()).status).toBe(200);
  });

  test("never displaces a good set", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid } = await startProtectedApi({ timeoutDuration: TIMEOUT });
    await valid();
    backend.answer = answer;
    clock.advance(minutes(11));
    for (let i = 0; i < 3; i++) expect((await valid()).status).toBe(200);
    expect(verifier.jwks.status()).toMatchObject({
      kids: ["key-1"],
      stale: true,
      lastError: expect.stringMatching(lastError) as string,
    });
  });
});

test("a refused connection is an outage like any other", async () => {
  const { backend, verifier, valid } = await startProtectedApi();
  await stop(backend.server);
  expect(await valid(undefined, { outage: true })).toMatchObject({ status: 503 });
  expect(verifier.jwks.status().lastError).toBe("no answer (ECONNREFUSED)");
});

test("a redirect is not followed, wherever it leads", async () => {
  let followed = 0;
  const elsewhere = await listen((_req, res) => {
    followed++;
    sendJson(res, { keys: [signingKey.jwk] });
  });
  const { backend, valid } = await startProtectedApi();
  for (const status of [301, 302, 303, 307, 308]) {
    backend.answer = text("", status, { Location: elsewhere.url });
    await valid(undefined, { outage: true });
  }
  expect(followed).toBe(0);
});

test("of 200 MB little more than the cap is read", async () => {
  let sent = 0;
  const { backend, valid } = await startProtectedApi();
  backend.answer = (_req, res) => {
    const chunk = Buffer.alloc(64 * 1024, " ");
    const send = () => {
      if (res.destroyed || sent > 200e6) return;
      sent += chunk.length;
      if (res.write(chunk)) setImmediate(send);
      else res.once("drain", send);
    };
    send();
  };
  await valid(undefined, { outage: true });
  expect(sent).toBeLessThan(20e6);
  report(`200 MB: stopped after ${(sent / 2 ** 20).toFixed(1)} MiB had been sent into the socket's buffers`);
});

test("no connection is kept, for the endpoint to close it under the next fetch", async () => {
  const clock = takeOverClock();
  const { backend, valid } = await startProtectedApi();
  let connections = 0;
  backend.server.on("connection", () => connections++);
  await valid();
  clock.advance(minutes(11));
  await valid();
  expect([backend.fetches, connections]).toEqual([2, 2]);
});

test("256 KiB are read", async () => {
  const { backend, valid } = await startProtectedApi();
  backend.answer = text(goodSet.padEnd(256 * 1024));
  expect((await valid()).status).toBe(200);
});

test.each([
  ["seconds", () => "86400"],
  ["a date", () => new Date(Date.now() + 86_400_000).toUTCString()],
])("what Retry-After asks for, in %s, is heeded as far as 30 s", async (_, retryAfter) => {
  const clock = takeOverClock();
  const { backend, valid } = await startProtectedApi();
  backend.answer = text("", 429, { "Retry-After": retryAfter() });
  expect(await valid(undefined, { outage: true })).toMatchObject({ status: 503, retryAfter: 30 });
  clock.advance(29_000);
  await valid(undefined, { outage: true });
  expect(backend.fetches).toBe(1);
  backend.answer = undefined;
  clock.advance(1_000);
  expect((await valid()).status).toBe(200);
});

const rejecting = (reason: Error) => () => Promise.reject(reason);

const throwing = (): never => {
  throw new Error("secret");
};

test("a stream that does not end at the deadline is left", async () => {
  let pulled = 0;
  const endlessStream = () =>
    new ReadableStream<Uint8Array>({
      async pull(controller) {
        pulled++;
        await new Promise((resolve) => setTimeout(resolve, 5));
        controller.enqueue(new Uint8Array());
      },
    });
  const fetch = () => Promise.resolve(new Response(endlessStream()));
  const { valid } = await startProtectedApi({ timeoutDuration: 100, fetch });
  await valid(undefined, { outage: true });
  const pulledByThen = pulled;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(pulled).toBeLessThan(pulledByThen + 5);
});

test("an endpoint that takes longer than a set may live still serves those who waited", async () => {
  const { backend, verifier, valid } = await startProtectedApi({ cacheMaxAge: 1, staleIfErrorDuration: 0 });
  backend.answer = (_req, res) => void setTimeout(() => res.end(goodSet), 50);
  expect((await valid()).status).toBe(200);
  await verifier.jwks.ready();
  expect((await valid()).status).toBe(200);
});

test("nor does it refuse those who joined the wait, nor one whose set was too old but still served", async () => {
  const clock = takeOverClock();
  const { backend, verifier } = await startProtectedApi({ cacheMaxAge: 100, staleIfErrorDuration: 50 });
  let answer = (): void => undefined;
  const hold = () => {
    backend.answer = (_req, res) => {
      answer = () => void res.end(goodSet);
    };
  };
  /** The answer comes when the set that it brings is past its ceiling. */
  const answerTooLate = () => {
    clock.advance(200);
    answer();
  };

  hold();
  const first = verifier.verify(mint());
  await expect.poll(() => backend.fetches).toBe(1);
  const joined = [verifier.verify(mint({ jti: "2" })), verifier.verify(mint({ jti: "3" })), verifier.jwks.ready()];
  answerTooLate();
  await Promise.all([first, ...joined]);

  backend.answer = undefined;
  await verifier.jwks.ready();
  hold();
  clock.advance(120);
  const alone = verifier.verify(mint({ jti: "4" }));
  await expect.poll(() => backend.fetches).toBe(3);
  answerTooLate();
  expect(await alone).toMatchObject({ agentRuntimeId: "agent-1" });
});

test("nothing that is waited for keeps the process alive: neither the endpoint nor the store nor a directory", async () => {
  const { baseUrl } = await startBackend();
  const args = ["--import", "tsx", "test/faults/idle-process.ts", baseUrl, mint()];
  await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
});

test("a custom fetch that ignores its signal, throws or follows redirects delays and fools nobody", async () => {
  const custom = async (fetch: () => Promise<Response>, lastError: RegExp) => {
    const { verifier, valid } = await startProtectedApi({ timeoutDuration: TIMEOUT, fetch });
    expect(await valid(undefined, { outage: true })).toMatchObject({ status: 503 });
    expect(verifier.jwks.status().lastError).toMatch(lastError);
  };
  await custom(() => new Promise(() => undefined), /^no complete answer/);
  await custom(() => Promise.reject(new Error("secret")), /^no answer$/);
  await custom(() => {
    throw Object.assign(new Error("secret"), { code: "E_CUSTOM" });
  }, /^no answer \(E_CUSTOM\)$/);
  await custom(() => Promise.reject(Object.assign(new Error("x"), { code: "secret text" })), /^no answer$/);
  await custom(rejecting(undefined as unknown as Error), /^no answer$/);
  await custom(rejecting(null as unknown as Error), /^no answer$/);
  await custom(() => Promise.reject(Object.defineProperty(new Error("x"), "code", { get: throwing })), /^no answer$/);
  await custom(() => Promise.resolve(undefined as unknown as Response), /^no answer$/);
  await custom(() => Promise.resolve(new Proxy({}, { get: throwing }) as never), /^no answer$/);
  await custom(() => Promise.resolve({ status: 200, body: [goodSet] } as unknown as Response), /^no answer$/);
  const { url } = await listen((req, res) => {
    if (req.url === "/") res.writeHead(302, { Location: "/jwks" }).end();
    else sendJson(res, { keys: [signingKey.jwk] });
  });
  await custom(() => fetch(url), /^the answer was redirected$/);
});
