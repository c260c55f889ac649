/** Reads a JWKS document (RFC 7517 §5) and keeps the keys that may verify an Agent Identity token. */

import { createPublicKey } from "node:crypto";
import type { KeyObject } from "jose"; // needs no types of Node
import { decodeCanonicalBase64url } from "../../protocol/encoding.js";
import { ownProperties } from "../../protocol/options.js";
import { logText } from "../../protocol/log-text.js";

export interface TrustedKey {
  readonly kid: string;
  readonly publicKey: KeyObject;
  /** The required members (RFC 7638 §3.2): two keys with equal members are the same key. */
  readonly jwk: { readonly kty: "RSA"; readonly n: string; readonly e: string };
}

export interface KeySet {
  /** The first entry with a `kid` decides: where that is not usable, the value is `undefined`. */
  readonly byKid: ReadonlyMap<string, TrustedKey | undefined>;
  /** The `kid`s of the usable keys, without control characters. */
  readonly kids: readonly string[];
}

/** A JWKS from which `parseKeySet` makes the same set. */
export function publicJwks(keySet: KeySet): { keys: object[] } {
  return { keys: Array.from(keySet.byKid, ([kid, key]) => ({ kid, ...key?.jwk })) };
}

/**
 * @param previous the set that this one replaces: a key in both sets keeps its object, and so the tokens that it verified
 *   stay in the cache
 * @returns the set, or the reason why it has no usable key
 */
export function parseKeySet(document: unknown, previous?: KeySet): KeySet | string {
  const entries = entriesOf(document);
  if (entries === undefined) return "not a JSON object with an array of keys";
  const byKid = new Map<string, TrustedKey | undefined>();
  for (const jwk of entries) {
    const kid = jwk?.["kid"];
    if (jwk === undefined || typeof kid !== "string" || byKid.has(kid)) continue;
    const key = readKey(kid, jwk, previous?.byKid.get(kid));
    byKid.set(kid, typeof key === "string" ? undefined : key);
  }
  const kids = Array.from(byKid).flatMap(([kid, key]) => (key === undefined ? [] : [logText(kid)]));
  return kids.length > 0 ? { byKid, kids: Object.freeze(kids) } : "no usable key";
}

/** What became of an entry of a JWKS. */
export interface KeyEntry {
  /** Without control characters. */
  readonly kid: string | undefined;
  /** Why the key is not usable, in the words of this package; `undefined` for a usable key. */
  readonly problem: string | undefined;
}

/** Each entry of a JWKS with its problem, for an operator. Empty for what is no JWKS. */
export function explainKeys(document: unknown): KeyEntry[] {
  const seen = new Set<string>();
  return (entriesOf(document) ?? []).map((jwk) => {
    const kid = jwk?.["kid"];
    if (jwk === undefined || typeof kid !== "string") {
      return { kid: undefined, problem: jwk === undefined ? "it is no object" : "its kid is no string" };
    }
    const key = seen.has(kid) ? "an earlier key has the same kid, and the first one counts" : readKey(kid, jwk);
    seen.add(kid);
    return { kid: logText(kid), problem: typeof key === "string" ? key : undefined };
  });
}

/** `undefined` stands for an entry that is no object. */
function entriesOf(document: unknown): (Record<string, unknown> | undefined)[] | undefined {
  const { keys } = ownProperties(Object(document) as { keys?: unknown });
  if (!Array.isArray(keys)) return undefined;
  return (keys as unknown[]).map((entry) =>
    typeof entry === "object" && entry !== null ? ownProperties(entry as Record<string, unknown>) : undefined,
  );
}

/** @returns the key, or the reason why it is not usable */
function readKey(kid: string, jwk: Record<string, unknown>, previous?: TrustedKey): TrustedKey | string {
  const { kty, use, alg, key_ops: operations, n, e } = jwk;
  if (kty !== "RSA") return "its kty is not RSA";
  if (typeof n !== "string" || typeof e !== "string") return "its n or e is no string";
  if (isPresent(use) && use !== "sig") return "its use is not sig";
  if (isPresent(alg) && alg !== "RS256") return "its alg is not RS256";
  if (isPresent(operations) && !allowsVerifying(operations)) return "its key_ops do not contain verify";
  if (previous?.jwk.n === n && previous.jwk.e === e) return previous;
  return importRsaKey(kid, { kty, n, e });
}

function allowsVerifying(operations: unknown): boolean {
  if (!Array.isArray(operations) || !operations.includes("verify")) return false;
  return operations.every((operation) => typeof operation === "string");
}

/** `null` counts as absent, as in Codex. */
function isPresent(member: unknown): boolean {
  return member !== undefined && member !== null;
}

const MIN_MODULUS_BITS = 2048;
/** Codex's bounds. This package accepts no key that Codex refuses. */
const MAX_MODULUS_BITS = 8192;
const MIN_EXPONENT = 3n;
const MAX_EXPONENT = 2n ** 33n - 1n;

function importRsaKey(kid: string, jwk: TrustedKey["jwk"]): TrustedKey | string {
  if (!isCanonicalInteger(jwk.n) || !isCanonicalInteger(jwk.e)) return "its n or e is not canonical base64url";
  const publicKey = importJwk(jwk);
  if (publicKey === undefined) return "its n and e are no RSA key";
  const { modulusLength: bits = 0, publicExponent: exponent = 0n } = publicKey.asymmetricKeyDetails ?? {};
  if (bits < MIN_MODULUS_BITS || bits > MAX_MODULUS_BITS) {
    return `it has ${bits} bits, and ${MIN_MODULUS_BITS} to ${MAX_MODULUS_BITS} are allowed`;
  }
  if (exponent < MIN_EXPONENT || exponent > MAX_EXPONENT || exponent % 2n === 0n) return "its exponent is not allowed";
  return { kid, publicKey, jwk };
}

function importJwk(jwk: TrustedKey["jwk"]) {
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    return undefined;
  }
}

/** RFC 7518 §2, Base64urlUInt: no leading zero octet. */
function isCanonicalInteger(text: string): boolean {
  return (decodeCanonicalBase64url(text)?.[0] ?? 0) !== 0;
}
