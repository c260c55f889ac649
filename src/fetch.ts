/**
 * Servers that take a `Request` and give a `Response`.
 * @module agent-identity-auth/fetch
 */

import type { AgentIdentity } from "./protocol/agent-identity.js";
import type { LoginRestrictions } from "./protocol/login-restrictions.js";
import {
  createAuthenticator,
  type AgentIdentityAuthOptions,
  type Authenticate,
  type IdentityRule,
} from "./verify/http/authenticator.js";
import { credentialsOfRequest } from "./verify/http/credentials.js";
import { responseOf } from "./verify/http/response.js";
import { answerOf, Refusal, toErrorAnswer, type ErrorFactory } from "./verify/outcome/errors.js";
import { ANONYMOUS, identityOrThrow, type Outcome } from "./verify/outcome/verdict.js";
import type { Verifier } from "./verify/tokens/create-verifier.js";

export type { AgentIdentity } from "./protocol/agent-identity.js";
export type { LoginRestrictions } from "./protocol/login-restrictions.js";
export type { AgentIdentityAuthOptions, IdentityRule } from "./verify/http/authenticator.js";
export { AgentIdentityError, isAgentIdentityError } from "./verify/outcome/errors.js";
export type { AgentIdentityErrorCause, AgentIdentityErrorCode } from "./verify/outcome/errors.js";
export { createJwksResolver } from "./verify/keys/jwks-registry.js";
export type { JwksLocationOptions, JwksOptions } from "./verify/keys/jwks-options.js";
export type { JwksResolver, JwksStatus } from "./verify/keys/jwks-resolver.js";
export { withoutCredentials } from "./verify/http/credentials.js";
export { createVerifier } from "./verify/tokens/create-verifier.js";
export type { Verifier, VerifierOptions } from "./verify/tokens/create-verifier.js";

/**
 * Two ways to let only authenticated requests through.
 * @typeParam Identity the type of a handler's identity: with `undefined` where credentials are not required
 */
export interface Protection<Identity extends AgentIdentity | undefined> {
  /**
   * The caller of a request. Credentials are always required.
   * @throws {AgentIdentityError} which `agentIdentityErrorResponse` turns into a `Response`
   * @example
   * const identity = await agents.authenticate(request);
   */
  authenticate(request: Request): Promise<AgentIdentity>;
  /**
   * Makes a handler that answers refused requests itself and calls `handler` for all others. Errors of `handler` are thrown
   * on. Further arguments, such as the context of a framework, go to `handler` after the identity.
   * @example
   * export default { fetch: agents.protect((request, identity) => Response.json(identity.agentRuntimeId)) };
   */
  protect<Rest extends unknown[]>(
    handler: (request: Request, identity: Identity, ...rest: Rest) => Response | Promise<Response>,
  ): (request: Request, ...rest: Rest) => Promise<Response>;
}

/** What `agentIdentityAuth` returns. */
export interface AgentIdentityProtection<Identity extends AgentIdentity | undefined> extends Protection<Identity> {
  /**
   * Authenticates and applies login restrictions, against the same base URL.
   * @throws TypeError if nothing is restricted: `{}`, an unset environment variable, an empty list
   */
  restrictTo(restrictions: LoginRestrictions): Protection<AgentIdentity>;
  /**
   * Authenticates and applies a rule of yours. Only `true`, or a promise of it, lets a request through. Any other value is a
   * 403 `identity_not_allowed`. Errors of the rule are thrown on.
   * @throws TypeError if it is not a function
   */
  require(rule: IdentityRule): Protection<AgentIdentity>;
  /**
   * Resolves when there is a usable key set. Short for `agents.verifier.jwks.ready()`.
   * @throws {AgentIdentityError} `keys_unavailable`
   */
  ready(): Promise<void>;
  /** The core without a framework, with the same base URL and options. */
  readonly verifier: Verifier;
}

/**
 * Verifies the bearer token of a `Request`.
 * @param baseUrl the base URL of the backend that issues the tokens; there is no default
 * @throws TypeError that names the fix
 * @example
 * const agents = agentIdentityAuth("https://chatgpt.com/backend-api");
 * export default { fetch: agents.protect((request, identity) => Response.json(identity.agentRuntimeId)) };
 */
export function agentIdentityAuth(
  baseUrl: string | URL,
  options?: AgentIdentityAuthOptions & { credentialsRequired?: true | undefined },
): AgentIdentityProtection<AgentIdentity>;
export function agentIdentityAuth(
  baseUrl: string | URL,
  options?: AgentIdentityAuthOptions,
): AgentIdentityProtection<AgentIdentity | undefined>;
export function agentIdentityAuth(
  baseUrl: string | URL,
  options?: AgentIdentityAuthOptions,
): AgentIdentityProtection<AgentIdentity | undefined> {
  const authenticator = createAuthenticator(baseUrl, options);
  const { verifier, toError, authenticate, authenticateOnMount, restrictTo } = authenticator;
  return {
    ...createProtection(authenticate, authenticateOnMount, toError),
    restrictTo(restrictions) {
      const restricted = restrictTo(restrictions);
      return createProtection(restricted, restricted, toError);
    },
    require(rule) {
      const required = authenticator.require(rule);
      return createProtection(required, required, toError);
    },
    ready: () => verifier.jwks.ready(),
    verifier,
  };
}

function createProtection<Identity extends AgentIdentity | undefined>(
  authenticate: Authenticate<Outcome>,
  authenticateOnMount: Authenticate,
  toError: ErrorFactory,
): Protection<Identity> {
  return {
    authenticate: async (request) => identityOrThrow(await authenticate(credentialsOfRequest(request)), toError),
    protect: (handler) => {
      if (typeof (handler as unknown) !== "function")
        throw new TypeError("protect takes a handler: (request, identity) => Response");
      return async function agentIdentity(request, ...rest) {
        const verdict = await authenticateOnMount(credentialsOfRequest(request));
        if (verdict instanceof Refusal) return responseOf(answerOf(toError(verdict)));
        const identity = verdict === ANONYMOUS ? undefined : identityOrThrow(verdict, toError);
        return handler(request, identity as Identity, ...rest);
      };
    },
  };
}

/**
 * The answer to an error of `authenticate`.
 * @returns `undefined` for an error of other code
 * @example
 * app.onError((error) => agentIdentityErrorResponse(error) ?? new Response("Internal Server Error", { status: 500 }));
 */
export function agentIdentityErrorResponse(error: unknown): Response | undefined {
  const answer = toErrorAnswer(error);
  return answer && responseOf(answer);
}
