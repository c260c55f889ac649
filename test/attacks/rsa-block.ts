/** The block that an RSASSA-PKCS1-v1_5 signature is made of (RFC 8017 §9.2), to be built wrongly. */

import { constants, createHash, createPublicKey, privateEncrypt, publicDecrypt, type KeyObject } from "node:crypto";
import { exportJwk } from "../../src/protocol/jwk.js";
import { signingKey } from "../support/agents.js";
import type { Signer } from "./forged-token.js";

/** Bytes, of the 2048 bits that all keys here have. */
export const BLOCK_LENGTH = 256;

/** The `DigestInfo` of SHA-256 up to the digest. */
export const SHA256_DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");

export const sha256 = (message: Buffer): Buffer => createHash("sha256").update(message).digest();

/** The right block for what comes after the padding; `tail` begins after the zero that ends it. */
export function padded(tail: Buffer): Buffer {
  const padding = Buffer.alloc(BLOCK_LENGTH - 3 - tail.length, 0xff);
  return Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), tail]);
}

export const rightBlock = (message: Buffer): Buffer => padded(Buffer.concat([SHA256_DIGEST_INFO, sha256(message)]));

const modulusOf = (key: KeyObject): Buffer => Buffer.from(String(exportJwk(createPublicKey(key)).n), "base64url");

/** Signs a block as it is. `undefined` if it is no number below the modulus. */
export function seal(block: Buffer, { privateKey } = signingKey): Buffer | undefined {
  if (block.length !== BLOCK_LENGTH || block.compare(modulusOf(privateKey)) >= 0) return undefined;
  return privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, block);
}

/** The block of somebody's signature. `undefined` if there is none in it. */
export function open(signature: Buffer, publicKey: KeyObject): Buffer | undefined {
  const modulus = Buffer.from(String(exportJwk(publicKey).n), "base64url");
  if (signature.length !== modulus.length || signature.compare(modulus) >= 0) return undefined;
  return publicDecrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, signature);
}

/** A signature with the backend's key, of whatever block is made for a message. */
export const sealed =
  (block: (message: Buffer) => Buffer): Signer =>
  (message) => {
    const signature = seal(block(message));
    if (signature === undefined) throw new Error("no number below the modulus");
    return signature;
  };
