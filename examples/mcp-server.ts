/** An MCP server whose tools know which agent is calling. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import express from "express";
import { agentIdentityAuth, agentOf } from "agent-identity-auth/mcp";
import { createDemoAgent } from "./demo-agent.js";

const app = express();
const listener = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(listener, "listening");
const resource = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/mcp`;

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { resource, jwks: { keySet } });
app.use(agents.metadata());
app.post("/mcp", agents, async (req, res) => {
  const server = new McpServer({ name: "example", version: "1.0.0" });
  server.registerTool("whoami", { description: "Which agent is calling" }, ({ authInfo }) => ({
    content: [{ type: "text", text: `agent ${agentOf(authInfo).agentRuntimeId}` }],
  }));
  res.on("close", () => void server.close());
  const transport = new StreamableHTTPServerTransport();
  await server.connect(transport);
  await transport.handleRequest(req, res);
});
app.all("/mcp", (_req, res) => res.status(405).set("Allow", "POST").end()); // no sessions, so no streams

const call = `--json '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}'`;
console.log(`curl -i -H @${headerFile} -H 'Accept: application/json, text/event-stream' ${call} ${resource}`);
