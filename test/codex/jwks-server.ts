import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export const JWKS_PATHS = [
  "/backend-api/wham/agent-identities/jwks",
  "/api/codex/agent-identities/jwks",
  "/agent-identities/jwks",
];

export interface JwksServer {
  /** `http://127.0.0.1:PORT/backend-api`: what both sides are configured with. */
  readonly baseUrl: string;
  /** The exact bytes to answer with, so that a key set need not be what `JSON.stringify` can write. */
  jwks: string | Uint8Array;
  /** Answers given so far. */
  readonly fetches: number;
  close(): Promise<void>;
}

/** Serves one key set at every path that any release of Codex asks, on loopback, and 404 elsewhere. */
export async function startJwksServer(jwks: string | Uint8Array): Promise<JwksServer> {
  let fetches = 0;
  const state = { jwks };
  const server = createServer((req, res) => {
    const found = JWKS_PATHS.includes(req.url ?? "");
    if (found) fetches += 1;
    res.writeHead(found ? 200 : 404, { "content-type": "application/json" });
    res.end(found ? state.jwks : "{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/backend-api`,
    get jwks() {
      return state.jwks;
    },
    set jwks(value) {
      state.jwks = value;
    },
    get fetches() {
      return fetches;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
