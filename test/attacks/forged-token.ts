/** Tokens that are put together by hand: any bytes for the parts, any algorithm for the signature. */

import { constants, createHmac, sign, type BinaryLike, type KeyObject } from "node:crypto";
import { signingKey } from "../support/agents.js";

export type Signer = (message: Buffer) => Buffer;

export const hmac =
  (hash: string, secret: BinaryLike): Signer =>
  (message) =>
    createHmac(hash, secret).update(message).digest();

export const rsa =
  (hash: string, key: KeyObject = signingKey.privateKey): Signer =>
  (message) =>
    sign(hash, message, key);

export const pss =
  (hash: string, saltLength: number, key: KeyObject = signingKey.privateKey): Signer =>
  (message) =>
    sign(hash, message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });

/** RFC 7518 §3.4: both numbers, one after the other. */
export const ecdsa =
  (hash: string, key: KeyObject): Signer =>
  (message) =>
    sign(hash, message, { key, dsaEncoding: "ieee-p1363" });

/** Ed25519 and Ed448. */
export const eddsa =
  (key: KeyObject): Signer =>
  (message) =>
    sign(null, message, key);

export const base64url = (bytes: string | Buffer): string => Buffer.from(bytes).toString("base64url");

/** A string or a buffer stands for itself. */
const encode = (part: unknown): string =>
  base64url(typeof part === "string" || Buffer.isBuffer(part) ? part : JSON.stringify(part));

export const forge = (header: unknown, payload: unknown, signer: Signer = rsa("sha256")): string =>
  join(encode(header), encode(payload), signer);

/** Signs two encoded parts as they stand: whatever their spelling, the signature is right. */
export function join(header: string, payload: string, signer: Signer = rsa("sha256")): string {
  return `${header}.${payload}.${base64url(signer(Buffer.from(`${header}.${payload}`)))}`;
}
