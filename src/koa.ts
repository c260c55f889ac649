/**
 * Koa 2 and 3.
 * @module agent-identity-auth/koa
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
  /** The caller. Only `agentIdentityAuth` sets it. */
  agentIdentity?: AgentIdentity;
}

/** The part of a Koa context that the middleware uses. */
export interface AgentIdentityContext {
  /** The request of Node, of which only the headers are read. */
  readonly req: IncomingMessage;
  /** The object that gets the identity. */
  readonly state: AgentIdentityState;
}

/** Koa middleware, typed without Koa. */
export type AgentIdentityKoaHandler = (ctx: AgentIdentityContext, next: () => Promise<unknown>) => Promise<unknown>;

/** The middleware that `agentIdentityAuth` returns: mount it, or what its `restrictTo` or `require` returns. */
export type AgentIdentityMiddleware = AgentIdentityKoaHandler & MiddlewareMembers<AgentIdentityKoaHandler>;

/**
 * Koa middleware that verifies the bearer token of a request and sets `ctx.state.agentIdentity`. It throws an
 * `AgentIdentityError` for a failure. `agents.authenticate` takes `ctx.req`.
 * @param baseUrl the base URL of the backend that issues the tokens; there is no default
 * @throws TypeError that names the fix
 * @example
 * app.use(agentIdentityErrorHandler()).use(agentIdentityAuth("https://chatgpt.com/backend-api"));
 */
export function agentIdentityAuth(baseUrl: string | URL, options?: AgentIdentityAuthOptions): AgentIdentityMiddleware {
  return createMiddleware(baseUrl, options, createHandler);
}

function createHandler(authenticate: Authenticate, toError: ErrorFactory): AgentIdentityKoaHandler {
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
 * The caller, typed without `undefined`: behind a mount that requires credentials, there always is one.
 * @throws Error that names the missing mount, or says that the optional mount had no credentials
 * @example
 * router.get("/tasks", agents, (ctx) => (ctx.body = tasksOf(agentOf(ctx).agentRuntimeId)));
 */
export function agentOf(ctx: { readonly state: object }): AgentIdentity {
  return identityOf(Object((Object(ctx) as Partial<typeof ctx>).state) as object, "ctx.state.agentIdentity");
}

/** The part of a Koa context that the error handler uses. */
export interface ErrorContext {
  /** The request of Node. */
  readonly req: IncomingMessage;
  /** The response of Node. */
  readonly res: ServerResponse;
  /** Whether an answer has begun. */
  readonly headerSent: boolean;
  /** `false` where a handler answers without Koa. */
  respond?: boolean | undefined;
  /** Part of the answer. */
  status: number;
  /** Part of the answer. */
  body: unknown;
  /** Sets headers of the answer. */
  set(headers: Record<string, string>): void;
  /** Removes a header of the answer. */
  remove(name: string): void;
}

/**
 * Koa error handler. Mount it first. It answers errors of this package with `{"error":{"message","type","code"}}`, which Codex
 * clients need, sets `ctx.res.err` for access logs, and throws all other errors on. Without it, Koa answers in plain text.
 * @throws TypeError that names the fix
 * @example
 * app.use(agentIdentityErrorHandler());
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
      ctx.respond = true; // a handler may have set it to false before it threw
      for (const name of HEADERS_OF_ANOTHER_ANSWER) ctx.remove(name);
      ctx.status = status;
      ctx.set({ ...headers });
      ctx.body = body;
      (ctx.res as ServerResponse & { err?: unknown }).err = error;
    }
  };
}
