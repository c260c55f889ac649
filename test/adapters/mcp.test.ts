/** The recipe of the README for MCP servers, with the official SDK at both ends. */

import { inspect } from "node:util";
import {
  discoverOAuthProtectedResourceMetadata,
  extractWWWAuthenticateParams,
} from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { localhostHostValidation } from "@modelcontextprotocol/sdk/server/middleware/hostHeaderValidation.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import express from "express";
import { expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityAuthOptions } from "../../src/index.js";
import { agentPrivateKey, mint } from "../support/agents.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
import { listen, startBackend } from "../support/servers.js";

/** Its only tool answers with the identity; `given` collects all that the tool was given. */
async function startMcpServer(options?: AgentIdentityAuthOptions) {
  const given: { authInfo?: unknown }[] = [];
  const createServer = () => {
    const server = new McpServer({ name: "tasks", version: "1.0.0" });
    server.registerTool("whoami", { description: "Which agent is calling" }, (extra) => {
      given.push(extra);
      return { content: [{ type: "text", text: JSON.stringify(extra.authInfo?.extra?.["agentIdentity"]) }] };
    });
    return server;
  };

  const { baseUrl } = await startBackend();
  const app = express().use(localhostHostValidation());
  const mcpUrl = `${(await listen(app)).url}/mcp`;
  const resourceMetadata = new URL("/.well-known/oauth-protected-resource/mcp", mcpUrl).href;
  const agents = agentIdentityAuth(baseUrl, { ...options, resourceMetadata });

  app.get("/.well-known/oauth-protected-resource/mcp", (_req, res) => {
    res.json({ resource: mcpUrl, bearer_methods_supported: ["header"] });
  });
  app.post("/mcp", async (req, res) => {
    const agentIdentity = await agents.authenticate(req);
    const { agentRuntimeId: clientId, expiresAt } = agentIdentity;
    const auth = { token: "", clientId, scopes: [], expiresAt, extra: { agentIdentity } };
    const server = createServer();
    res.on("close", () => void server.close());
    const transport = new StreamableHTTPServerTransport();
    await server.connect(transport);
    await transport.handleRequest(Object.assign(req, { auth }), res);
  });
  app.all("/mcp", (_req, res) => res.status(405).set("Allow", "POST").end());
  app.use(agentIdentityErrorHandler());
  return { mcpUrl, given };
}

async function connect(mcpUrl: string, headers: Record<string, string>): Promise<Client> {
  const client = new Client({ name: "client", version: "1.0.0" });
  onTestFinished(() => client.close());
  const transport = new StreamableHTTPClientTransport(new URL(mcpUrl), { requestInit: { headers } });
  await client.connect(transport);
  return client;
}

async function whoami(client: Client): Promise<unknown> {
  const { content } = (await client.callTool({ name: "whoami" })) as { content: { text: string }[] };
  return JSON.parse(content[0]?.text ?? "");
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

test("a client with a token lists the tools, and the tool that it calls knows which agent it is", async () => {
  const { mcpUrl, given } = await startMcpServer();
  const client = await connect(mcpUrl, bearer(mint()));
  const errors: Error[] = [];
  client.onerror = (error) => errors.push(error);

  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["whoami"]);
  expect(await whoami(client)).toMatchObject({ agentRuntimeId: "agent-1", accountId: "acct-1", planType: "pro" });
  expect(given[0]?.authInfo).toMatchObject({ token: "", clientId: "agent-1", scopes: [] });
  expect(errors).toEqual([]);
});

test("two agents at once are not taken for each other", async () => {
  const { mcpUrl } = await startMcpServer();
  const ids = ["agent-1", "agent-2", "agent-3"];
  const clients = await Promise.all(ids.map((id) => connect(mcpUrl, bearer(mint({ agent_runtime_id: id })))));
  const answers = await Promise.all([...clients, ...clients].map(whoami));
  expect(answers).toMatchObject([...ids, ...ids].map((agentRuntimeId) => ({ agentRuntimeId })));
});

test("neither the token nor the private key is in what a tool is given, raw headers included", async () => {
  const { mcpUrl, given } = await startMcpServer();
  const token = mint();
  await whoami(await connect(mcpUrl, { ...bearer(token), "X-Other": "other header" }));

  const text = inspect(given, {
    depth: Infinity,
    showHidden: true,
    maxStringLength: Infinity,
    maxArrayLength: Infinity,
  });
  expect(text).toContain("other header"); // it does look into the headers
  for (const secret of [token, ...token.split(".").slice(1), agentPrivateKey]) expect(text).not.toContain(secret);
});

test("nobody unknown gets a body parsed, and a body that is no JSON is told so", async () => {
  const { mcpUrl, given } = await startMcpServer();
  const post = (headers: Record<string, string>) =>
    fetch(mcpUrl, {
      method: "POST",
      body: "{",
      headers: { "Content-Type": "application/json", Accept: "application/json, text/event-stream", ...headers },
    });
  const refused = await post({});
  expect(refused.status).toBe(401);
  expect(refused.headers.get("www-authenticate")).toContain("resource_metadata=");
  expect((await post(bearer(mint()))).status).toBe(400);
  expect(given).toEqual([]);
});

test("without credentials: 401 with the URL of the metadata, which is served to anyone", async () => {
  const { mcpUrl, given } = await startMcpServer();
  const refused = await fetch(mcpUrl, { method: "POST" });
  expect(refused.status).toBe(401);
  expect(await refused.json()).toMatchObject({ error: { code: "credentials_missing" } });

  const { resourceMetadataUrl } = extractWWWAuthenticateParams(refused);
  expect(resourceMetadataUrl?.href).toBe(new URL("/.well-known/oauth-protected-resource/mcp", mcpUrl).href);
  expect(
    await discoverOAuthProtectedResourceMetadata(mcpUrl, { resourceMetadataUrl: resourceMetadataUrl ?? "" }),
  ).toEqual({
    resource: mcpUrl,
    bearer_methods_supported: ["header"],
  });
  expect(await discoverOAuthProtectedResourceMetadata(mcpUrl)).toHaveProperty("resource", mcpUrl);

  expect(given).toEqual([]);
});

test.each([
  ["no token", {}, "credentials_missing"],
  ["an expired token", bearer(mint({ exp: 1_700_000_000 })), "token_expired"],
  ["a token of another audience", bearer(mint({ aud: "another" })), "audience_invalid"],
])("a client with %s is told why", async (_, headers, code) => {
  const { mcpUrl, given } = await startMcpServer();
  await expect(connect(mcpUrl, headers)).rejects.toMatchObject({
    code: 401, // the status
    message: expect.stringContaining(`"code":"${code}"`) as string,
  });
  expect(given).toEqual([]);
});

test("a client with an AgentAssertion is known by its task too", async () => {
  const signer = createAgent("agent-2");
  const { mcpUrl } = await startMcpServer({ directory: createDirectory(signer) });
  const client = await connect(mcpUrl, { Authorization: assertion(signer) });
  expect(await whoami(client)).toMatchObject({ agentRuntimeId: "agent-2", taskId: "task-1" });
});
