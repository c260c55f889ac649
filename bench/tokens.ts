/** Agent Identity tokens, signed once before anything is measured, and kept in a file that all processes read. */

import { generateKeyPairSync, randomUUID, sign, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { Backend } from "./backend.js";

/** How the lines of the file are used. The first ones are the agents that keep coming back. */
export const HOT_TOKENS = 100;
/** Sent before first-seen tokens are measured: they find compiled code, but none of their own. */
export const WARM_UP_TOKENS = 4_000;
export const FIRST_SEEN_FROM = HOT_TOKENS + WARM_UP_TOKENS;

const signInThreadPool = promisify<string, Buffer, KeyObject, Buffer>(sign);

const agentPrivateKey = generateKeyPairSync("ed25519")
  .privateKey.export({ format: "der", type: "pkcs8" })
  .toString("base64");

type Claims = Record<string, unknown>;

function createClaims({ trust }: Backend): Claims {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: trust.issuer,
    aud: trust.audience,
    iat: now,
    exp: now + 30 * 86_400,
    agent_runtime_id: randomUUID(),
    agent_private_key: agentPrivateKey,
    account_id: randomUUID(),
    chatgpt_user_id: `user-${randomUUID()}`,
    email: "someone.with.an.agent@example.com",
    plan_type: "enterprise",
    chatgpt_account_is_fedramp: false,
  };
}

async function signToken({ kid, signingKey }: { kid: string; signingKey: KeyObject }, claims: Claims): Promise<string> {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode({ typ: "JWT", alg: "RS256", kid })}.${encode(claims)}`;
  const signature = await signInThreadPool("sha256", Buffer.from(signed), signingKey);
  return `${signed}.${signature.toString("base64url")}`;
}

/** One token a line, all of them different. */
export async function writeTokenFile(path: string, count: number, backend: Backend): Promise<void> {
  const file = createWriteStream(path, { mode: 0o600 });
  const batchSize = 500; // as many as are signed at once: enough to keep every core at it
  for (let written = 0; written < count; written += batchSize) {
    const batch = Array.from({ length: Math.min(batchSize, count - written) }, () =>
      signToken(backend, createClaims(backend)),
    );
    const lines = (await Promise.all(batch)).map((token) => `${token}\n`).join("");
    if (!file.write(lines)) await once(file, "drain");
  }
  file.end();
  await once(file, "finish");
}

/** One by one, so that what is measured beside it does not hold the whole file. */
export async function* streamTokens(path: string, from: number, count: number): AsyncGenerator<string> {
  const input = createReadStream(path);
  try {
    let line = 0;
    for await (const token of createInterface({ input })) {
      if (line >= from + count) break;
      if (line++ >= from) yield token;
    }
  } finally {
    input.destroy();
  }
}

export async function readTokens(path: string, from: number, count: number): Promise<string[]> {
  const tokens: string[] = [];
  for await (const token of streamTokens(path, from, count)) tokens.push(token);
  if (tokens.length < count) throw new Error(`the token file has only ${from + tokens.length} tokens`);
  return tokens;
}

/** Tokens that nobody may accept: each is right but for the one thing that its name says. */
export type RefusedTokens = Record<
  "malformed" | "expired" | "ofAnotherIssuer" | "forAnotherAudience" | "ofUnknownKey" | "forged",
  string
>;

export async function createRefusedTokens(backend: Backend): Promise<RefusedTokens> {
  const claims = createClaims(backend);
  const otherKey = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const anHourAgo = Math.floor(Date.now() / 1000) - 3600;
  return {
    malformed: "not-a-jwt",
    expired: await signToken(backend, { ...claims, iat: anHourAgo - 60, exp: anHourAgo }),
    ofAnotherIssuer: await signToken(backend, { ...claims, iss: "https://issuer.example" }),
    forAnotherAudience: await signToken(backend, { ...claims, aud: "another-server" }),
    ofUnknownKey: await signToken({ kid: "unknown", signingKey: otherKey }, claims),
    forged: await signToken({ kid: backend.kid, signingKey: otherKey }, claims),
  };
}
