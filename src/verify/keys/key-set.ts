/** A JWKS document (RFC 7517 §5) turned into the keys that may verify an Agent Identity token. */

import { createPublicKey, type KeyObject } from "node:crypto";
import { decodeCanonicalBase64url } from "../../protocol/encoding.js";
import { ownProperties } from "../../protocol/options.js";
import { logText } from "../../protocol/log-text.js";

export interface TrustedKey {
  readonly kid: string;
  readonly publicKey: KeyObject;
  /** The members that make the key: with equal ones it is the same key (RFC 7638 §3.2). */
  readonly jwk: { readonly kty: "RSA"; readonly n: string; readonly e: string };
}

export interface KeySet {
  /** The first entry with a `kid` decides: `undefined` stands for one that is not usable. */
  readonly byKid: ReadonlyMap<string, TrustedKey | undefined>;
  /** The `kid`s of usable keys, fit for a log. */
  readonly kids: readonly string[];
}

/** The public members of a set, as a JWKS that reads back as the same set. */
export function publicJwks(keySet: KeySet): { keys: object[] } {
  return { keys: Array.from(keySet.byKid, ([kid, key]) => ({ kid, ...key?.jwk })) };
}

/**
 * @param previous the set that this one replaces: a key that is in both keeps its object, so that what it verified
 *   stays verified
 * @returns why there is no usable key, in words of our own, if there is none
 */
export function parseKeySet(document: unknown, previous?: KeySet): KeySet | string {
  const { keys } = ownProperties(Object(document) as { keys?: unknown });
  if (!Array.isArray(keys)) return "not a JSON object with an array of keys";
  const byKid = new Map<string, TrustedKey | undefined>();
  for (const entry of keys as unknown[]) {
    if (typeof entry !== "object" || entry === null) continue;
    const jwk = ownProperties(entry as Record<string, unknown>);
    const { kid } = jwk;
    if (typeof kid === "string" && !byKid.has(kid)) byKid.set(kid, usableKey(kid, jwk, previous?.byKid.get(kid)));
  }
  const kids = Array.from(byKid).flatMap(([kid, key]) => (key === undefined ? [] : [logText(kid)]));
  return kids.length > 0 ? { byKid, kids: Object.freeze(kids) } : "no usable key";
}

function usableKey(
  kid: string,
  jwk: Record<string, unknown>,
  previous: TrustedKey | undefined,
): TrustedKey | undefined {
  const { kty, use, alg, key_ops: operations, n, e } = jwk;
  if (kty !== "RSA" || typeof n !== "string" || typeof e !== "string") return undefined;
  if (isPresent(use) && use !== "sig") return undefined;
  if (isPresent(alg) && alg !== "RS256") return undefined;
  if (isPresent(operations) && !allowsVerifying(operations)) return undefined;
  if (previous?.jwk.n === n && previous.jwk.e === e) return previous;
  return importRsaKey(kid, { kty, n, e });
}

function allowsVerifying(operations: unknown): boolean {
  if (!Array.isArray(operations) || !operations.includes("verify")) return false;
  return operations.every((operation) => typeof operation === "string");
}

/** `null` counts as absent, as it does for Codex. */
function isPresent(member: unknown): boolean {
  return member !== undefined && member !== null;
}

const MIN_MODULUS_BITS = 2048;
/** These are Codex's bounds: what it refuses must not be accepted here. */
const MAX_MODULUS_BITS = 8192;
const MIN_EXPONENT = 3n;
const MAX_EXPONENT = 2n ** 33n - 1n;

function importRsaKey(kid: string, jwk: TrustedKey["jwk"]): TrustedKey | undefined {
  if (!isCanonicalInteger(jwk.n) || !isCanonicalInteger(jwk.e)) return undefined;
  let publicKey: KeyObject;
  try {
    publicKey = createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    return undefined;
  }
  const { modulusLength: bits = 0, publicExponent: exponent = 0n } = publicKey.asymmetricKeyDetails ?? {};
  if (bits < MIN_MODULUS_BITS || bits > MAX_MODULUS_BITS) return undefined;
  if (exponent < MIN_EXPONENT || exponent > MAX_EXPONENT || exponent % 2n === 0n) return undefined;
  return { kid, publicKey, jwk };
}

/** RFC 7518 §2, Base64urlUInt: no leading zero octet. */
function isCanonicalInteger(text: string): boolean {
  return (decodeCanonicalBase64url(text)?.[0] ?? 0) !== 0;
}
