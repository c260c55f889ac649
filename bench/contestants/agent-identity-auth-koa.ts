// What `npm run build` made: the code that users get.
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityState } from "../../dist/koa.js";
import { onKoa } from "./on-koa.js";

export const contestant = onKoa<AgentIdentityState>({
  title: "agent-identity-auth/koa",
  packages: ["agent-identity-auth"],
  // With its error handler, which on Koa is in the way of every request.
  protect: ({ baseUrl }) => [agentIdentityErrorHandler(), agentIdentityAuth(baseUrl)],
  agentOf: ({ agentIdentity }) => agentIdentity?.agentRuntimeId,
});
