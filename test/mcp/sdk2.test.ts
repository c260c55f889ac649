/** MCP servers with the official SDK 2 at both ends, and the block of docs/mcp.md as it stands there. */

import { spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { requireBearerAuth } from "@modelcontextprotocol/express";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer, OAuthError } from "@modelcontextprotocol/server";
import express, { type RequestHandler } from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth, agentOf } from "../../dist/mcp.js";
import { createTestIssuer } from "../../dist/testing.js";

const base = "https://chatgpt.com/backend-api";
const issuer = await createTestIssuer();
const keySet = await issuer.jwks();
const somebody = { accountId: "acct-1", chatgptUserId: "user-1" };
const tokenOf = async (agentRuntimeId: string) => (await issuer.mint({ ...somebody, agentRuntimeId })).token;

/** Its only tool names the caller; `given` collects all that the tool was given. */
function createHandler() {
  const given: unknown[] = [];
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: "tasks", version: "1.0.0" });
    server.registerTool("whoami", { description: "Which agent is calling" }, (context) => {
      given.push(context);
      return { content: [{ type: "text", text: agentOf(context.http?.authInfo).agentRuntimeId }] };
    });
    return server;
  });
  return { handler, given };
}

async function listen(app: express.Express): Promise<string> {
  const server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => void server.close().closeAllConnections());
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/mcp`;
}

async function whoami(url: string, token: string, fetch?: typeof globalThis.fetch): Promise<string> {
  const client = new Client({ name: "client", version: "1.0.0" });
  onTestFinished(() => client.close());
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit, ...(fetch && { fetch }) }));
  const { content } = (await client.callTool({ name: "whoami" })) as { content: { text: string }[] };
  return content[0]?.text ?? "";
}

/** Three servers: the gate on Express, the gate on fetch, and the SDK's own gate. */
const SERVERS: [
  name: string,
  start: () => Promise<{ url: string; given: unknown[]; fetch?: typeof globalThis.fetch }>,
][] = [
  [
    "the gate on Express",
    async () => {
      const { handler, given } = createHandler();
      const agents = agentIdentityAuth(base, { resource: "http://127.0.0.1/mcp", jwks: { keySet } });
      return { url: await listen(express().all("/mcp", agents as RequestHandler, toNodeHandler(handler))), given };
    },
  ],
  [
    "the gate on fetch",
    async () => {
      const { handler, given } = createHandler();
      const agents = agentIdentityAuth(base, { resource: "https://tasks.example/mcp", jwks: { keySet } });
      const protectedFetch = agents.protect((request, authInfo) => handler.fetch(request, { authInfo }));
      const fetch = (input: string | URL | Request, init?: RequestInit) => protectedFetch(new Request(input, init));
      return { url: "https://tasks.example/mcp", given, fetch };
    },
  ],
  [
    "the SDK's own gate",
    async () => {
      const { handler, given } = createHandler();
      const agents = agentIdentityAuth(base, { resource: "https://tasks.example/mcp", jwks: { keySet } });
      const gate = requireBearerAuth({ verifier: agents.tokenVerifier({ OAuthError }) });
      return { url: await listen(express().all("/mcp", gate, toNodeHandler(handler))), given };
    },
  ],
];

describe.each(SERVERS)("%s", (name, start) => {
  test("tools know which agent is calling, and agents are not mixed up", async () => {
    const { url, fetch } = await start();
    const ids = ["agent-1", "agent-2", "agent-3"];
    const answers = ids.map(async (id) => whoami(url, await tokenOf(id), fetch));
    expect(await Promise.all(answers)).toEqual(ids);
  });

  test.each([
    ["expired", { expiresAt: 1 }],
    ["forged", { forged: true }],
    ["of another audience", { audience: "x" }],
  ])("a token that is %s is refused with 401 and a challenge, and no tool runs", async (_, claims) => {
    const { url, given, fetch = globalThis.fetch } = await start();
    const { token } = await issuer.mint({ ...somebody, ...claims });
    const answer = await fetch(url, { method: "POST", body: "{", headers: { Authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toContain('error="invalid_token"');
    expect(given).toEqual([]);
  });

  test.skipIf(name === "the SDK's own gate")("no token is in what a tool is given", async () => {
    const { url, given, fetch } = await start();
    const token = await tokenOf("agent-1");
    await whoami(url, token, fetch);
    const text = inspect(given, { depth: 12, showHidden: true, maxStringLength: Infinity, maxArrayLength: Infinity });
    expect(text).toContain("agentRuntimeId");
    for (const secret of [token, ...token.split(".").slice(1)]) expect(text).not.toContain(secret);
  });
});

describe("the code of docs/mcp.md", () => {
  const page = readFileSync("../../docs/mcp.md", "utf8");
  const section = /^## SDK 2\n([^]*?)^## /m.exec(page)?.[1] ?? "";
  const [server = "", fetchServer = ""] = [...section.matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code);
  const write = (file: string, code: string) => {
    writeFileSync(file, code.replace("agent-identity-auth/mcp", "../../dist/mcp.js"));
    onTestFinished(() => {
      rmSync(file);
    });
  };

  test("runs as pasted on localhost", async () => {
    const port = 3000 + Math.floor(Math.random() * 20_000) + 10_000;
    write(".block.mjs", server.replaceAll("3000", String(port)));
    const child = spawn(process.execPath, [".block.mjs"], { stdio: "inherit" });
    onTestFinished(() => void child.kill("SIGKILL"));
    const url = `http://localhost:${String(port)}/mcp`;
    const ask = () => fetch(url, { method: "POST" }).catch(() => undefined);
    await expect.poll(async () => (await ask())?.status, { timeout: 10_000 }).toBe(401);
    const metadata = await fetch(`http://localhost:${String(port)}/.well-known/oauth-protected-resource/mcp`);
    expect(await metadata.json()).toMatchObject({ resource: url });
  });

  test("serves Request and Response", async () => {
    write(".fetch-block.mjs", server.replace(/^express\(\).*$/m, "") + fetchServer);
    const loaded = (await import(`${process.cwd()}/.fetch-block.mjs`)) as { default: typeof globalThis };
    const ask = (path: string, method: string) =>
      loaded.default.fetch(new Request(`http://localhost:3000${path}`, { method }));
    expect((await ask("/mcp", "POST")).status).toBe(401);
    const metadata = await ask("/.well-known/oauth-protected-resource/mcp", "GET");
    expect(await metadata.json()).toMatchObject({ resource: "http://localhost:3000/mcp" });
  });
});
