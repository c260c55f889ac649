/** A NestJS API that knows which agent is calling: on Express, or on Fastify with PLATFORM=fastify. */

import "reflect-metadata";
import { Controller, Get, Module, UseGuards } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ExpressAdapter } from "@nestjs/platform-express";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import { agentIdentityAuth, type AgentIdentity } from "agent-identity-auth";
import { Agent, AgentGuard, AgentIdentityFilter } from "./agents.js";

const agents = agentIdentityAuth(process.env["AGENTS_BASE_URL"] ?? "https://chatgpt.com/backend-api");
const admins = agents.restrictTo({ forcedChatgptWorkspaceId: "acct-admin" });

@Controller()
class Tasks {
  @Get("tasks")
  @UseGuards(new AgentGuard(agents))
  tasks(@Agent() agent: AgentIdentity) {
    return { agent: agent.agentRuntimeId };
  }
  @Get("admin")
  @UseGuards(new AgentGuard(admins))
  admin(@Agent() agent: AgentIdentity) {
    return { admin: agent.agentRuntimeId };
  }
}
@Module({ controllers: [Tasks] })
class App {}

const server = process.env["PLATFORM"] === "fastify" ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(App, server, { logger: ["error", "warn"] });
app.useGlobalFilters(new AgentIdentityFilter(server));
await app.listen(process.env["PORT"] ?? 3000, "127.0.0.1");
console.log(`listening on ${await app.getUrl()}`);
