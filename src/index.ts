/**
 * Express, and the framework-free core.
 * @module agent-identity-auth
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { AgentIdentity } from "./protocol/agent-identity.js";
import {
  checkErrorHandlerOptions,
  HEADERS_OF_ANOTHER_ANSWER,
  type ErrorHandlerOptions,
} from "./middleware/error-handler.js";
import { createMiddleware, type MiddlewareMembers } from "./middleware/middleware.js";
import { isThenable } from "./runtime/thenable.js";
import type { AgentIdentityAuthOptions, Authenticate } from "./verify/http/authenticator.js";
import { identityOf } from "./verify/http/agent-of.js";
import { answerOf, isAgentIdentityError, type ErrorFactory } from "./verify/outcome/errors.js";
import { ADMITTED, admit, type Admission } from "./verify/outcome/verdict.js";

export type { AgentIdentity } from "./protocol/agent-identity.js";
export type { LoginRestrictions } from "./protocol/login-restrictions.js";
export type { AgentIdentityAuthOptions, IdentityRule } from "./verify/http/authenticator.js";
export type {
  AgentDirectory,
  DirectoryAgent,
  DirectoryEntry,
  DirectoryTask,
} from "./verify/assertions/agent-directory.js";
export type { CredentialsSource } from "./verify/http/request-headers.js";
export { AgentIdentityError, isAgentIdentityError } from "./verify/outcome/errors.js";
export type { AgentIdentityErrorCause, AgentIdentityErrorCode } from "./verify/outcome/errors.js";
export type { Fetch, FetchResponse } from "./runtime/fetch.js";
export type { ErrorHandlerOptions } from "./middleware/error-handler.js";
export { createJwksResolver } from "./verify/keys/jwks-registry.js";
export type { JwksLocationOptions, JwksOptions } from "./verify/keys/jwks-options.js";
export type { JwksStore } from "./verify/keys/jwks-store.js";
export type { JwksResolver, JwksStatus } from "./verify/keys/jwks-resolver.js";
export type { Authenticating, MiddlewareMembers } from "./middleware/middleware.js";
export type { JwksFetchEvent, VerifyEvent } from "./verify/outcome/diagnostics.js";
export { createVerifier } from "./verify/tokens/create-verifier.js";
export type { Verifier, VerifierOptions } from "./verify/tokens/create-verifier.js";

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- Express declares its Request so, for others to add to
  namespace Express {
    interface Request {
      /** The caller. Only `agentIdentityAuth` sets it. */
      agentIdentity?: AgentIdentity;
    }
  }
}

/** Express middleware, typed without Express. */
export type AgentIdentityRequestHandler = (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** The middleware that `agentIdentityAuth` returns: mount it, or what its `restrictTo` or `require` returns. */
export type AgentIdentityMiddleware = AgentIdentityRequestHandler & MiddlewareMembers<AgentIdentityRequestHandler>;

/**
 * Express middleware that verifies the bearer token of a request and sets `req.agentIdentity`, for Express 4 and 5. It can be
 * mounted on an app, a router or a route. A failure goes to `next` as an {@link AgentIdentityError}.
 * @param baseUrl the base URL of the backend that issues the tokens; there is no default
 * @throws TypeError that names the fix
 * @example
 * const agents = agentIdentityAuth("https://chatgpt.com/backend-api");
 * app.get("/tasks", agents, (req, res) => res.json({ agent: agentOf(req).agentRuntimeId }));
 */
export function agentIdentityAuth(baseUrl: string | URL, options?: AgentIdentityAuthOptions): AgentIdentityMiddleware {
  return createMiddleware(baseUrl, options, createHandler);
}

function createHandler(authenticate: Authenticate, toError: ErrorFactory): AgentIdentityRequestHandler {
  return function agentIdentity(req, _res, next) {
    if (typeof (next as unknown) !== "function") {
      throw new TypeError(
        "agentIdentityAuth of agent-identity-auth is for Express: for Koa, take that of agent-identity-auth/koa",
      );
    }
    const admission = admit(authenticate, req, req as Express.Request, toError);
    if (isThenable(admission)) void proceedLater(admission, next);
    else proceed(admission, next);
  };
}

type Next = (error?: unknown) => void;

/** Not inside a `try`: an error of a later handler is not an error of this one. */
function proceed(admission: Admission, next: Next): void {
  if (admission === ADMITTED) next();
  else next(admission);
}

async function proceedLater(admission: Promise<Admission>, next: Next): Promise<void> {
  proceed(await admission, next);
}

/**
 * The caller, typed without `undefined`: behind a mount that requires credentials, there always is one.
 * @throws Error that names the missing mount, or says that the optional mount had no credentials
 * @example
 * app.get("/tasks", agents, (req, res) => res.json(tasksOf(agentOf(req).agentRuntimeId)));
 */
export function agentOf(req: object): AgentIdentity {
  return identityOf(Object(req) as object, "req.agentIdentity");
}

/**
 * Express error handler. Mount it last. It answers errors of this package with `{"error":{"message","type","code"}}`, sets
 * `res.err` for access logs, and passes on all other errors.
 * @throws TypeError that names the fix
 * @example
 * app.use(agentIdentityErrorHandler());
 */
export function agentIdentityErrorHandler(options?: ErrorHandlerOptions<IncomingMessage>) {
  const { onError } = checkErrorHandlerOptions(options, arguments.length);
  return function agentIdentityErrorHandler(
    error: unknown,
    req: IncomingMessage,
    res: ServerResponse,
    next: (error?: unknown) => void,
  ): void {
    if (!isAgentIdentityError(error) || res.headersSent) {
      next(error);
      return;
    }
    onError?.(error, req);
    const { status, headers, body } = answerOf(error);
    for (const name of HEADERS_OF_ANOTHER_ANSWER) res.removeHeader(name);
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    res.setHeader("Content-Length", Buffer.byteLength(body));
    res.statusCode = status;
    (res as ServerResponse & { err?: unknown }).err = error;
    res.end(body);
  };
}
