/** `serve`: a backend on loopback that a Codex client can sign in to and run a turn against. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agentIdentityAuth, agentIdentityErrorHandler } from "../index.js";
import { createIssuer, type IssuerStore } from "../issuer.js";
import { requestPath } from "../runtime/request-path.js";
import { cannedCodexApi } from "../testing.js";

export interface ServeOptions {
  port: number;
  /** The account of the agent whose token is minted. */
  accountId: string;
  /** `undefined` for memory. */
  store: IssuerStore | undefined;
  /** Told of each request to the protected API: who called. */
  log: (line: string) => void;
}

export interface RunningBackend {
  baseUrl: string;
  /** 0600; removed by `stop`. */
  tokenFile: string;
  stop(): Promise<void>;
}

/** Starts a backend and mints a token. Without a store, the token means nothing after the backend has stopped. */
export async function startBackend({ port, accountId, store, log }: ServeOptions): Promise<RunningBackend> {
  const issuer = await createIssuer({ store });
  const owner = { accountId, chatgptUserId: "user-demo", planType: "pro" };
  const { token } = await issuer.mint({ ...owner, agentRuntimeId: "agent-demo" });
  const server = createServer();
  await listen(server, port);
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/backend-api`;

  const router = issuer.router();
  const agents = agentIdentityAuth(baseUrl, { directory: issuer.directory });
  const handleError = agentIdentityErrorHandler();
  const codexApi = cannedCodexApi("Hello from your own backend.");
  server.on("request", (req: IncomingMessage & Express.Request, res: ServerResponse) => {
    router(req, res, () => {
      agents(req, res, (error) => {
        const { agentIdentity: agent } = req;
        const path = requestPath(req.url);
        if (error !== undefined || agent === undefined) {
          handleError(error, req, res, () => res.writeHead(500).end());
          return;
        }
        const scheme = agent.taskId === undefined ? "Bearer" : "AgentAssertion";
        log(`${req.method ?? ""} ${path}  ${agent.agentRuntimeId} of ${agent.accountId} (${scheme})`);
        if (path === "/backend-api/whoami")
          res.setHeader("Content-Type", "application/json").end(`${JSON.stringify(agent)}\n`);
        else codexApi(req, res);
      });
    });
  });

  const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-"));
  const tokenFile = join(directory, "token");
  writeFileSync(tokenFile, token, { mode: 0o600 });
  return {
    baseUrl,
    tokenFile,
    stop() {
      rmSync(directory, { recursive: true, force: true });
      server.closeAllConnections();
      return new Promise((resolve) =>
        server.close(() => {
          resolve();
        }),
      );
    },
  };
}

/** Lines for a shell, as they can be pasted. */
export function commandsToPaste({ baseUrl, tokenFile }: RunningBackend): string {
  return `BASE=${baseUrl} TOKEN_FILE=${tokenFile}

# who am I, by the token
curl --oauth2-bearer "$(cat $TOKEN_FILE)" $BASE/whoami

# a turn of the Codex client, by AgentAssertion; without both CODEX_AGENT_IDENTITY_… variables, and with another chatgpt_base_url,
# it says "Agent Identity only supports production and staging ChatGPT environments"
CODEX_HOME=$(mktemp -d) CODEX_ACCESS_TOKEN="$(cat $TOKEN_FILE)" \\
CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL=$BASE CODEX_AGENT_IDENTITY_JWKS_BASE_URL=$BASE \\
codex exec --skip-git-repo-check --ephemeral \\
  -c "chatgpt_base_url='$BASE'" -c 'model_provider="own"' \\
  -c "model_providers.own={name='own',base_url='$BASE/codex',requires_openai_auth=true,wire_api='responses',supports_websockets=false}" \\
  "say hi"
`;
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
}
