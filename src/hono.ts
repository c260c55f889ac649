/**
 * Hono 4.
 * @module agent-identity-auth/hono
 */

import type { Context, MiddlewareHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import type { AgentIdentity } from "./protocol/agent-identity.js";
import type { LoginRestrictions } from "./protocol/login-restrictions.js";
import { identityOf } from "./verify/http/agent-of.js";
import {
  createAuthenticator,
  type AgentIdentityAuthOptions,
  type Authenticate,
  type IdentityRule,
} from "./verify/http/authenticator.js";
import { credentialsOfRequest } from "./verify/http/credentials.js";
import { responseOf } from "./verify/http/response.js";
import { answerOf, Refusal, type ErrorFactory } from "./verify/outcome/errors.js";
import { ANONYMOUS, identityOrThrow } from "./verify/outcome/verdict.js";
import type { Verifier } from "./verify/tokens/create-verifier.js";

export type { AgentIdentity } from "./protocol/agent-identity.js";
export type { LoginRestrictions } from "./protocol/login-restrictions.js";
export type { AgentIdentityAuthOptions, IdentityRule } from "./verify/http/authenticator.js";
export { AgentIdentityError, isAgentIdentityError } from "./verify/outcome/errors.js";
export type { AgentIdentityErrorCause, AgentIdentityErrorCode } from "./verify/outcome/errors.js";

/** Middleware that sets `c.var.agentIdentity`. */
export type AgentIdentityHonoHandler<Identity = AgentIdentity> = MiddlewareHandler<{
  /** What the handlers behind it find in `c.var`. */
  Variables: {
    /** The caller. */
    agentIdentity: Identity;
  };
}>;

/** The middleware that `agentIdentityAuth` returns: mount it, or what its `restrictTo` or `require` returns. */
export type AgentIdentityMiddleware<Identity = AgentIdentity> = AgentIdentityHonoHandler<Identity> & {
  /**
   * Authenticates and applies login restrictions, against the same base URL.
   * @throws TypeError if nothing is restricted
   */
  restrictTo(restrictions: LoginRestrictions): AgentIdentityHonoHandler;
  /**
   * Authenticates and applies a rule of yours. Any other value than `true` is a 403 `identity_not_allowed`.
   * @throws TypeError if it is not a function
   */
  require(rule: IdentityRule): AgentIdentityHonoHandler;
  /**
   * The caller of a request. Credentials are always required.
   * @throws {AgentIdentityError}
   */
  authenticate(request: Request): Promise<AgentIdentity>;
  /**
   * Resolves when there is a usable key set.
   * @throws {AgentIdentityError} `keys_unavailable`
   */
  ready(): Promise<void>;
  /** The core without a framework, with the same base URL and options. */
  readonly verifier: Verifier;
};

/**
 * Hono middleware that verifies the bearer token of a request and sets `c.var.agentIdentity`. A refusal is an `HTTPException`
 * with the whole answer as its `res` and the {@link AgentIdentityError} as its `cause`. `c.req` keeps the token: see
 * `withoutCredentials` of `/fetch`.
 * @param baseUrl the base URL of the backend that issues the tokens; there is no default
 * @throws TypeError that names the fix
 * @example
 * const agents = agentIdentityAuth("https://chatgpt.com/backend-api");
 * app.get("/tasks", agents, (c) => c.json({ agent: c.var.agentIdentity.agentRuntimeId }));
 */
export function agentIdentityAuth(
  baseUrl: string | URL,
  options?: AgentIdentityAuthOptions & { credentialsRequired?: true | undefined },
): AgentIdentityMiddleware;
export function agentIdentityAuth(
  baseUrl: string | URL,
  options?: AgentIdentityAuthOptions,
): AgentIdentityMiddleware<AgentIdentity | undefined>;
export function agentIdentityAuth(baseUrl: string | URL, options?: AgentIdentityAuthOptions): unknown {
  const { verifier, toError, authenticate, authenticateOnMount, restrictTo, require } = createAuthenticator(
    baseUrl,
    options,
  );
  return Object.assign(createHandler<AgentIdentity | undefined>(authenticateOnMount, toError), {
    restrictTo: (restrictions: LoginRestrictions) => createHandler<AgentIdentity>(restrictTo(restrictions), toError),
    require: (rule: IdentityRule) => createHandler<AgentIdentity>(require(rule), toError),
    authenticate: async (request: Request) =>
      identityOrThrow(await authenticate(credentialsOfRequest(request)), toError),
    ready: () => verifier.jwks.ready(),
    verifier,
  });
}

function createHandler<Identity>(
  authenticate: Authenticate,
  toError: ErrorFactory,
): AgentIdentityHonoHandler<Identity> {
  return async function agentIdentity(c, next) {
    const verdict = await authenticate(credentialsOfRequest(c.req.raw));
    if (verdict instanceof Refusal) {
      const error = toError(verdict);
      throw new HTTPException(error.status, { res: responseOf(answerOf(error)), cause: error });
    }
    c.set("agentIdentity", (verdict === ANONYMOUS ? undefined : identityOrThrow(verdict, toError)) as Identity);
    await next();
  };
}

/**
 * The caller, typed without `undefined`: behind a mount that requires credentials, there always is one.
 * @throws Error that names the missing mount, or says that the optional mount had no credentials
 * @example
 * app.get("/tasks", agents, (c) => c.json(tasksOf(agentOf(c).agentRuntimeId)));
 */
export function agentOf(c: Pick<Context, "var">): AgentIdentity {
  return identityOf(Object(c.var) as object, "c.var.agentIdentity");
}
