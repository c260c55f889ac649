/** A stand-in for the ChatGPT/Codex backend: its key set over HTTP, its agents, and what they send. */

import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { exportJWK, SignJWT } from "jose";

const JWKS_PATH = "/backend-api/wham/agent-identities/jwks";

/** What a server has to know of the backend to verify its tokens. */
export function trustIn(origin) {
  return {
    origin,
    baseUrl: `${origin}/backend-api`,
    jwksPath: JWKS_PATH,
    jwksUrl: origin + JWKS_PATH,
    issuer: "https://chatgpt.com/codex-backend/agent-identity",
    audience: "codex-app-server",
  };
}

export async function createSigningKey(kid) {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, use: "sig", alg: "RS256" } };
}

const agentPrivateKey = generateKeyPairSync("ed25519").privateKey.export({ format: "der", type: "pkcs8" });

/** Each call makes the claims of another agent. */
export function createClaims() {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: trustIn("").issuer,
    aud: trustIn("").audience,
    iat: now,
    exp: now + 30 * 86_400,
    agent_runtime_id: randomUUID(),
    agent_private_key: agentPrivateKey.toString("base64"),
    account_id: randomUUID(),
    chatgpt_user_id: `user-${randomUUID()}`,
    email: "someone.with.an.agent@example.com",
    plan_type: "enterprise",
    chatgpt_account_is_fedramp: false,
  };
}

export function signToken({ kid, privateKey }, claims = createClaims()) {
  return new SignJWT(claims).setProtectedHeader({ typ: "JWT", alg: "RS256", kid }).sign(privateKey);
}

export function signTokens(key, count) {
  return Promise.all(Array.from({ length: count }, () => signToken(key)));
}

/** Tokens that every verifier must refuse: each has the one fault that its name says. */
export async function createBadTokens(key) {
  const claims = createClaims();
  const anHourAgo = claims.iat - 3600;
  const stranger = await createSigningKey("unknown");
  return {
    malformed: "not-a-jwt",
    expired: await signToken(key, { ...claims, iat: anHourAgo - 60, exp: anHourAgo }),
    unknownKid: await signToken(stranger, claims),
    ofAnotherIssuer: await signToken(key, { ...claims, iss: "https://issuer.example" }),
    forAnotherAudience: await signToken(key, { ...claims, aud: "another-server" }),
    forged: await signToken({ ...stranger, kid: key.kid }, claims),
  };
}

/** Agents that sign AgentAssertions. Each has one task, whose id is the agent's id. */
export function createSigningAgents(count) {
  const agents = Array.from({ length: count }, () => ({ id: randomUUID(), ...generateKeyPairSync("ed25519") }));
  return {
    publicKeys: async () => Promise.all(agents.map(async ({ id, publicKey }) => [id, await exportJWK(publicKey)])),
    /** One assertion of each agent. The package accepts them for 300 s. */
    signAssertions: () =>
      agents.map(({ id, privateKey }) => {
        const timestamp = `${new Date().toISOString().slice(0, 19)}Z`;
        const signature = sign(null, Buffer.from(`${id}:${id}:${timestamp}`), privateKey).toString("base64");
        const envelope = { agent_runtime_id: id, signature, task_id: id, timestamp };
        return Buffer.from(JSON.stringify(envelope)).toString("base64url");
      }),
  };
}

export async function startBackend() {
  const key = await createSigningKey("agent-identity-bench");
  const jwks = JSON.stringify({ keys: [key.jwk] });
  const server = createServer((_req, res) => res.setHeader("Content-Type", "application/json").end(jwks));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    key,
    trust: trustIn(`http://127.0.0.1:${server.address().port}`),
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
