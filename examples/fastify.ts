/** A Fastify API that knows which agent is calling. */

import Fastify from "fastify";
import { agentIdentityAuth, type AgentIdentity } from "agent-identity-auth";
import { agentIdentityErrorResponse } from "agent-identity-auth/fetch";
import { createDemoAgent } from "./demo-agent.js";

declare module "fastify" {
  interface FastifyRequest {
    agentIdentity?: AgentIdentity;
  }
}

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });
const admins = agents.restrictTo({ forcedChatgptWorkspaceId: "acct-admin" });

const app = Fastify();
app.decorateRequest("agentIdentity");
app.setErrorHandler(async (error, _request, reply) => {
  const answer = agentIdentityErrorResponse(error);
  if (answer === undefined) throw error;
  return reply
    .code(answer.status)
    .headers(Object.fromEntries(answer.headers))
    .send(await answer.text());
});
app.addHook("onRequest", async (request) => {
  request.agentIdentity = await agents.authenticate(request.raw);
});
app.get("/tasks", ({ agentIdentity }) => ({ agent: agentIdentity?.agentRuntimeId }));
app.get("/admin", { onRequest: ({ raw }) => admins.authenticate(raw) }, () => ({
  secret: "for acct-admin",
}));

const url = await app.listen({ port: Number(process.env["PORT"] ?? 3000), host: "127.0.0.1" });
console.log(`curl -i -H @${headerFile} ${url}/tasks`);
