/**
 * Fastify 5.
 * @module agent-identity-auth/fastify
 */

import type { FastifyPluginCallback, FastifyReply, FastifyRequest, onRequestHookHandler } from "fastify";
import fastifyPlugin from "fastify-plugin";
import type { AgentIdentity } from "./protocol/agent-identity.js";
import {
  checkErrorHandlerOptions,
  HEADERS_OF_ANOTHER_ANSWER,
  type ErrorHandlerOptions,
} from "./middleware/error-handler.js";
import { createMiddleware, type MiddlewareMembers } from "./middleware/middleware.js";
import { whenSettled } from "./runtime/thenable.js";
import { identityOf } from "./verify/http/agent-of.js";
import type { AgentIdentityAuthOptions, Authenticate } from "./verify/http/authenticator.js";
import { answerOf, isAgentIdentityError, type ErrorFactory } from "./verify/outcome/errors.js";
import { ADMITTED, admit, type Admission } from "./verify/outcome/verdict.js";

export type { AgentIdentity } from "./protocol/agent-identity.js";
export type { LoginRestrictions } from "./protocol/login-restrictions.js";
export type { AgentIdentityAuthOptions, IdentityRule } from "./verify/http/authenticator.js";
export { AgentIdentityError, isAgentIdentityError } from "./verify/outcome/errors.js";
export type { AgentIdentityErrorCause, AgentIdentityErrorCode } from "./verify/outcome/errors.js";
export type { ErrorHandlerOptions } from "./middleware/error-handler.js";
export type { Authenticating, MiddlewareMembers } from "./middleware/middleware.js";

/** A hook that authenticates, and what it can do beside that. */
export type AgentIdentityHook = onRequestHookHandler & MiddlewareMembers<onRequestHookHandler>;

declare module "fastify" {
  interface FastifyInstance {
    /** The hook of `agent-identity-auth/fastify`: `{ onRequest: app.agents }`. */
    agents: AgentIdentityHook;
  }
  interface FastifyRequest {
    /** The caller. Only the hook sets it. */
    agentIdentity?: AgentIdentity | undefined;
  }
}

/** Options of the plugin: the base URL, and those of every adapter. */
export interface AgentIdentityPluginOptions extends AgentIdentityAuthOptions {
  /** The base URL of the backend that issues the tokens; there is no default. */
  baseUrl: string | URL;
}

const register: FastifyPluginCallback<AgentIdentityPluginOptions> = (app, { baseUrl, ...options }, done) => {
  app.decorateRequest("agentIdentity", undefined);
  app.decorate("agents", createMiddleware(baseUrl, options, createHook));
  done();
};

/**
 * Fastify plugin that decorates the app with `agents`, a hook that verifies the bearer token of a request and sets
 * `request.agentIdentity`. It authenticates nothing by itself. A refusal goes to Fastify's own error handling.
 * @throws TypeError that names the fix
 * @example
 * await app.register(agentIdentityAuth, { baseUrl: "https://chatgpt.com/backend-api" });
 * app.get("/tasks", { onRequest: app.agents }, (request) => ({ agent: agentOf(request).agentRuntimeId }));
 */
export const agentIdentityAuth: FastifyPluginCallback<AgentIdentityPluginOptions> = fastifyPlugin(register, {
  fastify: "5.x",
  name: "agent-identity-auth",
});

export default agentIdentityAuth;

function createHook(authenticate: Authenticate, toError: ErrorFactory): onRequestHookHandler {
  return function agentIdentity(request, _reply, done) {
    const proceed = (admission: Admission) => {
      if (admission === ADMITTED) done();
      else done(admission);
    };
    void whenSettled(admit(authenticate, request.raw, request, toError), proceed);
  };
}

/**
 * The caller, typed without `undefined`: behind a hook that requires credentials, there always is one.
 * @throws Error that names the missing hook, or says that the optional one had no credentials
 * @example
 * app.get("/tasks", { onRequest: app.agents }, (request) => tasksOf(agentOf(request).agentRuntimeId));
 */
export function agentOf(request: object): AgentIdentity {
  const { agentIdentity } = Object(request) as FastifyRequest;
  if (agentIdentity === undefined) {
    throw new Error(
      "request.agentIdentity is not set: add { onRequest: app.agents } to the route (on an optional hook: the request had no credentials)",
    );
  }
  return identityOf(request, "request.agentIdentity");
}

/**
 * Fastify error handler that answers errors of this package with `{"error":{"message","type","code"}}`, which Codex clients need,
 * and passes on all others. Without it, Fastify answers with the same status and headers, and a body of its own.
 * @throws TypeError that names the fix
 * @example
 * app.setErrorHandler(agentIdentityErrorHandler());
 */
export function agentIdentityErrorHandler(options?: ErrorHandlerOptions<FastifyRequest>) {
  const { onError } = checkErrorHandlerOptions(options, arguments.length);
  return function agentIdentityErrorHandler(
    error: unknown,
    request: FastifyRequest,
    reply: FastifyReply,
  ): FastifyReply {
    if (!isAgentIdentityError(error)) return reply.send(error);
    onError?.(error, request);
    const { status, headers, body } = answerOf(error);
    for (const name of HEADERS_OF_ANOTHER_ANSWER) reply.removeHeader(name);
    return reply.code(status).headers(headers).send(body);
  };
}
