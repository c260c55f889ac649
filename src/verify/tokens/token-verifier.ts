/** Verifies tokens, and remembers the verified ones: a repeated token costs a hash, a look-up and two checks. */

import { hash, webcrypto } from "node:crypto";
import type { VerifyOptions } from "jose";
import { JOSEError } from "jose/errors";
import { compactVerify } from "jose/jws/compact/verify";
import { createLRU } from "lru.min";
import { identityFromClaims, type AgentIdentity } from "../../protocol/agent-identity.js";
import { ownProperties } from "../../protocol/options.js";
import { forgetLastMatch } from "../../runtime/last-match.js";
import { requestsMaySharePromises } from "../../runtime/shared-promises.js";
import { isThenable } from "../../runtime/thenable.js";
import { hasExpired, isTooOld, type ClaimExpectations } from "../../protocol/claims.js";
import { nowInSeconds } from "../../runtime/clock.js";
import { Refusal } from "../outcome/errors.js";
import { nextBatch } from "../../runtime/turn-batch.js";
import { SILENT_ASKER, type KeyAsker } from "../keys/key-asker.js";
import type { TrustedKey } from "../keys/key-set.js";
import type { InternalJwksResolver } from "../keys/jwks-resolver.js";
import type { Outcome } from "../outcome/verdict.js";
import { verifiedIdentity } from "../outcome/verified-identity.js";
import { isPlaceholder } from "./token-placeholder.js";
import { decodeUnverifiedToken, holdsAgentToken, MAX_TOKEN_LENGTH, type UnverifiedToken } from "./unverified-token.js";

/** jose checks only the signature: this package has checked the claims of the same string. */
const JOSE_OPTIONS: VerifyOptions = ownProperties({ algorithms: ["RS256"] });

interface VerifiedToken {
  readonly identity: AgentIdentity;
  /** The key object that verified it. The signature counts while the resolver still gives out this object. */
  readonly key: TrustedKey;
}

export class TokenVerifier {
  readonly #keys: InternalJwksResolver;
  readonly #expected: ClaimExpectations;
  /** By SHA-256 of the token, so that no token is kept. */
  readonly #verified: ReturnType<typeof createLRU<string, VerifiedToken>> | undefined;
  readonly #pending = new Map<string, Promise<Outcome>>();

  /** @param cacheSize in tokens; 0 for no cache */
  constructor(keys: InternalJwksResolver, expected: ClaimExpectations, cacheSize: number) {
    this.#keys = keys;
    this.#expected = expected;
    if (cacheSize > 0) this.#verified = createLRU(ownProperties({ max: cacheSize }));
  }

  /** Whether the text of a header holds a token for this verifier, even a malformed one. */
  isMeant(authorization: string): boolean {
    return holdsAgentToken(authorization, this.#expected);
  }

  /** The remembered identity. Looking does not count as a use of the token. */
  remembered(digest: string): AgentIdentity | undefined {
    return this.#verified?.peek(digest)?.identity;
  }

  /**
   * Without a promise for a token that was verified before and whose key set is fresh.
   * @param digest of the token, by `digestOf`
   */
  verify(token: string, digest = digestOf(token), asker = SILENT_ASKER): Outcome | Promise<Outcome> {
    if (digest === "") return new Refusal("token_malformed");
    const verified = this.#verified?.get(digest);
    if (verified === undefined) return this.#verifyAnew(token, digest, asker);
    const { identity } = verified;
    if (this.#hasExpired(identity)) {
      // Stryker disable next-line OptionalChaining: a remembered token comes from a cache, so there is one
      this.#verified?.delete(digest);
      return new Refusal("token_expired");
    }
    const key = this.#keys.key(verified.key.kid, asker);
    if (key === verified.key) return identity;
    if (key instanceof Refusal) return key;
    return isThenable(key)
      ? this.#verifyWithKeyOf(key, verified, token, digest, asker)
      : this.#verifyAnew(token, digest, asker);
  }

  /** For a remembered token whose key set is being refreshed. The token may expire meanwhile. */
  async #verifyWithKeyOf(
    refresh: PromiseLike<TrustedKey | Refusal>,
    verified: VerifiedToken,
    token: string,
    digest: string,
    asker: KeyAsker,
  ): Promise<Outcome> {
    const key = await refresh;
    if (key instanceof Refusal) return key;
    if (key !== verified.key) return this.#verifyAnew(token, digest, asker);
    return this.#hasExpired(verified.identity) ? new Refusal("token_expired") : verified.identity;
  }

  #hasExpired({ issuedAt, expiresAt }: AgentIdentity): boolean {
    const now = nowInSeconds();
    return hasExpired(expiresAt, this.#expected.clockTolerance, now) || isTooOld(issuedAt, this.#expected, now);
  }

  #verifyAnew(token: string, digest: string, asker: KeyAsker): Outcome | Promise<Outcome> {
    const pending = this.#pending.get(digest);
    if (pending !== undefined) return pending;
    const unverified = decodeUnverifiedToken(token, this.#expected, nowInSeconds());
    if (unverified instanceof Refusal) return unverified.code === "token_malformed" ? malformed(token) : unverified;
    const key = this.#keys.key(unverified.unverifiedKid, asker);
    if (key instanceof Refusal) return key;
    const verification = this.#verifySignature(token, unverified, digest, key);
    if (requestsMaySharePromises) this.#pending.set(digest, verification);
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
      await nextBatch();
      refuseReplacedCrypto();
      await compactVerify(token, key.publicKey, JOSE_OPTIONS);
      // Meanwhile the key may have been withdrawn, and the token may have expired.
      if (!this.#keys.trusts(key)) return new Refusal("key_untrusted");
      const identity = verifiedIdentity(identityFromClaims(unverifiedClaims));
      if (this.#hasExpired(identity)) return new Refusal("token_expired");
      this.#verified?.set(digest, { identity, key });
      return identity;
    } catch (error) {
      // jose's errors hold the payload, and with it the private key: none of them is passed on.
      if (error instanceof JOSEError) return new Refusal("signature_invalid");
      throw error;
    } finally {
      forgetLastMatch(); // jose has matched the token with a regular expression
      // The entry is there by now, because every path to this line has awaited something.
      this.#pending.delete(digest);
    }
  }
}

// eslint-disable-next-line @typescript-eslint/unbound-method -- compared only
const genuineVerify = webcrypto.subtle.verify;

/** jose verifies with the global `crypto`. A mock in its place must not decide who gets in. */
function refuseReplacedCrypto(): void {
  const { crypto } = globalThis as { crypto?: { subtle?: { verify?: unknown } } };
  if (crypto?.subtle?.verify !== genuineVerify) {
    throw new Error("globalThis.crypto is not Node's: no signature can be verified until it is put back");
  }
}

/** The cache's key for a token, so that no token is kept. Empty for what is too long to be a token. */
export function digestOf(token: string): string {
  return typeof token === "string" && token.length <= MAX_TOKEN_LENGTH ? sha256(token) : "";
}

/** In hexadecimal. */
export function sha256(text: string): string {
  return hash("sha256", text);
}

/** Names the reason where people make the mistake often. */
function malformed(token: string): Refusal {
  const reason = isPlaceholder(token)
    ? "hidden by an earlier mount"
    : token.startsWith("at-")
      ? "a personal access token, not an Agent Identity"
      : token.slice(0, "bearer ".length).toLowerCase() === "bearer "
        ? 'the token begins with "Bearer ": leave that out'
        : undefined;
  return new Refusal("token_malformed", reason === undefined ? undefined : { reason });
}
