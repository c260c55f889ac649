/** The keys of a backend that rotates them, and tokens of its agents. */

import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt, SignJWT, type JWTPayload } from "jose";
import { exportJwk } from "../../src/protocol/jwk.js";
import { startBackend } from "../backend.js";
import { readTokens, writeTokenFile } from "../tokens.js";

export interface SigningKey {
  readonly kid: string;
  readonly signingKey: KeyObject;
  /** As it stands in the key set. */
  readonly jwk: object;
}

export interface AgentTokens {
  readonly key: SigningKey;
  /** Signed with it, each of another agent. */
  readonly valid: readonly string[];
  /** The key that comes after it, and a token signed with that. */
  readonly nextKey: SigningKey;
  readonly validOfNextKey: string;
  /** Right but for the key, which nobody has. */
  readonly ofRandomKids: readonly string[];
  readonly withoutExpiry: string;
  readonly forTwoAudiences: string;
  /** The same signature bytes, spelled otherwise in base64url. */
  readonly respelled: string;
}

export async function createAgentTokens(count: number, randomKids: number): Promise<AgentTokens> {
  const backend = await startBackend();
  backend.stop(); // all that is wanted of it is its key, and its agents
  const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-faults-"));
  let valid: string[];
  try {
    const file = join(directory, "tokens");
    await writeTokenFile(file, count, backend);
    valid = await readTokens(file, 0, count);
  } finally {
    rmSync(directory, { recursive: true });
  }
  const [first = ""] = valid;
  const claims = decodeJwt(first);
  const eternal = { ...claims };
  delete eternal.exp;
  const key = describeKey(backend.kid, backend.signingKey);
  const nextKey = createKey("next");
  const stranger = createKey("stranger");
  return {
    key,
    valid,
    nextKey,
    validOfNextKey: await sign(nextKey, claims),
    ofRandomKids: await Promise.all(
      Array.from({ length: randomKids }, (_, i) => sign({ ...stranger, kid: `random-${i}` }, claims)),
    ),
    withoutExpiry: await sign(key, eternal),
    forTwoAudiences: await sign(key, { ...claims, aud: ["another-server", backend.trust.audience] }),
    respelled: respell(first),
  };
}

function createKey(kid: string): SigningKey {
  return describeKey(kid, generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey);
}

function describeKey(kid: string, signingKey: KeyObject): SigningKey {
  return {
    kid,
    signingKey,
    jwk: { ...exportJwk(createPublicKey(signingKey)), kid, use: "sig", alg: "RS256" },
  };
}

function sign({ kid, signingKey }: SigningKey, claims: JWTPayload): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ typ: "JWT", alg: "RS256", kid }).sign(signingKey);
}

/** Of the last character of 256 bytes, four bits mean nothing: another one says the same to a lenient decoder. */
function respell(token: string): string {
  const respelled = token.slice(0, -1) + String.fromCharCode(token.charCodeAt(token.length - 1) + 1);
  const bytes = (text: string) => Buffer.from(text.slice(text.lastIndexOf(".") + 1), "base64url");
  if (!bytes(token).equals(bytes(respelled))) throw new Error("the signature must stay what it was");
  return respelled;
}
