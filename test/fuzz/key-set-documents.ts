/** JWKS documents, good and odd, and which of their keys are usable. */

import { generateKeyPairSync } from "node:crypto";
import fc, { type Arbitrary } from "fast-check";
import { exportJwk } from "../../src/protocol/jwk.js";
import { createSigningKey, mint, signingKey, type SigningKey } from "../support/agents.js";
import { bytesOf } from "./token-oracle.js";
import { json, nextMonth, text, usually } from "./values.js";

const ofExponent = (exponent: number): SigningKey => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: exponent });
  return { kid: "", privateKey, jwk: { ...exportJwk(publicKey) } };
};

/** Real keys; making one takes a while, so they are few. The last is too short. */
const real = [signingKey, ofExponent(3), createSigningKey("", 1024)];

const KIDS = ["a", "b", "c"];

/** One for each `kid` and each key that could have signed it. */
const tokens = KIDS.flatMap((kid) =>
  real.map(({ jwk, privateKey }) => ({
    kid,
    n: jwk["n"],
    e: jwk["e"],
    token: mint({ exp: nextMonth }, { kid, privateKey, jwk }),
  })),
);

export type SignedToken = (typeof tokens)[number];
/** Mostly signed by keys that are long enough. */
export const signedToken: Arbitrary<SignedToken> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...tokens.filter(({ n }) => n === signingKey.jwk["n"])) },
  { weight: 1, arbitrary: fc.constantFrom(...tokens) },
);

const base64url = (number: bigint): string => {
  const hex = number.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex").toString("base64url");
};

/** No product of two primes, and nobody's key, but of this length. */
const modulusOf = (bits: number): string => base64url((1n << BigInt(bits - 1)) + (1n << 77n) + 1n);
const lengths = [1024, 2040, 2047, 2048, 2049, 8191, 8192, 8193, 16_384, 20_000];
const exponents = [
  0n,
  1n,
  2n,
  3n,
  4n,
  65_537n,
  2n ** 32n + 1n,
  2n ** 33n - 1n,
  2n ** 33n,
  2n ** 33n + 1n,
  2n ** 256n + 1n,
];

/** Other spellings of a number, that are not to be read. */
const misspelt = (number: unknown): Arbitrary<unknown> =>
  fc.constantFrom(
    `AA${String(number)}`,
    `AAAA${String(number)}`,
    `${String(number)}=`,
    `${String(number)}==`,
    ` ${String(number)}`,
    `${String(number)}B`,
    String(number).replaceAll("-", "+").replaceAll("_", "/"),
    [number],
  );

const { n, e } = signingKey.jwk;
const material: Arbitrary<Record<string, unknown>> = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(signingKey.jwk, signingKey.jwk, ...real.map(({ jwk }) => jwk)) },
  { weight: 1, arbitrary: fc.constantFrom(...lengths).map((bits) => ({ n: modulusOf(bits), e })) },
  { weight: 1, arbitrary: fc.constantFrom(...exponents).map((exponent) => ({ n, e: base64url(exponent) })) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      misspelt(n).map((n) => ({ n, e })),
      misspelt(e).map((e) => ({ n, e })),
    ),
  },
  { weight: 1, arbitrary: fc.constant({ ...exportJwk(signingKey.privateKey) }) },
);

const absent = fc.constant(undefined);
const entry = fc
  .record({
    material,
    kid: usually(40, fc.constantFrom(...KIDS), fc.oneof(json, text, absent)),
    kty: usually(40, fc.constant("RSA"), fc.oneof(json, fc.constantFrom("rsa", "EC", "OKP", "oct", undefined))),
    use: usually(40, fc.constantFrom("sig", null, undefined), fc.oneof(json, fc.constantFrom("enc", "SIG"))),
    alg: usually(
      40,
      fc.constantFrom("RS256", null, undefined),
      fc.oneof(json, fc.constantFrom("RS512", "PS256", "none")),
    ),
    key_ops: usually(
      40,
      fc.constantFrom(["verify"], ["sign", "verify"], null, undefined),
      fc.oneof(json, fc.constantFrom<unknown[]>([], ["sign"], "verify", ["verify", 7], [["verify"]], { 0: "verify" })),
    ),
    /** Instead of those of the key. */
    numbers: usually(
      40,
      fc.constant({}),
      fc.tuple(fc.constantFrom("n", "e"), json).map(([name, value]) => ({ [name]: value })),
    ),
    extra: usually(40, absent, json),
  })
  .map(({ material: { n, e, d, p, q, dp, dq, qi }, numbers, ...members }) => {
    return { ...members, n, e, d, p, q, dp, dq, qi, ...numbers };
  });

const entries = fc.array(usually(8, entry, json), { maxLength: 8 });

/** As it would be parsed, so without members that are `undefined`. */
export const document: Arbitrary<unknown> = fc
  .oneof(
    { weight: 30, arbitrary: entries.map((keys) => ({ keys })) },
    { weight: 1, arbitrary: json },
    { weight: 1, arbitrary: json.map((keys) => ({ keys })) },
  )
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

type Members = Record<string, unknown>;

const isAbsentOr = (value: unknown, expected: string): boolean => [undefined, null, expected].includes(value as string);

/** The number in a member of a key, if it is spelt as RFC 7518 §2 has it. */
function numberIn(member: unknown): bigint | undefined {
  if (typeof member !== "string") return undefined;
  const bytes = bytesOf(member);
  return bytes?.[0] ? BigInt(`0x${bytes.toString("hex")}`) : undefined;
}

export function isUsable({ kty, use, alg, key_ops: operations, n, e }: Members): boolean {
  const modulus = numberIn(n);
  const exponent = numberIn(e);
  if (kty !== "RSA" || modulus === undefined || exponent === undefined) return false;
  // The upper bounds and the exponents are the real client's: what it refuses is not accepted here.
  const bits = modulus.toString(2).length;
  if (bits < 2048 || bits > 8192) return false;
  if (exponent < 3n || exponent >= 2n ** 33n || exponent % 2n === 0n) return false;
  if (!isAbsentOr(use, "sig") || !isAbsentOr(alg, "RS256")) return false;
  if (operations === undefined || operations === null) return true;
  // A list of anything but strings is one that the real client cannot read.
  return Array.isArray(operations) && operations.includes("verify") && operations.every((o) => typeof o === "string");
}

/** First entries by their `kid`; `undefined` if the document has no usable key. */
export function readDocument(document: unknown): Map<string, Members> | undefined {
  const keys = (document as Members | null)?.["keys"];
  const first = new Map<string, Members>();
  if (!Array.isArray(keys)) return undefined;
  for (const each of keys as (Members | null)[]) {
    const kid = each?.["kid"];
    if (each && typeof kid === "string" && !first.has(kid)) first.set(kid, each);
  }
  return Array.from(first.values()).some(isUsable) ? first : undefined;
}

/** Of a token whose claims are good. */
export function judgeBy(first: ReadonlyMap<string, Members>, { kid, n, e }: SignedToken): string {
  const key = first.get(kid);
  if (!key || !isUsable(key)) return "key_untrusted";
  return key["n"] === n && key["e"] === e ? "accepted" : "signature_invalid";
}
