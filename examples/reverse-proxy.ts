/** A gateway: it verifies the agent, and tells the service behind it in a header of its own who calls. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";
import { agentIdentityAuth, agentIdentityErrorHandler, agentOf } from "agent-identity-auth";
import { createDemoAgent } from "./demo-agent.js";

// The service behind the gateway. It believes X-Agent-Id, so only the gateway may reach it.
const service = createServer((req, res) => res.end(JSON.stringify({ agent: req.headers["x-agent-id"] })));
await once(service.listen(0, "127.0.0.1"), "listening");

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });

const app = express();
app.use("/tasks", agents, (req, _res, next) => {
  // Callers may send such headers too: what they sent goes, under every spelling.
  for (const name of Object.keys(req.headers)) {
    if (name.replaceAll("_", "-").startsWith("x-agent-")) Reflect.deleteProperty(req.headers, name);
  }
  req.headers["x-agent-id"] = agentOf(req).agentRuntimeId;
  delete req.headers.authorization; // the service needs no token
  next();
});
app.use("/tasks", createProxyMiddleware({ target: `http://127.0.0.1:${(service.address() as AddressInfo).port}` }));
app.use(agentIdentityErrorHandler());

const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(server, "listening");
console.log(`curl -i -H @${headerFile} http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`);
