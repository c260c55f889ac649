/** An MCP server whose tools know which agent is calling. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { localhostHostValidation } from "@modelcontextprotocol/sdk/server/middleware/hostHeaderValidation.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler } from "agent-identity-auth";
import { createDemoAgent } from "./demo-agent.js";

const app = express().use(localhostHostValidation()); // against DNS rebinding
const listener = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(listener, "listening");
const resource = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/mcp`;
const resourceMetadata = new URL("/.well-known/oauth-protected-resource/mcp", resource).href; // RFC 9728
app.get(new URL(resourceMetadata).pathname, (_req, res) => res.json({ resource }));

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { resourceMetadata, jwks: { keySet } });
app.post("/mcp", async (req, res) => {
  const agent = await agents.authenticate(req);
  const auth = { token: "", clientId: agent.agentRuntimeId, scopes: [], expiresAt: agent.expiresAt, extra: { agent } };
  const server = new McpServer({ name: "example", version: "1.0.0" });
  server.registerTool("whoami", { description: "Which agent is calling" }, ({ authInfo }) => ({
    content: [{ type: "text", text: `agent ${authInfo?.clientId ?? ""}` }],
  }));
  res.on("close", () => void server.close());
  const transport = new StreamableHTTPServerTransport();
  await server.connect(transport);
  await transport.handleRequest(Object.assign(req, { auth }), res);
});
app.all("/mcp", (_req, res) => res.status(405).set("Allow", "POST").end()).use(agentIdentityErrorHandler());

const call = `--json '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}'`;
console.log(`curl -i -H @${headerFile} -H 'Accept: application/json, text/event-stream' ${call} ${resource}`);
