/**
 * `npm start`: a backend, an API that it protects, and three requests to try.
 * With `--once` it makes the three requests itself and exits 0 if the answers are right.
 */

import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler } from "agent-identity-auth";
import { createDemoAgent } from "../examples/demo-agent.js";

const makeTheRequests = process.argv.includes("--once");
const bold = (text: string) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : text);

const { issuer, agentRuntimeId, token, headerFile } = await createDemoAgent();
const backend = await listen(issuer.router(), 0);
const baseUrl = `${urlOf(backend)}/backend-api`;

const agents = agentIdentityAuth(baseUrl);
const app = express();
app.get("/tasks", agents, (req, res) => {
  res.json({ agent: req.agentIdentity?.agentRuntimeId, workspace: req.agentIdentity?.accountId });
});
app.get("/admin", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-admin" }), (_req, res) => {
  res.json({ secret: "only for agents of acct-admin" });
});
app.use(agentIdentityErrorHandler());
const api = await listen(app, Number(process.env["PORT"] ?? 3000));

const ADMIN = "The agent, where another workspace is asked for";
const requests = [
  { who: "An agent, with its token", path: "/tasks", withToken: true, status: 200, answer: agentRuntimeId },
  { who: "Somebody without a token", path: "/tasks", withToken: false, status: 401, answer: "credentials_missing" },
  { who: ADMIN, path: "/admin", withToken: true, status: 403, answer: "workspace_not_allowed" },
];

console.log(`
${bold("Which Codex agent is calling?")}

  keys of  ${baseUrl}
  API at   ${urlOf(api)}
`);

for (const [i, { who, path, withToken, status, answer }] of requests.entries()) {
  console.log(`${bold(`${i + 1}. ${who}`)} → ${status}, ${answer}\n`);
  console.log(`   curl -i ${withToken ? `-H @${headerFile} ` : ""}${urlOf(api)}${path}\n`);
  if (!makeTheRequests) continue;
  const response = await fetch(urlOf(api) + path, withToken ? { headers: { authorization: `Bearer ${token}` } } : {});
  const body = await response.text();
  const right = response.status === status && body.includes(answer);
  if (!right) process.exitCode = 1;
  console.log(`   ${response.status} ${response.statusText}`);
  const challenge = response.headers.get("www-authenticate");
  if (challenge !== null) console.log(`   WWW-Authenticate: ${challenge}`);
  console.log(`   ${body}\n   ${right ? "as it should be" : "WRONG"}\n`);
}

if (makeTheRequests) for (const server of [api, backend]) server.close().closeAllConnections();
else console.log("Ctrl-C ends it.");

/** On loopback; on another port, and saying so, if the wanted one is taken. */
async function listen(listener: RequestListener, port: number): Promise<Server> {
  const server = createServer(listener);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") {
        reject(error);
        return;
      }
      console.log(`Port ${port} is taken: taking another.`);
      server.listen(0, "127.0.0.1");
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
