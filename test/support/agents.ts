/** Real keys and real tokens. */

import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { exportJwk } from "../../src/protocol/jwk.js";
import type { AgentIdentityClaims } from "../../src/protocol/claims.js";

export interface SigningKey {
  kid: string;
  privateKey: KeyObject;
  jwk: Record<string, unknown>;
}

export function createSigningKey(kid: string, modulusLength = 2048): SigningKey {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength });
  return { kid, privateKey, jwk: { ...exportJwk(publicKey), kid, use: "sig", alg: "RS256" } };
}

/** One that every test may use; tests that rotate keys make their own. */
export const signingKey = createSigningKey("key-1");
/** Another key of a backend, for sets of two. */
export const secondKey = createSigningKey("key-2");
/** A key that no backend publishes: what it signs is a forgery. */
export const stranger = createSigningKey("stranger");

export const now = (): number => Math.floor(Date.now() / 1000);

export const agentPrivateKey = generateKeyPairSync("ed25519")
  .privateKey.export({ format: "der", type: "pkcs8" })
  .toString("base64");

export function claims(overrides: Record<string, unknown> = {}): AgentIdentityClaims {
  return {
    iss: "https://chatgpt.com/codex-backend/agent-identity",
    aud: "codex-app-server",
    iat: now(),
    exp: now() + 3600,
    agent_runtime_id: "agent-1",
    agent_private_key: agentPrivateKey,
    account_id: "acct-1",
    chatgpt_user_id: "user-1",
    email: "agent@example.com",
    plan_type: "pro",
    chatgpt_account_is_fedramp: false,
    ...overrides,
  };
}

const encode = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** Signs whatever it is given: a string stands for itself. `undefined` members are left out. */
export function signToken(header: unknown, payload: unknown, { privateKey } = signingKey): string {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`;
}

export function mint(overrides: Record<string, unknown> = {}, key = signingKey): string {
  return signToken({ alg: "RS256", kid: key.kid }, claims(overrides), key);
}
