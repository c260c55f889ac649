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
import { KEY_ASKER_CHECKS, type KeyAsker, type KeyAskerOptions } from "../keys/key-asker.js";
import { selectResolver } from "../keys/jwks-registry.js";
import type { JwksResolver, InternalJwksResolver } from "../keys/jwks-resolver.js";
import { identityOrThrow } from "../outcome/verdict.js";
import { digestOf, TokenVerifier } from "./token-verifier.js";
import { published } from "../outcome/diagnostics.js";

/** Options of `createVerifier`. */
export interface VerifierOptions extends JwksLocationOptions, KeyAskerOptions {
  /**
   * The longest time since `iat` for which a bearer token is accepted, in seconds: an integer of 1 or more. An older token is
   * `token_expired` even before its `exp`, and a token whose `iat` is in the future is `token_not_yet_valid`. Default: none.
   * Without this option, only `exp` counts.
   */
  maxTokenAge?: number | undefined;
  /** The one accepted `iss`. It does not depend on the base URL. Default `https://chatgpt.com/codex-backend/agent-identity`. */
  issuer?: string | undefined;
  /** The one accepted `aud`. Default `codex-app-server`. */
  audience?: string | undefined;
  /** How far clocks may differ, for `exp` and `nbf`, in seconds: an integer of 0 to 300. Default 60, as in Codex. */
  clockTolerance?: number | undefined;
  /** Verified tokens are remembered by their SHA-256. `false` remembers none. Default `{ max: 10000 }`. */
  tokenCache?:
    | {
        /** How many tokens: an integer of 1 to 1000000. Default 10000. */
        readonly max?: number | undefined;
      }
    | false
    | undefined;
  /** How keys are fetched and kept, or a resolver of `createJwksResolver`. Default: the shared resolver of the JWKS URL. */
  jwks?: JwksOptions | JwksResolver | undefined;
}

/** Verifies tokens, without a framework. */
export interface Verifier {
  /**
   * Verifies a token, without `Bearer` in front of it. The result says who the agent is, not what the agent may do: that is
   * for `restrictTo` and `require`. It is no replay check, because agents send a bearer token many times, and a single token
   * cannot be revoked.
   * @throws {AgentIdentityError} with the code of the first check that failed
   */
  verify(token: string): Promise<AgentIdentity>;
  /** The resolver of its keys. */
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
  ...KEY_ASKER_CHECKS,
};

/**
 * A verifier without a framework.
 * @param baseUrl the base URL of the backend that issues the tokens, such as `https://chatgpt.com/backend-api`
 * @throws TypeError that names the fix
 * @example
 * const verifier = createVerifier("https://chatgpt.com/backend-api");
 * const { agentRuntimeId } = await verifier.verify(token);
 */
export function createVerifier(baseUrl: string | URL, options?: VerifierOptions): Verifier {
  const checked = checkOptions("createVerifier", options, VERIFIER_OPTION_CHECKS);
  return facadeOf(sharedVerifier("createVerifier", baseUrl, checked), checked);
}

export interface SharedVerifier {
  readonly keys: InternalJwksResolver;
  readonly tokens: TokenVerifier;
  /** With the defaults of `KeyAskerOptions`. */
  readonly facade: Verifier;
}

/** Verifiers with the same resolver and options share one cache of verified tokens. */
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

/** @param options already checked */
export function askerOf(options: KeyAskerOptions): KeyAsker {
  const { warnings = true, waitUntil } = ownProperties(options);
  return { warnings, waitUntil };
}

/** @param options already checked */
export function facadeOf({ keys, tokens, facade }: SharedVerifier, options: KeyAskerOptions): Verifier {
  const asker = askerOf(options);
  return asker.warnings && asker.waitUntil === undefined ? facade : createFacade(tokens, keys, asker);
}

function createShared(tokens: TokenVerifier, keys: InternalJwksResolver): SharedVerifier {
  return { keys, tokens, facade: createFacade(tokens, keys, askerOf({})) };
}

function createFacade(tokens: TokenVerifier, jwks: JwksResolver, asker: KeyAsker): Verifier {
  const verify = published(
    "Bearer",
    (token, digest: string) => tokens.verify(token, digest, asker),
    (_token, digest) => tokens.remembered(digest),
  );
  return Object.freeze<Verifier>({
    async verify(token) {
      return identityOrThrow(await verify(token, digestOf(token)), toVerifierError);
    },
    jwks,
  });
}
