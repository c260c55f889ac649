/** An Express API that knows which agent is calling. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler, agentOf } from "agent-identity-auth";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });

const app = express();
app.get("/tasks", agents, (req, res) => {
  res.json({ agent: agentOf(req).agentRuntimeId });
});
app.get("/admin", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-admin" }), (_req, res) => {
  res.json({ secret: "for acct-admin" });
});
app.use(agentIdentityErrorHandler());

const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(server, "listening");
console.log(`curl -i -H @${headerFile} http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`);
