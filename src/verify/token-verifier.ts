/** Verification of a token, and the cache of verified ones (design: a hit is a hash, a map look-up and two checks). */

import { hash, webcrypto } from "node:crypto";
import { JOSEError, JWTExpired } from "jose/errors";
import { jwtVerify, type JWTVerifyOptions } from "jose/jwt/verify";
import { LRUCache } from "lru-cache";
import { identityFromClaims, type AgentIdentity } from "../protocol/agent-identity.js";
import { ownProperties } from "../protocol/options.js";
import { isThenable } from "../protocol/thenable.js";
import { hasExpired, type ClaimExpectations } from "../protocol/claims.js";
import { nowInSeconds } from "./clock.js";
import { Refusal } from "./errors.js";
import { endOfTurn } from "./event-loop-turn.js";
import type { TrustedKey } from "./key-set.js";
import type { KeySource } from "./key-source.js";
import type { Outcome } from "./verdict.js";
import { verifiedIdentity } from "./verified-identity.js";
import { decodeUnverifiedToken, MAX_TOKEN_LENGTH, type UnverifiedToken } from "./unverified-token.js";

interface VerifiedToken {
  readonly identity: AgentIdentity;
  /** The very object that verified it: while the source still gives it out, the signature stands. */
  readonly key: TrustedKey;
}

export class TokenVerifier {
  readonly #keys: KeySource;
  readonly #expected: ClaimExpectations;
  readonly #joseOptions: JWTVerifyOptions;
  /** By SHA-256 of the token, so that no token is kept. */
  readonly #verified: LRUCache<string, VerifiedToken> | undefined;
  readonly #pending = new Map<string, Promise<Outcome>>();

  /** @param cacheSize in tokens; 0 for no cache */
  constructor(keys: KeySource, expected: ClaimExpectations, cacheSize: number) {
    this.#keys = keys;
    this.#expected = expected;
    // `exp` is what jose does not ask for by itself; the other claims are checked before it is called.
    this.#joseOptions = ownProperties({ algorithms: ["RS256"], requiredClaims: ["exp"], ...expected });
    if (cacheSize > 0) this.#verified = new LRUCache(ownProperties({ max: cacheSize }));
  }

  /** At once, without a promise, for a token that was verified before and whose key set is fresh. */
  verify(token: string): Outcome | Promise<Outcome> {
    return isOfLength(token) ? this.#verify(token, digestOf(token)) : new Refusal("token_malformed");
  }

  /** What a cache hit would give. It does not count as a use. */
  remembered(token: string): AgentIdentity | undefined {
    return isOfLength(token) ? this.#verified?.peek(digestOf(token))?.identity : undefined;
  }

  #verify(token: string, digest: string): Outcome | Promise<Outcome> {
    const verified = this.#verified?.get(digest);
    if (verified === undefined) return this.#verifyAnew(token, digest);
    const { identity } = verified;
    if (this.#hasExpired(identity)) {
      this.#verified?.delete(digest);
      return new Refusal("token_expired");
    }
    const key = this.#keys.key(verified.key.kid);
    if (key === verified.key) return identity;
    if (key instanceof Refusal) return key;
    return isThenable(key) ? this.#verifyWithKeyOf(key, verified, token, digest) : this.#verifyAnew(token, digest);
  }

  /** For a remembered token whose key set is being refreshed. It may expire in the meantime. */
  async #verifyWithKeyOf(
    refresh: PromiseLike<TrustedKey | Refusal>,
    verified: VerifiedToken,
    token: string,
    digest: string,
  ): Promise<Outcome> {
    const key = await refresh;
    if (key instanceof Refusal) return key;
    if (key !== verified.key) return this.#verifyAnew(token, digest);
    return this.#hasExpired(verified.identity) ? new Refusal("token_expired") : verified.identity;
  }

  #hasExpired({ expiresAt }: AgentIdentity): boolean {
    return hasExpired(expiresAt, this.#expected.clockTolerance, nowInSeconds());
  }

  #verifyAnew(token: string, digest: string): Outcome | Promise<Outcome> {
    const pending = this.#pending.get(digest);
    if (pending !== undefined) return pending;
    const unverified = decodeUnverifiedToken(token, this.#expected, nowInSeconds());
    if (unverified instanceof Refusal) return unverified;
    const key = this.#keys.key(unverified.unverifiedKid);
    if (key instanceof Refusal) return key;
    const verification = this.#verifySignature(token, unverified, digest, key);
    this.#pending.set(digest, verification);
    return verification;
  }

  async #verifySignature(
    token: string,
    { unverifiedClaims }: UnverifiedToken,
    digest: string,
    keyOrPromise: TrustedKey | Promise<TrustedKey | Refusal>,
  ): Promise<Outcome> {
    try {
      const key = await keyOrPromise;
      if (key instanceof Refusal) return key;
      await endOfTurn();
      refuseReplacedCrypto();
      await jwtVerify(token, key.publicKey, this.#joseOptions);
      if (!this.#keys.trusts(key)) return new Refusal("key_untrusted"); // revoked in the meantime
      const identity = verifiedIdentity(identityFromClaims(unverifiedClaims));
      this.#verified?.set(digest, { identity, key });
      return identity;
    } catch (error) {
      // jose's errors hold the whole payload, and with it the agent's private key: they end here.
      if (error instanceof JWTExpired) return new Refusal("token_expired");
      if (error instanceof JOSEError) return new Refusal("signature_invalid");
      throw error;
    } finally {
      // Never before it is pending: on every way here something was awaited.
      this.#pending.delete(digest);
    }
  }
}

// eslint-disable-next-line @typescript-eslint/unbound-method -- compared only
const genuineVerify = webcrypto.subtle.verify;

/** jose verifies with the global `crypto`: a mock that was put in its place must not decide who gets in. */
function refuseReplacedCrypto(): void {
  const { crypto } = globalThis as { crypto?: { subtle?: { verify?: unknown } } };
  if (crypto?.subtle?.verify !== genuineVerify) {
    throw new Error("globalThis.crypto is not Node's: no signature can be verified until it is put back");
  }
}

function isOfLength(token: string): boolean {
  return typeof token === "string" && token.length <= MAX_TOKEN_LENGTH;
}

/** SHA-256, a character a byte: the shortest string that it can be. */
function digestOf(token: string): string {
  return hash("sha256", token, "binary");
}
