/** The agent's Ed25519 private key, as it stands in its token, and what is signed with it. */

import { createPrivateKey, createPublicKey, sign, type KeyObject } from "node:crypto";
import { ed25519PublicKeyBytes } from "../protocol/ed25519.js";
import { decodeCanonicalBase64 } from "../protocol/encoding.js";
import { LoginError } from "./login-error.js";

/** PKCS#8 in its two versions (RFC 5208, RFC 5958). The second has the public key too, and Node does not read it. */
const PKCS8_V1 = /^302e020100300506032b657004220420([0-9a-f]{64})$/;
const PKCS8_V2 = /^3051020101300506032b657004220420([0-9a-f]{64})812100([0-9a-f]{64})$/;

/**
 * @param base64 the claim `agent_private_key`: standard base64 of the PKCS#8 of an Ed25519 key
 * @throws {LoginError} `agent_key_invalid`
 */
export function importAgentPrivateKey(base64: string): KeyObject {
  // The padding may be left out: it is one character, if any.
  const der = (decodeCanonicalBase64(base64) ?? decodeCanonicalBase64(`${base64}=`))?.toString("hex") ?? "";
  const [, seed, publicKey] = PKCS8_V1.exec(der) ?? PKCS8_V2.exec(der) ?? [];
  const key = seed === undefined ? undefined : keyOfSeed(seed);
  if (key === undefined || (publicKey !== undefined && publicKey !== publicKeyOf(key))) {
    throw new LoginError(
      "agent_key_invalid",
      "the agent_private_key is not the PKCS#8 of an Ed25519 private key: ask for a new token",
    );
  }
  return key;
}

/** @returns the signature in standard base64, as the wire has it */
export function signMessage(message: Buffer, privateKey: KeyObject): string {
  return sign(null, message, privateKey).toString("base64");
}

function keyOfSeed(seed: string): KeyObject {
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, "hex");
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

function publicKeyOf(key: KeyObject): string {
  return ed25519PublicKeyBytes(createPublicKey(key)).toString("hex");
}
