/**
 * `npm start`: a backend, an API that it protects, and three requests to try.
 * With `--once` it makes the three requests itself and exits 0 if the answers are right.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIssuer } from "agent-identity-auth/issuer";
import { createApi } from "./api.js";

const once = process.argv.includes("--once");
const bold = (text: string) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : text);

const issuer = await createIssuer();
const { token, agentRuntimeId } = await issuer.mint({ accountId: "acct-demo", chatgptUserId: "user-demo" });
const backend = createServer(issuer.router());
const baseUrl = `${await listen(backend, 0)}/backend-api`;
const api = createServer(createApi(baseUrl));
const apiUrl = await listen(api, Number(process.env["PORT"] ?? 3000));

// curl reads the header from a file, so that the token is in no command line.
const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-"));
const headerFile = join(directory, "agent.header");
writeFileSync(headerFile, `Authorization: Bearer ${token}\n`, { mode: 0o600 });

const requests = [
  { who: "An agent, with its token", path: "/tasks", withToken: true, status: 200, answer: agentRuntimeId },
  { who: "Somebody without a token", path: "/tasks", withToken: false, status: 401, answer: "credentials_missing" },
  {
    who: "The agent, where another workspace is asked for",
    path: "/admin",
    withToken: true,
    status: 403,
    answer: "workspace_not_allowed",
  },
];

console.log(`
${bold("Which Codex agent is calling?")}

  keys of  ${baseUrl}
  API at   ${apiUrl}
`);

let wrong = 0;
for (const [i, { who, path, withToken, status, answer }] of requests.entries()) {
  console.log(`${bold(`${i + 1}. ${who}`)} → ${status}, ${answer}\n`);
  console.log(`   curl -i ${withToken ? `-H @${headerFile} ` : ""}${apiUrl}${path}\n`);
  if (!once) continue;
  const response = await fetch(apiUrl + path, withToken ? { headers: { authorization: `Bearer ${token}` } } : {});
  const body = await response.text();
  const right = response.status === status && body.includes(answer);
  if (!right) wrong++;
  console.log(`   ${response.status} ${response.statusText}`);
  const challenge = response.headers.get("www-authenticate");
  if (challenge !== null) console.log(`   WWW-Authenticate: ${challenge}`);
  console.log(`   ${body}\n   ${right ? "as it should be" : "WRONG"}\n`);
}

if (once) stop(wrong === 0 ? 0 : 1);
else {
  console.log("Ctrl-C ends it.");
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      stop(0);
    });
}

function stop(exitCode: number): void {
  rmSync(directory, { recursive: true });
  process.exitCode = exitCode;
  for (const server of [api, backend]) {
    server.close();
    server.closeAllConnections();
  }
}

/** On loopback; on another port, and saying so, if the wanted one is taken. */
async function listen(server: Server, port: number): Promise<string> {
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
  server.removeAllListeners("error");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
