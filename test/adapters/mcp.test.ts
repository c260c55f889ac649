/** MCP servers, with the official SDK 1 at both ends. SDK 2 is in `test/mcp`. */

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import {
  discoverOAuthProtectedResourceMetadata,
  extractWWWAuthenticateParams,
} from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import {
  InsufficientScopeError,
  InvalidTokenError,
  ServerError,
} from "@modelcontextprotocol/sdk/server/auth/errors.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import express from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth, agentOf, type McpAuthOptions, type McpErrorClasses } from "../../src/mcp.js";
import { agentPrivateKey, createSigningKey, mint } from "../support/agents.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
import { listen, startBackend } from "../support/servers.js";

/** Its only tool answers with the identity; `given` collects all that the tool was given. */
async function startMcpServer(options?: Partial<McpAuthOptions>) {
  const given: { authInfo?: unknown }[] = [];
  const createServer = () => {
    const server = new McpServer({ name: "tasks", version: "1.0.0" });
    server.registerTool("whoami", { description: "Which agent is calling" }, (extra) => {
      given.push(extra);
      return { content: [{ type: "text", text: JSON.stringify(agentOf(extra.authInfo)) }] };
    });
    return server;
  };

  const { baseUrl } = await startBackend();
  const app = express();
  const mcpUrl = `${(await listen(app)).url}/mcp`;
  const agents = agentIdentityAuth(baseUrl, { ...options, resource: mcpUrl });
  app.use(agents.metadata());
  app.post("/mcp", agents, async (req, res) => {
    const server = createServer();
    res.on("close", () => void server.close());
    const transport = new StreamableHTTPServerTransport();
    await server.connect(transport);
    await transport.handleRequest(req, res);
  });
  app.all("/mcp", (_req, res) => res.status(405).set("Allow", "POST").end());
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

test("the recipe of docs/mcp.md keeps a session for the agent that opened it", async () => {
  const [, recipe = ""] = /```js\n(const owners[^]*?)```/.exec(readFileSync("docs/mcp.md", "utf8")) ?? [];
  const { baseUrl } = await startBackend();
  const app = express();
  const mcpUrl = `${(await listen(app)).url}/mcp`;
  const agents = agentIdentityAuth(baseUrl, { resource: mcpUrl });
  const owners = runInNewContext(`${recipe}; owners`, { app, agents, Map }) as Map<string, string>;
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  app.post("/mcp", async (req, res) => {
    const open = sessions.get(String(req.headers["mcp-session-id"]));
    const { clientId } = (req as unknown as { auth: { clientId: string } }).auth;
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => {
        sessions.set(id, transport);
        owners.set(id, clientId);
      },
    });
    if (open === undefined) await new McpServer({ name: "tasks", version: "1.0.0" }).connect(transport);
    await (open ?? transport).handleRequest(req, res);
  });
  const client = await connect(mcpUrl, bearer(mint()));
  const [sessionId = ""] = sessions.keys();
  const ping = async (token: string) => {
    const headers = { ...bearer(token), "Mcp-Session-Id": sessionId, Accept: "application/json, text/event-stream" };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 9, method: "ping" });
    const answer = await fetch(mcpUrl, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body,
    });
    await answer.body?.cancel();
    return answer.status;
  };
  await client.ping();
  expect(await ping(mint())).toBe(200);
  expect(await ping(mint({ agent_runtime_id: "agent-2" }))).toBe(404);
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

test.each(["GET", "HEAD", "OPTIONS", "POST"])("the metadata, by %s: the same on Node and on fetch", async (method) => {
  const { mcpUrl } = await startMcpServer();
  const metadata = agentIdentityAuth("https://gw.example", { resource: mcpUrl }).metadata();
  const path = "/.well-known/oauth-protected-resource/mcp";
  expect(metadata.url).toBe(new URL(path, mcpUrl).href);
  const [byNode, byFetch] = [
    await fetch(metadata.url, { method }),
    metadata.fetch(new Request(metadata.url, { method })),
  ];
  const status = { GET: 200, HEAD: 200, OPTIONS: 204, POST: 405 }[method];
  for (const answer of [byNode, byFetch ?? expect.fail()]) {
    expect(answer.status).toBe(status);
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    const body = await answer.text();
    if (method !== "GET") expect(body).toBe("");
    else expect(JSON.parse(body)).toEqual({ resource: mcpUrl, bearer_methods_supported: ["header"] });
  }
  expect(metadata.fetch(new Request(new URL("/other", mcpUrl)))).toBeUndefined();
});

test("the path of the metadata follows the resource (RFC 9728 §3.1)", () => {
  const urlOf = (resource: string | URL) => agentIdentityAuth("https://gw.example", { resource }).metadata().url;
  const wellKnown = "https://tasks.example/.well-known/oauth-protected-resource";
  expect(urlOf("https://tasks.example")).toBe(wellKnown);
  expect(urlOf(new URL("https://tasks.example/"))).toBe(wellKnown);
  expect(urlOf("https://tasks.example/a/mcp?x=1")).toBe(`${wellKnown}/a/mcp?x=1`);
});

test.each<[unknown, string]>([
  [undefined, "resource must be"],
  [{}, "resource must be"],
  [{ resource: "http://tasks.example/mcp" }, "resource must be"],
  [{ resource: "/mcp" }, "resource must be"],
  [{ resource: "https://u:p@tasks.example/mcp" }, "resource must be"],
  [
    { resource: "https://tasks.example/mcp", credentialsRequired: false },
    "MCP servers have no option credentialsRequired",
  ],
  [{ resource: "https://tasks.example/mcp", keepCredentials: true }, "MCP servers have no option keepCredentials"],
  [{ resource: "https://tasks.example/mcp", scopes: [] }, 'there is no option "scopes"'],
])("options are checked: %o", (options, message) => {
  expect(() => agentIdentityAuth("https://gw.example", options as McpAuthOptions)).toThrow(message);
});

test("agentOf names the missing gate", () => {
  for (const authInfo of [undefined, {}, { extra: {} }]) expect(() => agentOf(authInfo)).toThrow("put the gate of");
});

test("protect hands on a request without its token, and authenticate takes it out of a Node request", async () => {
  const { baseUrl } = await startBackend();
  const agents = agentIdentityAuth(baseUrl, { resource: "https://tasks.example/mcp" });
  const token = mint();
  const handler = agents.protect((request, authInfo, extra: string) =>
    Response.json([request.headers.get("authorization"), authInfo.clientId, agentOf(authInfo).accountId, extra]),
  );
  const request = new Request("https://tasks.example/mcp", { headers: bearer(token) });
  expect(await (await handler(request, "more")).json()).toEqual([null, "agent-1", "acct-1", "more"]);
  const headers = { authorization: `Bearer ${token}` };
  expect(await agents.authenticate({ headers })).toMatchObject({ clientId: "agent-1", token: "", scopes: [] });
  expect(headers.authorization).toMatch(/^Bearer hidden\./);
  expect(await agents.authenticate(request)).toMatchObject({ resource: new URL("https://tasks.example/mcp") });
});

test("onError is told of each refusal before its answer, and what it throws goes to the error handling", async () => {
  const { baseUrl } = await startBackend();
  const told: string[] = [];
  const onError: McpAuthOptions["onError"] = (error, request) => {
    const kind = typeof request.headers.get === "function" ? "fetch" : "node";
    told.push(`${error.code} ${String(error.cause?.kid)} ${kind}`);
    if (kind === "node" && "x-throw" in request.headers) throw new Error("the log is full");
  };
  const agents = agentIdentityAuth(baseUrl, { resource: "https://tasks.example/mcp", onError });
  const app = express().use(agents);
  app.use(((error: Error, _req, res, _next) => void res.status(500).end(error.message)) as express.ErrorRequestHandler);
  const { url } = await listen(app);
  const unknownKey = bearer(mint({}, createSigningKey("key-2")));
  expect((await fetch(url, { headers: unknownKey })).status).toBe(401);
  const failed = await fetch(url, { headers: { ...bearer(mint({ exp: 1 })), "X-Throw": "1" } });
  expect([failed.status, await failed.text()]).toEqual([500, "the log is full"]);
  expect((await fetch(url, { headers: bearer(mint()) })).status).toBe(404);
  const handler = agents.protect(() => new Response());
  expect((await handler(new Request("https://tasks.example/mcp"))).status).toBe(401);
  expect(told).toEqual([
    "key_untrusted key-2 node",
    "token_expired undefined node",
    "credentials_missing undefined fetch",
  ]);
  expect(() => agentIdentityAuth(baseUrl, { resource: "https://a.example", onError: 1 as never })).toThrow("onError");
});

test("a request whose auth cannot be set goes to the error handling", async () => {
  const { baseUrl } = await startBackend();
  const agents = agentIdentityAuth(baseUrl, { resource: "https://tasks.example/mcp" });
  const req = Object.defineProperty({ headers: { authorization: `Bearer ${mint()}` } }, "auth", {
    get: () => undefined,
  });
  const res = { headersSent: false, statusCode: 200, setHeader: () => undefined, end: () => undefined };
  const error = await new Promise((resolve) => {
    agents(req, res, resolve);
  });
  expect(error).toMatchObject({ message: "req.auth cannot be set: other code has defined it" });
});

describe("the SDK's own gate", () => {
  const classes = { InvalidTokenError, InsufficientScopeError, ServerError };
  async function ask(headers: Record<string, string>, { outage = false } = {}) {
    const backend = await startBackend();
    if (outage) backend.answer = (_req, res) => res.writeHead(500).end();
    const agents = agentIdentityAuth(backend.baseUrl, { resource: "https://tasks.example/mcp" });
    const app = express().use(requireBearerAuth({ verifier: agents.tokenVerifier(classes) }), (req, res) => {
      res.json(req.auth);
    });
    const answer = await fetch((await listen(app)).url, { headers });
    return {
      status: answer.status,
      challenge: answer.headers.get("www-authenticate"),
      body: (await answer.json()) as object,
    };
  }

  test("lets a good token in, also one that expired within the tolerance", async () => {
    const body = { token: "", clientId: "agent-1", scopes: [], extra: { agentIdentity: { accountId: "acct-1" } } };
    expect(await ask(bearer(mint()))).toMatchObject({ status: 200, body });
    const justExpired = mint({ exp: Math.floor(Date.now() / 1000) - 30 });
    expect(await ask(bearer(justExpired))).toMatchObject({ status: 200 });
  });

  test.each<[string, Record<string, string>]>([
    ["no JWT", bearer("abc")],
    ["an expired one", bearer(mint({ exp: 1 }))],
    ["a forged one", bearer(`${mint().slice(0, -4)}AAAA`)],
    ["none", {}],
  ])("answers %s with 401 and a challenge", async (_, headers) => {
    expect(await ask(headers)).toMatchObject({
      status: 401,
      challenge: expect.stringContaining('error="invalid_token"') as string,
      body: { error: "invalid_token" },
    });
  });

  test("answers 500 in an outage, because it knows no 503", async () => {
    expect(await ask(bearer(mint()), { outage: true })).toMatchObject({ status: 500, body: { error: "server_error" } });
  });

  test.each([undefined, {}, { InvalidTokenError }, { OAuthError: "x" }])("refuses the classes %o", (given) => {
    const agents = agentIdentityAuth("https://gw.example", { resource: "https://tasks.example/mcp" });
    expect(() => agents.tokenVerifier(given as unknown as McpErrorClasses)).toThrow("tokenVerifier takes");
  });
});
