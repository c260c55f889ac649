/**
 * Koa 2 and 3.
 * @module
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
export { AgentIdentityError, isAgentIdentityError } from "./verify/outcome/errors.js";
export type { AgentIdentityErrorCause, AgentIdentityErrorCode } from "./verify/outcome/errors.js";
export type { ErrorHandlerOptions } from "./middleware/error-handler.js";
export type { Authenticating, MiddlewareMembers } from "./middleware/middleware.js";

/** For `new Koa<AgentIdentityState>()`. */
export interface AgentIdentityState {
  /** Who is calling; set by `agentIdentityAuth` and nobody else. */
  agentIdentity?: AgentIdentity;
}

/** What the middleware needs of a Koa context. */
export interface AgentIdentityContext {
  /** Node's own request: only its headers are read. */
  readonly req: IncomingMessage;
  /** Where the identity goes. */
  readonly state: AgentIdentityState;
}

/** Koa middleware, in as much of Koa's terms as it needs. */
export type AgentIdentityHandler = (ctx: AgentIdentityContext, next: () => Promise<unknown>) => Promise<unknown>;

/** What `agentIdentityAuth` gives: to be mounted as it is, or with `restrictTo`. */
export type AgentIdentityMiddleware = AgentIdentityHandler & MiddlewareMembers<AgentIdentityHandler>;

/**
 * Koa middleware that verifies the bearer token of a request and sets `ctx.state.agentIdentity`. A failure is thrown as
 * an `AgentIdentityError`. `agents.authenticate` takes `ctx.req`.
 *
 * @param baseUrl the configured base URL of the backend that issues the tokens; there is no default
 * @throws TypeError that names the fix
 */
export function agentIdentityAuth(baseUrl: string | URL, options?: AgentIdentityAuthOptions): AgentIdentityMiddleware {
  return createMiddleware(baseUrl, options, createHandler);
}

function createHandler(authenticate: Authenticate, toError: ErrorFactory): AgentIdentityHandler {
  return function agentIdentity(ctx, next) {
    if ((ctx.req as unknown) === undefined) {
      throw new TypeError(
        "agentIdentityAuth of agent-identity-auth/koa is for Koa: for Express, take that of agent-identity-auth",
      );
    }
    const admission = admit(authenticate, ctx.req, ctx.state, toError);
    return admission === ADMITTED ? next() : proceedLater(admission, next);
  };
}

async function proceedLater(pending: Error | Promise<Admission>, next: () => Promise<unknown>): Promise<unknown> {
  const admission = isThenable(pending) ? await pending : pending;
  if (admission !== ADMITTED) throw admission;
  return next();
}

/**
 * The caller.
 * @throws Error that names the missing mount, or says that the optional mount had no credentials
 * @example
 * router.get("/tasks", agents, (ctx) => (ctx.body = tasksOf(agentOf(ctx).agentRuntimeId)));
 */
export function agentOf(ctx: { readonly state: object }): AgentIdentity {
  return identityOf(Object((Object(ctx) as Partial<typeof ctx>).state) as object, "ctx.state.agentIdentity");
}

/** What the error handler needs of a Koa context. */
export interface ErrorContext {
  /** Node's own request. */
  readonly req: IncomingMessage;
  /** Node's own response. */
  readonly res: ServerResponse;
  /** Whether it is too late for an answer of ours. */
  readonly headerSent: boolean;
  /** `false` where a handler has taken the answer out of Koa's hands. */
  respond?: boolean | undefined;
  /** Of the answer. */
  status: number;
  /** Of the answer. */
  body: unknown;
  /** Sets headers of the answer. */
  set(headers: Record<string, string>): void;
  /** Removes a header of the answer. */
  remove(name: string): void;
}

/**
 * Koa error handler, mounted first: answers this package's errors with `{"error":{"message","type","code"}}`, which
 * Codex clients need, and throws all others on. Without it, Koa answers with status, headers and plain text. For access
 * logs, the error is then `ctx.res.err`.
 */
export function agentIdentityErrorHandler(options?: ErrorHandlerOptions<ErrorContext>) {
  const { onError } = checkErrorHandlerOptions(options, arguments.length);
  return async function agentIdentityErrorHandler(ctx: ErrorContext, next: () => Promise<unknown>): Promise<void> {
    try {
      await next();
    } catch (error) {
      if (!isAgentIdentityError(error) || ctx.headerSent) throw error;
      onError?.(error, ctx);
      const { status, headers, body } = answerOf(error);
      ctx.respond = true; // a handler that wanted to answer by other means has thrown instead
      for (const name of HEADERS_OF_ANOTHER_ANSWER) ctx.remove(name);
      ctx.status = status;
      ctx.set({ ...headers });
      ctx.body = body;
      (ctx.res as ServerResponse & { err?: unknown }).err = error;
    }
  };
}
