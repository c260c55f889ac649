/** A stand-in for the ChatGPT/Codex backend: one signing key, its JWKS, and a token for one agent. */

import { createServer, type Server } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

export interface Backend {
  /** Serves the JWKS below `/backend-api`. */
  server: Server;
  /** An Agent Identity token, good for an hour. */
  token: string;
}

export async function createBackend(accountId: string): Promise<Backend> {
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const jwks = JSON.stringify({
    keys: [{ ...(await exportJWK(publicKey)), kid: "demo-key", use: "sig", alg: "RS256" }],
  });

  const server = createServer((req, res) => {
    if (req.url !== "/backend-api/wham/agent-identities/jwks") return void res.writeHead(404).end();
    res.setHeader("Content-Type", "application/json").end(jwks);
  });

  const token = await new SignJWT({
    agent_runtime_id: "agent-demo",
    agent_private_key: generateKeyPairSync("ed25519")
      .privateKey.export({ format: "der", type: "pkcs8" })
      .toString("base64"),
    account_id: accountId,
    chatgpt_user_id: "user-demo",
    email: "agent@example.com",
    plan_type: "pro",
    chatgpt_account_is_fedramp: false,
  })
    .setProtectedHeader({ alg: "RS256", kid: "demo-key" })
    .setIssuer("https://chatgpt.com/codex-backend/agent-identity")
    .setAudience("codex-app-server")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey);

  return { server, token };
}
