/** A Koa API that knows which agent is calling. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import Koa from "koa";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityState } from "agent-identity-auth/koa";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });

const app = new Koa<AgentIdentityState>();
app.use(agentIdentityErrorHandler()); // first: it answers what the others throw
app.use(agents);
app.use((ctx) => {
  ctx.body = { agent: ctx.state.agentIdentity?.agentRuntimeId };
});

const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(server, "listening");
console.log(`curl -i -H @${headerFile} http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`);
