import { execFile } from "node:child_process";
import type { RequestListener } from "node:http";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { createSigningKey, mint, signingKey } from "../support/agents.js";
import { listen, sendJson, startBackend, stop } from "../support/servers.js";
import { takeOverClock, minutes } from "../support/clock.js";
import { startProtectedApi } from "../support/protected-api.js";

const TIMEOUT = 200;
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
  ["hanging", () => undefined, /^no complete answer within 200 ms$/],
  [
    "hanging after the headers",
    (_req, res) => {
      res.writeHead(200).flushHeaders();
    },
    /^no complete answer within 200 ms$/,
  ],
  ["dripping", endless(" ", 20), /^no complete answer within 200 ms$/],
  ["sending 200 MB and more", endless(Buffer.alloc(64 * 1024, " "), 0), /^an answer of more than 262144 bytes$/],
];

describe.each(FAILURES)("an endpoint that is %s", (_, answer, lastError) => {
  const failed = { lastError: expect.stringMatching(lastError) as string };

  test("costs one fetch for 21 requests, each 503 in time, and recovers by itself", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid, unavailable } = await startProtectedApi({ timeoutDuration: TIMEOUT });
    backend.answer = answer;
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 21; i++) {
      const { duration, retryAfter } = await unavailable();
      expect(duration).toBeLessThan(TIMEOUT + 2_000);
      expect(retryAfter).toBeLessThanOrEqual(7);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 2 ** 20);
    expect(backend.fetches).toBe(1);
    expect(verifier.jwks.status()).toMatchObject({ kids: [], fetchedAt: null, stale: false, ...failed });

    backend.answer = undefined;
    clock.advance(30_000);
    await valid();
  });

  test("never displaces a good set", async () => {
    const clock = takeOverClock();
    const { backend, verifier, valid } = await startProtectedApi({ timeoutDuration: TIMEOUT });
    await valid();
    backend.answer = answer;
    clock.advance(minutes(11));
    for (let i = 0; i < 3; i++) await valid();
    expect(verifier.jwks.status()).toMatchObject({ kids: ["key-1"], stale: true, ...failed });
  });
});

test("a refused connection is an outage like any other", async () => {
  const { backend, verifier, unavailable } = await startProtectedApi();
  await stop(backend.server);
  await unavailable();
  expect(verifier.jwks.status().lastError).toBe("no answer (ECONNREFUSED)");
});

test("a redirect is not followed, wherever it leads", async () => {
  let followed = 0;
  const elsewhere = await listen((_req, res) => {
    followed++;
    sendJson(res, { keys: [signingKey.jwk] });
  });
  const { backend, unavailable } = await startProtectedApi();
  for (const status of [301, 302, 303, 307, 308]) {
    backend.answer = text("", status, { Location: elsewhere.url });
    await unavailable();
  }
  expect(followed).toBe(0);
});

test("of 200 MB little more than the cap is read", async () => {
  let sent = 0;
  const { backend, unavailable } = await startProtectedApi();
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
  await unavailable();
  expect(sent).toBeLessThan(20e6);
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
  await valid();
});

test.each([
  ["seconds", () => "86400"],
  ["a date", () => new Date(Date.now() + 86_400_000).toUTCString()],
])("what Retry-After asks for, in %s, is heeded as far as 30 s", async (_, retryAfter) => {
  const clock = takeOverClock();
  const { backend, valid, unavailable } = await startProtectedApi();
  backend.answer = text("", 429, { "Retry-After": retryAfter() });
  expect(await unavailable()).toMatchObject({ retryAfter: 30 });
  clock.advance(29_000);
  await unavailable();
  expect(backend.fetches).toBe(1);
  backend.answer = undefined;
  clock.advance(1_000);
  await valid();
});

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
  const { unavailable } = await startProtectedApi({ timeoutDuration: 100, fetch });
  await unavailable();
  const pulledByThen = pulled;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(pulled).toBeLessThan(pulledByThen + 5);
});

test("an endpoint that takes longer than a set may live still serves those who waited", async () => {
  const { backend, verifier, valid } = await startProtectedApi({ cacheMaxAge: 1, staleIfErrorDuration: 0 });
  backend.answer = (_req, res) => void setTimeout(() => res.end(goodSet), 50);
  await valid();
  await verifier.jwks.ready();
  await valid();
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

const throwing = (): never => {
  throw new Error("secret");
};
// eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a custom fetch may do so
const fails = (reason: unknown) => () => Promise.reject(reason);
const gives = (answer: unknown) => () => Promise.resolve(answer as Response);
test.each<[string, () => Promise<Response>, RegExp]>([
  ["ignores its signal", () => new Promise(() => undefined), /^no complete answer/],
  ["rejects", fails(new Error("secret")), /^no answer$/],
  [
    "throws",
    () => {
      throw Object.assign(new Error("secret"), { code: "E_CUSTOM" });
    },
    /^no answer \(E_CUSTOM\)$/,
  ],
  ["rejects with a code that is text", fails(Object.assign(new Error("x"), { code: "secret text" })), /^no answer$/],
  ["rejects with undefined", fails(undefined), /^no answer$/],
  ["rejects with null", fails(null), /^no answer$/],
  ["rejects with what throws", fails(Object.defineProperty(new Error("x"), "code", { get: throwing })), /^no answer$/],
  ["gives nothing", gives(undefined), /^no answer$/],
  ["gives what throws", gives(new Proxy({}, { get: throwing })), /^no answer$/],
  ["gives a body that is no stream", gives({ status: 200, body: [goodSet] }), /^no answer$/],
])("a custom fetch that %s delays and fools nobody", async (_, fetch, lastError) => {
  const { verifier, unavailable } = await startProtectedApi({ timeoutDuration: TIMEOUT, fetch });
  await unavailable();
  expect(verifier.jwks.status().lastError).toMatch(lastError);
});

test("a custom fetch that follows redirects fools nobody", async () => {
  const { url } = await listen((req, res) => {
    if (req.url === "/") res.writeHead(302, { Location: "/jwks" }).end();
    else sendJson(res, { keys: [signingKey.jwk] });
  });
  const { verifier, unavailable } = await startProtectedApi({ fetch: () => fetch(url) });
  await unavailable();
  expect(verifier.jwks.status().lastError).toBe("the answer was redirected");
});
