import { generateKeyPairSync, verify, type KeyObject } from "node:crypto";
import { encode, generateRsaKey, KID, secondsSinceEpoch, validClaims, validHeader, type JsonObject } from "./tokens.js";

const backendKey = generateRsaKey();

/** What the backend publishes: agents made here are its own. */
export const jwks = JSON.stringify({ keys: [{ ...backendKey.jwk, kid: KID, use: "sig", alg: "RS256" }] });

export interface Agent {
  /** The access token. */
  readonly token: string;
  readonly publicKey: KeyObject;
  /** As the token carries it. */
  readonly privateKey: string;
  /** @param signature in standard base64 */
  hasSigned(message: string, signature: string): boolean;
}

export interface AgentOptions {
  claims?: JsonObject;
  /** How the claim carries the agent's Ed25519 key. Default: standard base64 of its PKCS#8. */
  encodeKey?: (privateKey: KeyObject) => string;
  /** Default: the backend's key. */
  signToken?: (message: string) => Buffer;
}

export function createAgent({ claims, encodeKey = toPkcs8, signToken = backendKey.sign }: AgentOptions = {}): Agent {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const encodedKey = encodeKey(privateKey);
  const payload = { ...validClaims(secondsSinceEpoch()), agent_private_key: encodedKey, ...claims };
  const message = [validHeader(), payload].map((part) => encode(JSON.stringify(part))).join(".");
  return {
    token: `${message}.${encode(signToken(message))}`,
    publicKey,
    privateKey: encodedKey,
    hasSigned: (text, signature) => verify(null, Buffer.from(text), publicKey, Buffer.from(signature, "base64")),
  };
}

export function toPkcs8(privateKey: KeyObject): string {
  return privateKey.export({ format: "der", type: "pkcs8" }).toString("base64");
}
