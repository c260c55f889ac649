/** A Fastify API that knows which agent is calling. */

import Fastify from "fastify";
import { agentIdentityAuth, agentIdentityErrorHandler, agentOf } from "agent-identity-auth/fastify";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();

const app = Fastify();
app.setErrorHandler(agentIdentityErrorHandler());
await app.register(agentIdentityAuth, { baseUrl: "https://chatgpt.com/backend-api", jwks: { keySet } });
app.get("/tasks", { onRequest: app.agents }, (request) => ({ agent: agentOf(request).agentRuntimeId }));

const admins = app.agents.restrictTo({ forcedChatgptWorkspaceId: "acct-admin" });
app.get("/admin", { onRequest: admins }, () => ({ secret: "for acct-admin" }));

const url = await app.listen({ port: Number(process.env["PORT"] ?? 3000), host: "127.0.0.1" });
console.log(`curl -i -H @${headerFile} ${url}/tasks`);
