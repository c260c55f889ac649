/** A rate limit for each agent, and a stricter one for callers that are refused. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { rateLimit } from "express-rate-limit";
import { agentIdentityAuth, agentIdentityErrorHandler, agentOf } from "agent-identity-auth";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });

// By address, and counting refusals alone: a flood of bad tokens costs its sender, and no agent behind the same address.
const refusals = rateLimit({ windowMs: 60_000, limit: 100, skipSuccessfulRequests: true });
const perAgent = rateLimit({ windowMs: 60_000, limit: 5, keyGenerator: (req) => agentOf(req).agentRuntimeId });

const app = express();
app.get("/tasks", refusals, agents, perAgent, (req, res) => {
  res.json({ agent: agentOf(req).agentRuntimeId });
});
app.use(agentIdentityErrorHandler());

const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(server, "listening");
console.log(`curl -i -H @${headerFile} http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`);
