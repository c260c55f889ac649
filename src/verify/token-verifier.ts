/** Verification of a token, and the cache of verified ones (design: a hit is a hash, a map look-up and two checks). */

import { hash } from "node:crypto";
import { JOSEError, JWTExpired } from "jose/errors";
import { jwtVerify, type JWTVerifyOptions } from "jose/jwt/verify";
import { LRUCache } from "lru-cache";
import { identityFromClaims, type AgentIdentity } from "../protocol/agent-identity.js";
import { hasExpired, type ClaimExpectations } from "../protocol/claims.js";
import { nowInSeconds } from "./clock.js";
import { Refusal } from "./errors.js";
import { endOfTurn } from "./event-loop-turn.js";
import type { TrustedKey } from "./key-set.js";
import type { KeySource } from "./key-source.js";
import type { Outcome } from "./outcome.js";
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
    this.#joseOptions = { algorithms: ["RS256"], requiredClaims: ["exp"], ...expected };
    if (cacheSize > 0) this.#verified = new LRUCache({ max: cacheSize });
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
    const settle = (key: TrustedKey | Refusal): Outcome | Promise<Outcome> => {
      if (key instanceof Refusal) return key;
      if (key !== verified.key) return this.#verifyAnew(token, digest);
      return this.#hasExpired(identity) ? new Refusal("token_expired") : identity;
    };
    return key instanceof Promise ? key.then(settle) : settle(key);
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
      const key = keyOrPromise instanceof Promise ? await keyOrPromise : keyOrPromise;
      if (key instanceof Refusal) return key;
      await endOfTurn();
      await jwtVerify(token, key.publicKey, this.#joseOptions);
      if (!this.#keys.trusts(key)) return new Refusal("key_untrusted"); // revoked in the meantime
      const identity = identityFromClaims(unverifiedClaims);
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

function isOfLength(token: string): boolean {
  return typeof token === "string" && token.length <= MAX_TOKEN_LENGTH;
}

/** SHA-256, a character a byte: the shortest string that it can be. */
function digestOf(token: string): string {
  return hash("sha256", token, "binary");
}
