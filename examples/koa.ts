/** A Koa API that knows which agent is calling. */

import type { AddressInfo } from "node:net";
import Koa from "koa";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityState } from "agent-identity-auth/koa";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });

const app = new Koa<AgentIdentityState>();
app.use(agentIdentityErrorHandler());
app.use(agents);
app.use((ctx) => {
  ctx.body = { agent: ctx.state.agentIdentity?.agentRuntimeId };
});

const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  console.log(`curl -i -H @${headerFile} http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`);
});
