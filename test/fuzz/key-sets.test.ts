/** Whatever a JWKS holds, and whatever the key endpoint answers, nothing crashes and only usable public keys are trusted. */

import { createPublicKey, type KeyObject } from "node:crypto";
import type { RequestListener } from "node:http";
import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { parseKeySet } from "../../src/verify/keys/key-set.js";
import { createSigningKey, mint, secondKey, signingKey } from "../support/agents.js";
import { expectRefusal, sentWith } from "../support/refusals.js";
import { startBackend } from "../support/servers.js";
import { attempt, fuzz, settled } from "./budget.js";
import { bytesOfText, json, nextMonth, oneOf, usually } from "./values.js";

type Jwk = Record<string, unknown>;
const KIDS = ["a", "b", "c"];
const weak = createSigningKey("", 1024);
const real = [signingKey, secondKey, weak];
/** One for each `kid` and each key that could have signed it. */
const tokens = KIDS.flatMap((kid) =>
  real.map((key) => ({ kid, key, token: mint({ exp: nextMonth }, { ...key, kid }) })),
);
const signed = usually(
  4,
  fc.constantFrom(...tokens.filter(({ key }) => key === signingKey)),
  fc.constantFrom(...tokens),
);

const base64url = (number: bigint): string => {
  const hex = number.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex").toString("base64url");
};
const { n, e } = signingKey.jwk as { n: string; e: string };
const numbers = usually<Jwk>(
  9,
  fc.constantFrom(signingKey.jwk, signingKey.jwk, secondKey.jwk, weak.jwk),
  // No product of two primes, but of this length.
  fc
    .constantFrom(1024, 2047, 2048, 8192, 8193, 20_000)
    .map((bits): Jwk => ({ n: base64url((1n << BigInt(bits - 1)) + 1n), e })),
  fc
    .constantFrom(0n, 1n, 2n, 3n, 4n, 2n ** 33n - 1n, 2n ** 33n + 1n)
    .map((exponent): Jwk => ({ n, e: base64url(exponent) })),
  fc.constantFrom<unknown[]>(`AA${n}`, `${n}=`, ` ${n}`, `${n}B`, [n], 7, null).map((n): Jwk => ({ n, e })),
  fc.constantFrom<unknown[]>(`AA${e}`, `${e}=`, [e], 65_537).map((e): Jwk => ({ n, e })),
);
const entry = fc
  .record({
    numbers,
    kid: usually(40, oneOf(...KIDS), json),
    kty: usually(40, oneOf("RSA"), json, oneOf("rsa", "EC", "oct")),
    use: usually(40, fc.constantFrom("sig", null, undefined), json, oneOf("enc", "SIG")),
    alg: usually(40, fc.constantFrom("RS256", null, undefined), json, oneOf("RS512", "PS256", "none")),
    key_ops: usually(
      40,
      fc.constantFrom(["verify"], ["sign", "verify"], null, undefined),
      fc.constantFrom<unknown[]>([], ["sign"], "verify", ["verify", 7], [["verify"]], { 0: "verify" }),
    ),
    extra: usually(40, fc.constant(undefined), json),
  })
  .map(({ numbers: { n, e }, ...members }): Jwk => ({ ...members, n, e }));
/** As it would be parsed, so without members that are `undefined`. */
const document = usually(
  20,
  fc.array(usually(8, entry, json), { maxLength: 8 }).map((keys) => ({ keys })),
  json,
  json.map((keys) => ({ keys })),
).map((value) => JSON.parse(JSON.stringify(value)) as unknown);

/** The first entry of a kid. */
const firstOf = (document: unknown, kid: string): Jwk | undefined =>
  (document as { keys: (Jwk | null)[] }).keys.find((each) => each?.["kid"] === kid) ?? undefined;

test("a set has public RSA keys only, each from the first entry of its kid", async () => {
  await fuzz(250, { "a set": 0.3, "no set": 0.1 }, document, (document) => {
    const parsed = parseKeySet(document);
    if (typeof parsed === "string") {
      expect(parsed).toMatch(/^(not a JSON object with an array of keys|no usable key)$/);
      return "no set";
    }
    for (const [kid, key] of parsed.byKid) {
      const first = firstOf(document, kid);
      const { n, e, kty, use, alg, key_ops: operations } = first ?? expect.fail("nobody's key");
      if (key === undefined) continue;
      expect(key.jwk).toEqual({ kty: "RSA", n, e });
      const publicKey = createPublicKey({ key: { kty: "RSA", n, e } as never, format: "jwk" });
      expect(publicKey.equals(key.publicKey as unknown as KeyObject)).toBe(true);
      expect(publicKey.asymmetricKeyDetails?.modulusLength).toBeGreaterThanOrEqual(2048);
      expect([kty, use ?? "sig", alg ?? "RS256"]).toEqual(["RSA", "sig", "RS256"]);
      if (operations !== undefined && operations !== null) expect(operations).toContain("verify");
    }
    // Parsed once more beside itself, its keys are the very same objects.
    const again = parseKeySet(structuredClone(document), parsed);
    for (const [kid, key] of parsed.byKid) expect(typeof again === "object" && again.byKid.get(kid)).toBe(key);
    return "a set";
  });
});

/** Whether this answer is right, with this document as the key set: a key that is as it should be is trusted. */
function expectRight(outcome: unknown, document: unknown, { kid, key, token }: (typeof tokens)[number]): string {
  const first = firstOf(document, kid);
  const isSigner = first?.["n"] === key.jwk["n"] && first?.["e"] === key.jwk["e"];
  if (!(outcome instanceof Error)) {
    expect([isSigner, key === weak]).toEqual([true, false]);
    expect(outcome).toMatchObject({ agentRuntimeId: "agent-1", expiresAt: nextMonth });
    return "accepted";
  }
  const code = expectRefusal(outcome, sentWith(token));
  expect(code).toBeOneOf(["key_untrusted", "signature_invalid"]);
  expect(isSigner && code === "signature_invalid").toBe(false);
  const { kty, use, alg, key_ops: operations } = first ?? {};
  const isPlain = kty === "RSA" && use === "sig" && alg === "RS256" && operations === undefined && key !== weak;
  expect(isPlain && isSigner).toBe(false);
  return code;
}

test("a token is accepted only if the first entry with its kid is the key that signed it", async () => {
  const endings = { accepted: 0.1, key_untrusted: 0.1, signature_invalid: 0.02, TypeError: 0.1 };
  await fuzz(300, endings, fc.record({ document, signed }), async ({ document, signed }) => {
    const verifier = attempt(() => createVerifier("https://gw.example", { jwks: { keySet: document as never } }));
    if (!(verifier instanceof Error))
      return expectRight(await settled(verifier.verify(signed.token)), document, signed);
    expect(verifier).toBeInstanceOf(TypeError);
    expect(verifier.message).toMatch(/keySet must be a JWKS/);
    return "TypeError";
  });
});

test("what is no document is none, and nothing is thrown", async () => {
  const ofKeys = fc.oneof(fc.anything(), fc.array(fc.anything())).map((keys) => ({ keys }));
  await fuzz(200, { "no set": 1 }, fc.oneof(fc.anything(), ofKeys), (value) => {
    expect(parseKeySet(value)).toBeTypeOf("string");
    return "no set";
  });
});

const LARGEST = 256 * 1024;
const goodSet = JSON.stringify({ keys: [{ ...signingKey.jwk, kid: "a" }] });
interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  /** Instead of what HTTP would have around it. */
  raw?: boolean;
}
const bytes = fc.uint8Array({ maxLength: 300 }).map(bytesOfText);
const documentText = document.map((each) => JSON.stringify(each));
const body = usually(
  8,
  documentText.map(bytesOfText),
  bytes,
  fc.tuple(documentText, fc.nat()).map(([text, at]) => bytesOfText(text.slice(0, at % text.length))),
  oneOf(
    `\ufeff${goodSet}`,
    `${goodSet}x`,
    `[${goodSet}]`,
    "",
    goodSet.padEnd(LARGEST),
    goodSet.padEnd(LARGEST + 1),
  ).map(bytesOfText),
);
const headers = usually(
  8,
  fc.constant<Record<string, string>>({}),
  fc.constantFrom<Record<string, string>[]>(
    ...[
      { "Content-Type": "\u00ff" },
      { "Retry-After": "-1" },
      { Location: "/elsewhere" },
      { "X-Long": "x".repeat(8_000) },
    ],
    ...["gzip", "br"].map((encoding) => ({ "Content-Encoding": encoding })),
  ),
);
const cutOff = oneOf(
  "",
  "HTTP/1.1 200",
  "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
  "HTTP/9.9 200 OK\r\n\r\n{}",
);
const answer: Arbitrary<Answer> = usually(
  8,
  fc.record({ status: usually(8, fc.constant(200), fc.integer({ min: 200, max: 599 })), headers, body }),
  usually(1, bytes, cutOff.map(bytesOfText)).map((body) => ({ status: 0, headers: {}, body, raw: true })),
);

test("an answer of the endpoint is a good key set, or counts for nothing", async () => {
  const backend = await startBackend([{ ...signingKey.jwk, kid: "a" }]);
  const good = mint({ exp: nextMonth }, { ...signingKey, kid: "a" });
  const give =
    ({ status, headers, body, raw }: Answer): RequestListener =>
    (req, res) => {
      if (raw) req.socket.end(body);
      else res.writeHead(status, headers).end(body);
    };
  await fuzz(100, { kept: 0.2, replaced: 0.15 }, fc.record({ answer, signed }), async ({ answer, signed }) => {
    // A set is old at once, so that each `ready()` asks; an old one serves on while the endpoint fails.
    const verifier = createVerifier(backend.baseUrl, { jwks: { cacheMaxAge: 1, timeoutDuration: 2_000 } });
    const ask = async () => {
      const { fetches } = backend;
      while (backend.fetches === fetches) await verifier.jwks.ready();
    };
    backend.answer = undefined;
    await ask();
    expect(verifier.jwks.status()).toMatchObject({ kids: ["a"], lastError: null });

    backend.answer = give(answer);
    await ask();
    const { kids, lastError } = verifier.jwks.status();
    if (lastError !== null) {
      expect(lastError).toMatch(/^[a-zA-Z0-9 ()_]+$/);
      expect(kids).toEqual(["a"]);
      expect(await verifier.verify(good)).toMatchObject({ agentRuntimeId: "agent-1" });
      return "kept";
    }
    expect([answer.status, answer.headers["Content-Encoding"], answer.body.length > LARGEST]).toEqual([
      200,
      undefined,
      false,
    ]);
    const document: unknown = JSON.parse(answer.body.toString());
    expect(parseKeySet(document)).toBeTypeOf("object");
    backend.answer = give(answer); // for a kid that this set has not
    expectRight(await settled(verifier.verify(signed.token)), document, signed);
    return "replaced";
  });
});
