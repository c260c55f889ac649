/** A Hono API that knows which agent is calling. */

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { agentIdentityAuth } from "agent-identity-auth/hono";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });
const app = new Hono();

app.get("/whoami", agents, (c) => c.json(c.var.agentIdentity)); // one route
app.use("/tasks/*", agents); // a group of routes
app.get("/tasks", agents, (c) => c.json({ agent: c.var.agentIdentity.agentRuntimeId }));

serve({ fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000), hostname: "127.0.0.1" }, ({ port }) => {
  const curl = `curl -i -H @${headerFile} http://127.0.0.1:${port}`;
  console.log(`${curl}/tasks\n${curl}/whoami`);
});
