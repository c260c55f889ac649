import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { exportJwk } from "../../dist/protocol/jwk.js";
import type { RsaPublicJwk, SigningKey } from "./rsa-keys.js";

export type JsonObject = Record<string, unknown>;

export const KID = "key-1";

export function generateRsaKey(modulusLength = 2048): SigningKey & { privateKey: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength });
  return {
    jwk: exportJwk(publicKey) as RsaPublicJwk,
    privateKey,
    sign: (message) => sign("sha256", Buffer.from(message), privateKey),
  };
}

/** The agent's own key as the claim `agent_private_key` carries it: standard base64 of PKCS#8 DER. */
export function generateAgentPrivateKey(): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  return privateKey.export({ format: "der", type: "pkcs8" }).toString("base64");
}

export function validHeader(): JsonObject {
  return { alg: "RS256", kid: KID, typ: "JWT" };
}

export function validClaims(now: number): JsonObject {
  return {
    iss: "https://chatgpt.com/codex-backend/agent-identity",
    aud: "codex-app-server",
    iat: now,
    exp: now + 3600,
    agent_runtime_id: "agent-1",
    agent_private_key: generateAgentPrivateKey(),
    account_id: "acct-1",
    chatgpt_user_id: "user-1",
    email: "agent@example.com",
    plan_type: "team",
    chatgpt_account_is_fedramp: false,
  };
}

export function encode(part: string | Uint8Array): string {
  return Buffer.from(part).toString("base64url");
}

export function secondsSinceEpoch(): number {
  return Math.floor(Date.now() / 1000);
}
