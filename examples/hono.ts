/** A Hono API that knows which agent is calling. */

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { agentIdentityAuth, agentIdentityErrorResponse, type AgentIdentity } from "agent-identity-auth/fetch";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });
const app = new Hono<{ Variables: { agentIdentity: AgentIdentity } }>();

// One route: the handler gets the identity.
const whoami = agents.protect((_request, identity) => Response.json(identity));
app.get("/whoami", (c) => whoami(c.req.raw));

// A group of routes: a middleware sets it, and failures go to onError.
app.use("/tasks/*", async (c, next) => {
  c.set("agentIdentity", await agents.authenticate(c.req.raw));
  await next();
});
app.get("/tasks", (c) => c.json({ agent: c.get("agentIdentity").agentRuntimeId }));
app.onError((error, c) => {
  const answer = agentIdentityErrorResponse(error);
  if (answer === undefined) console.error(error);
  return answer ?? c.text("Internal Server Error", 500);
});

serve({ fetch: app.fetch, port: Number(process.env["PORT"] ?? 3000), hostname: "127.0.0.1" }, ({ port }) => {
  const curl = `curl -i -H @${headerFile} http://127.0.0.1:${port}`;
  console.log(`${curl}/tasks\n${curl}/whoami`);
});
