/** Whatever the key endpoint answers, nothing crashes, and only a good set takes the place of a good set. */

import type { IncomingMessage, RequestListener } from "node:http";
import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { mint, signingKey } from "../support/agents.js";
import { startBackend } from "../support/servers.js";
import { fuzz } from "./budget.js";
import { document, isUsable, judgeBy, readDocument, signedToken } from "./key-set-documents.js";
import { expectRefusal } from "./refusal.js";
import { identityOf, sentWith } from "./token-oracle.js";
import { bytesOfText, nextMonth } from "./values.js";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Instead of what HTTP would have around it. */
  readonly raw?: true;
}

const LARGEST = 256 * 1024;
/** Its `kid` is one of those in the documents, where other keys have it. */
const KID = "a";
const goodSet = JSON.stringify({ keys: [{ ...signingKey.jwk, kid: KID }] });

const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));
const documentText = document.map((each) => JSON.stringify(each));
const body: Arbitrary<Buffer> = fc
  .oneof(
    { weight: 8, arbitrary: documentText.map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: bytes },
    {
      weight: 1,
      arbitrary: fc.tuple(documentText, fc.nat()).map(([text, at]) => Buffer.from(text.slice(0, at % text.length))),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(`\ufeff${goodSet}`, `${goodSet}x`, `[${goodSet}]`, "")
        .map((text) => Buffer.from(text)),
    },
    // JSON may have space around it: so a set can be as long as it likes.
    {
      weight: 2,
      arbitrary: fc.constantFrom(LARGEST, LARGEST + 1).map((size) => Buffer.from(goodSet.padEnd(size))),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(bytes, fc.nat({ max: goodSet.length }))
        .map(([junk, at]) => Buffer.concat([Buffer.from(goodSet.slice(0, at)), junk, Buffer.from(goodSet.slice(at))])),
    },
  )
  .map(bytesOfText);
const status = fc.oneof({ weight: 8, arbitrary: fc.constant(200) }, fc.integer({ min: 200, max: 599 }));
const headers = fc.oneof(
  { weight: 8, arbitrary: fc.constant({}) },
  fc.constantFrom<Record<string, string>[]>(
    { "Content-Type": "text/html" },
    { "Content-Type": "\u00ff" },
    { "Retry-After": "0.001" },
    { "Retry-After": "-1" },
    { Location: "/elsewhere" },
    { "Cache-Control": "max-age=0" },
    { "X-Long": "x".repeat(8_000) },
  ),
  // Not what the body is.
  fc.constantFrom("gzip", "br", "deflate").map((encoding) => ({ "Content-Encoding": encoding })),
);
const answer: Arbitrary<Answer> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ status, headers, body }) },
  {
    weight: 1,
    arbitrary: fc
      .oneof(
        bytes,
        fc.constantFrom(
          "",
          "HTTP/1.1 200",
          "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
          "HTTP/9.9 200 OK\r\n\r\n{}",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ),
      )
      .map((body) => ({ status: 0, headers: {}, body: bytesOfText(body), raw: true as const })),
  },
);

const give =
  ({ status, headers, body, raw }: Answer): RequestListener =>
  (req: IncomingMessage, res) => {
    if (raw) req.socket.end(body);
    else res.writeHead(status, headers).end(body);
  };

/** The keys in an answer that is to be believed. */
function keysIn({ status, headers, body, raw }: Answer): ReturnType<typeof readDocument> {
  if (raw || status !== 200 || body.length > LARGEST || headers["Content-Encoding"] !== undefined) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    return readDocument(JSON.parse(text));
  } catch {
    return undefined;
  }
}

test("an answer is a good key set or counts for nothing", async () => {
  const backend = await startBackend([{ ...signingKey.jwk, kid: KID }]);
  const good = mint({ exp: nextMonth }, { ...signingKey, kid: KID });
  const asked = fc.record({ answer, signed: signedToken });
  await fuzz({ runs: 120, shares: { kept: 0.2, replaced: 0.15 } }, asked, async ({ answer, signed }) => {
    // A set is old at once, so that each `ready()` asks; an old one serves on while the endpoint fails.
    const verifier = createVerifier(backend.baseUrl, { jwks: { cacheMaxAge: 1, timeoutDuration: 2_000 } });
    const { jwks } = verifier;
    const ask = async () => {
      const fetches = backend.fetches;
      while (backend.fetches === fetches) await jwks.ready();
    };
    backend.answer = undefined;
    await ask();
    expect(jwks.status()).toMatchObject({ kids: [KID], lastError: null });

    backend.answer = give(answer);
    await ask();
    const replacement = keysIn(answer);
    const { kids, lastError } = jwks.status();
    if (replacement === undefined) {
      expect(lastError ?? "").toMatch(/^[a-zA-Z0-9 ()_]+$/);
      expect(kids).toEqual([KID]);
      expect(await verifier.verify(good)).toEqual(identityOf(good));
      return "kept";
    }
    expect(lastError).toBeNull();
    expect(kids).toHaveLength(Array.from(replacement.values()).filter(isUsable).length);
    const outcome: unknown = await verifier.verify(signed.token).catch((error: unknown) => error);
    const verdict = outcome instanceof Error ? expectRefusal(outcome, sentWith(signed.token)) : "accepted";
    expect(verdict).toBe(judgeBy(replacement, signed));
    return "replaced";
  });
});
