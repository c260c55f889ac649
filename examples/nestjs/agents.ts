/** What a NestJS app needs to know which agent is calling, on Express and on Fastify. */

import { Catch, createParamDecorator } from "@nestjs/common";
import type { ArgumentsHost, CanActivate, ExceptionFilter, ExecutionContext } from "@nestjs/common";
import type { AbstractHttpAdapter } from "@nestjs/core";
import { AgentIdentityError, agentIdentityErrorHandler, agentOf, type Authenticating } from "agent-identity-auth";
import { agentIdentityErrorHandler as fastifyErrorHandler } from "agent-identity-auth/fastify";

/** Takes `agents`, or what its `restrictTo` or `require` returns. */
export class AgentGuard implements CanActivate {
  constructor(private readonly agents: Authenticating) {}

  async canActivate(context: ExecutionContext) {
    const request = context.switchToHttp().getRequest();
    request.agentIdentity = await this.agents.authenticate(request.raw ?? request); // Fastify has Node's request in `raw`
    return true;
  }
}

/** A parameter of a handler: the identity. It throws if no guard is in front of the handler. */
export const Agent = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  agentOf(context.switchToHttp().getRequest()),
);

/** Nest's own filter drops the headers of an error: the caller would get no challenge and no `Retry-After`. */
@Catch(AgentIdentityError)
export class AgentIdentityFilter implements ExceptionFilter<AgentIdentityError> {
  private readonly answer: (error: AgentIdentityError, ...args: any[]) => unknown;

  constructor(server: AbstractHttpAdapter) {
    this.answer = server.getType() === "fastify" ? fastifyErrorHandler() : agentIdentityErrorHandler();
  }
  catch(error: AgentIdentityError, host: ArgumentsHost) {
    this.answer(error, ...host.getArgs());
  }
}
