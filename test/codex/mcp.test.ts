/** The real Codex client calls a tool of an MCP server behind our gate. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import express, { type RequestHandler } from "express";
import { expect, it, onTestFinished } from "vitest";
import { agentIdentityAuth, agentOf } from "../../dist/mcp.js";
import { cannedCodexApi } from "../../dist/testing.js";
import { createCodex, NEWEST, turnSettings } from "./codex-client.js";
import { startOwnBackend } from "./own-backend.js";

it("calls it with the token that `codex mcp add … --bearer-token-env-var` names", async () => {
  const { backend, requests, exec } = await start();
  const { token, agentRuntimeId } = await backend.mint();
  const run = await exec(token);
  expect([run.exitCode, run.stdout.trim()], JSON.stringify(run)).toEqual([0, `the tool says: agent ${agentRuntimeId}`]);
  expect(requests.map(({ status }) => status)).toEqual([200, 202, 200, 200]);
  for (const { authorization } of requests) expect(authorization).toMatch(/^Bearer hidden\.[0-9a-f]{16}$/);
});

it("is refused with a personal access token in that variable, and tells its user why", async () => {
  const { requests, exec } = await start();
  const run = await exec("at-somebody");
  expect(requests.length).toBeGreaterThan(0);
  for (const { status } of requests) expect(status).toBe(401);
  expect(run.stderr).toContain("The token is not a well-formed JWT.");
});

/** A backend whose model calls the tool once and repeats its answer, an MCP server, and a client that knows both. */
async function start() {
  const backend = await startOwnBackend({ codexApi: modelThatCallsWhoami });
  const codex = await createCodex();
  const app = express();
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await backend.close();
    await codex.remove();
  });

  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  const agents = agentIdentityAuth(backend.baseUrl, { resource: url });
  const requests: { status: number; authorization: string | undefined }[] = [];
  app.post("/mcp", (req, res, next) => {
    res.once("finish", () => requests.push({ status: res.statusCode, authorization: req.headers.authorization }));
    next();
  });
  app.use(agents.metadata());
  app.post("/mcp", agents, async (req, res) => {
    const mcp = new McpServer({ name: "tasks", version: "1.0.0" });
    mcp.registerTool(
      "whoami",
      { description: "Which agent is calling", annotations: { readOnlyHint: true } },
      ({ authInfo }) => ({
        content: [{ type: "text", text: `agent ${agentOf(authInfo).agentRuntimeId}` }],
      }),
    );
    const transport = new StreamableHTTPServerTransport();
    await mcp.connect(transport);
    await transport.handleRequest(req, res);
  });

  const { config, env } = turnSettings(backend.baseUrl);
  const settings = { version: NEWEST, config: { ...config, model: '"local-model"' } };
  const added = await codex.run(
    ["mcp", "add", "tasks", "--url", url, "--bearer-token-env-var", "CODEX_ACCESS_TOKEN"],
    settings,
  );
  expect([added.exitCode, added.stdout]).toEqual([0, "Added global MCP server 'tasks'.\n"]);
  const exec = (token: string) =>
    codex.run(["exec", "--skip-git-repo-check", "--ephemeral", "say hi"], {
      ...settings,
      env: { ...env, CODEX_ACCESS_TOKEN: token },
    });
  return { backend, requests, exec };
}

const modelThatCallsWhoami: RequestHandler = (req, res, next) => {
  if (!req.path.endsWith("/codex/responses")) {
    cannedCodexApi("")(req, res);
    return;
  }
  json(req).then((body) => {
    const { input } = body as { input: { type: string; output?: unknown }[] };
    const output = input.find(({ type }) => type === "function_call_output")?.output;
    const said = /agent agent-[0-9a-f-]+/.exec(JSON.stringify(output ?? ""))?.[0];
    const call = { type: "function_call", call_id: "call-1", namespace: "mcp__tasks", name: "whoami", arguments: "{}" };
    const text = { type: "output_text", text: `the tool says: ${said ?? JSON.stringify(output)}` };
    const message = { type: "message", role: "assistant", id: "message-1", content: [text] };
    const usage = { input_tokens: 0, input_tokens_details: null, output_tokens: 0, output_tokens_details: null };
    const events = [
      { type: "response.created", response: { id: "response-1" } },
      { type: "response.output_item.done", item: output === undefined ? call : message },
      { type: "response.completed", response: { id: "response-1", usage: { ...usage, total_tokens: 0 } } },
    ];
    res.setHeader("Content-Type", "text/event-stream");
    res.end(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
  }, next);
};
