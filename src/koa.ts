/**
 * Koa 2 and 3.
 * @module
 */

import type { IncomingMessage } from "node:http";
import type { AgentIdentity } from "./protocol/agent-identity.js";
import { createMiddleware, type MiddlewareMembers } from "./middleware/middleware.js";
import { isThenable } from "./protocol/thenable.js";
import type { AgentIdentityAuthOptions, Authenticate } from "./verify/authenticator.js";
import { toErrorAnswer, type ErrorFactory } from "./verify/errors.js";
import { ADMITTED, admit, type Admission } from "./verify/verdict.js";

export type { AgentIdentity } from "./protocol/agent-identity.js";
export type { LoginRestrictions } from "./protocol/login-restrictions.js";
export type { AgentIdentityAuthOptions } from "./verify/authenticator.js";
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
export function agentIdentityAuth(baseUrl: string, options?: AgentIdentityAuthOptions): AgentIdentityMiddleware {
  return createMiddleware(baseUrl, options, createHandler);
}

function createHandler(authenticate: Authenticate, toError: ErrorFactory): AgentIdentityHandler {
  return function agentIdentity(ctx, next) {
    const admission = admit(authenticate, ctx.req, ctx.state, toError);
    return admission === ADMITTED ? next() : proceedLater(admission, next);
  };
}

async function proceedLater(pending: Error | Promise<Admission>, next: () => Promise<unknown>): Promise<unknown> {
  const admission = isThenable(pending) ? await pending : pending;
  if (admission !== ADMITTED) throw admission;
  return next();
}

/** What the error handler needs of a Koa context. */
export interface ErrorContext {
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
}

/**
 * Koa error handler, mounted first: answers this package's errors with `{"error":{"message","type","code"}}`, which
 * Codex clients need, and throws all others on. Without it, Koa answers with status, headers and plain text.
 */
export function agentIdentityErrorHandler() {
  return async function agentIdentityErrorHandler(ctx: ErrorContext, next: () => Promise<unknown>): Promise<void> {
    try {
      await next();
    } catch (error) {
      const answer = toErrorAnswer(error);
      if (answer === undefined || ctx.headerSent) throw error;
      ctx.respond = true; // whoever wanted to answer by other means has thrown instead
      ctx.status = answer.status;
      ctx.set({ ...answer.headers });
      ctx.body = answer.body;
    }
  };
}
