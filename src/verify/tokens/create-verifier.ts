/** `createVerifier`: the framework-free core. */

import type { AgentIdentity } from "../../protocol/agent-identity.js";
import { CODEX_AUDIENCE, CODEX_ISSUER } from "../../protocol/claims.js";
import {
  aNonBlankString,
  anInteger,
  checkedByItsParser,
  checkOptions,
  isOptionsObject,
  ownProperties,
  type OptionCheck,
  type OptionChecks,
} from "../../protocol/options.js";
import { toVerifierError } from "../outcome/errors.js";
import { JWKS_LOCATION_CHECKS, type JwksLocationOptions, type JwksOptions } from "../keys/jwks-options.js";
import { selectResolver } from "../keys/jwks-registry.js";
import type { JwksResolver, InternalJwksResolver } from "../keys/jwks-resolver.js";
import { identityOrThrow } from "../outcome/verdict.js";
import { digestOf, TokenVerifier } from "./token-verifier.js";
import { publishVerification } from "../outcome/diagnostics.js";

/** Options of `createVerifier`. */
export interface VerifierOptions extends JwksLocationOptions {
  /**
   * Seconds since `iat`, an integer of 1 or more: an older bearer token is `token_expired` although its `exp` is to come, and
   * one whose `iat` is in the future is `token_not_yet_valid`. Default: no bound but `exp`.
   */
  maxTokenAge?: number | undefined;
  /** The one accepted `iss`. Default `https://chatgpt.com/codex-backend/agent-identity`, whatever the base URL. */
  issuer?: string | undefined;
  /** The one accepted `aud`. Default `codex-app-server`. */
  audience?: string | undefined;
  /** For `exp` and `nbf`, in seconds: an integer of 0 to 300. Default 60, as Codex. */
  clockTolerance?: number | undefined;
  /** Verified tokens are remembered, by their SHA-256; `false` remembers none. */
  tokenCache?:
    | {
        /** How many, an integer of 1 to 1000000. Default 10000. */
        readonly max?: number | undefined;
      }
    | false
    | undefined;
  /** How the keys are fetched and kept, or a resolver to share. Default: the one shared resolver of the JWKS URL. */
  jwks?: JwksOptions | JwksResolver | undefined;
}

/** Verifies tokens, without a framework. */
export interface Verifier {
  /**
   * Verifies a bare token (no `Bearer`). It says who the agent is, not what it may do: see login restrictions for that.
   * There is no replay check (a bearer token is meant to be sent again), and no revocation of a single token.
   * @throws {AgentIdentityError} with the code of the first check that failed
   */
  verify(token: string): Promise<AgentIdentity>;
  /** Where its keys come from. */
  readonly jwks: JwksResolver;
}

const aCacheSize = anInteger(1, 1_000_000, "tokens");

const aTokenCache: OptionCheck = {
  expected: `false or { max: ${aCacheSize.expected} }`,
  accepts: (value) => value === false || isOptionsObject(value),
};

export const VERIFIER_OPTION_CHECKS: OptionChecks<VerifierOptions> = {
  maxTokenAge: anInteger(1, Number.MAX_SAFE_INTEGER, "seconds"),
  issuer: aNonBlankString,
  audience: aNonBlankString,
  clockTolerance: anInteger(0, 300, "seconds"),
  tokenCache: aTokenCache,
  jwks: checkedByItsParser,
  ...JWKS_LOCATION_CHECKS,
};

/**
 * @param baseUrl the configured base URL, such as `https://chatgpt.com/backend-api`; there is no default
 * @throws TypeError that names the fix
 */
export function createVerifier(baseUrl: string | URL, options?: VerifierOptions): Verifier {
  const checked = checkOptions("createVerifier", options, VERIFIER_OPTION_CHECKS);
  return sharedVerifier("createVerifier", baseUrl, checked).facade;
}

export interface SharedVerifier {
  readonly tokens: TokenVerifier;
  readonly facade: Verifier;
}

/** Verifiers that would decide alike are one, and so is their cache of verified tokens. */
const verifiers = new WeakMap<InternalJwksResolver, Map<string, SharedVerifier>>();

/** @param options already checked */
export function sharedVerifier(where: string, baseUrl: string | URL, options: VerifierOptions): SharedVerifier {
  const own = ownProperties(options);
  const { issuer = CODEX_ISSUER, audience = CODEX_AUDIENCE, clockTolerance = 60 } = own;
  const { maxTokenAge, tokenCache = {}, jwks, jwksUrl, allowInsecureHttp } = own;
  const cacheSize = tokenCache === false ? 0 : readCacheSize(where, tokenCache);
  const keys = selectResolver(where, baseUrl, { jwksUrl, allowInsecureHttp }, jwks);

  const ofTheseKeys = verifiers.get(keys) ?? new Map<string, SharedVerifier>();
  verifiers.set(keys, ofTheseKeys);
  const sharedUnder = JSON.stringify([issuer, audience, clockTolerance, maxTokenAge, cacheSize]);
  const selected =
    ofTheseKeys.get(sharedUnder) ??
    createShared(new TokenVerifier(keys, { issuer, audience, clockTolerance, maxTokenAge }, cacheSize), keys);
  ofTheseKeys.set(sharedUnder, selected);
  return selected;
}

function readCacheSize(where: string, tokenCache: { readonly max?: number | undefined }): number {
  return checkOptions(`${where}: tokenCache`, tokenCache, { max: aCacheSize }).max ?? 10_000;
}

function createShared(tokens: TokenVerifier, jwks: JwksResolver): SharedVerifier {
  const facade: Verifier = {
    async verify(token) {
      const digest = digestOf(token);
      const outcome = publishVerification(
        "Bearer",
        () => tokens.verify(token, digest),
        () => tokens.remembered(digest),
      );
      return identityOrThrow(await outcome, toVerifierError);
    },
    jwks,
  };
  return { tokens, facade: Object.freeze(facade) };
}
