/** A stand-in for the ChatGPT/Codex backend: one signing key, and its JWKS over HTTP, with every fetch counted. */

import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJwk } from "../src/protocol/jwk.js";

/** What a server has to know of the backend to verify its tokens. */
export interface Trust {
  /** `http://127.0.0.1:PORT`. */
  origin: string;
  /** What this package is configured with. */
  baseUrl: string;
  /** What all others are configured with. */
  jwksPath: string;
  jwksUrl: string;
  issuer: string;
  audience: string;
  /** What a contestant's README does not set: for the fetching of keys, and for the verification. None in a benchmark. */
  keyOptions?: object;
  tokenOptions?: object;
}

export interface Backend {
  readonly trust: Trust;
  readonly kid: string;
  readonly signingKey: KeyObject;
  /** Fetches of the JWKS since the last call. */
  takeFetchCount(): number;
  stop(): void;
}

const JWKS_PATH = "/backend-api/wham/agent-identities/jwks";

export function trustIn(origin: string): Trust {
  return {
    origin,
    baseUrl: `${origin}/backend-api`,
    jwksPath: JWKS_PATH,
    jwksUrl: origin + JWKS_PATH,
    issuer: "https://chatgpt.com/codex-backend/agent-identity",
    audience: "codex-app-server",
  };
}

export async function startBackend(): Promise<Backend> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = "agent-identity-bench";
  const jwks = JSON.stringify({ keys: [{ ...exportJwk(publicKey), kid, use: "sig", alg: "RS256" }] });

  let fetches = 0;
  const server = createServer((req, res) => {
    // Any prefix: where a second, cold key set is wanted, another base URL of this same backend is one.
    if (!req.url?.endsWith(JWKS_PATH)) return void res.writeHead(404).end();
    fetches++;
    res.setHeader("Content-Type", "application/json").end(jwks);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    trust: trustIn(origin),
    kid,
    signingKey: privateKey,
    takeFetchCount() {
      const taken = fetches;
      fetches = 0;
      return taken;
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
