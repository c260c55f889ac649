import { agentIdentityAuth, type AgentIdentityState } from "../../dist/koa.js";
import { onKoa } from "./on-koa.js";

export const contestant = onKoa<AgentIdentityState>({
  title: "agent-identity-auth/koa without its error handler",
  packages: ["agent-identity-auth"],
  protect: ({ baseUrl }) => [agentIdentityAuth(baseUrl)],
  agentOf: ({ agentIdentity }) => agentIdentity?.agentRuntimeId,
});
