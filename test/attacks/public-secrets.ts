/** The backend's public key in every form that somebody could use for an HMAC secret: all of them are known to anybody. */

import { createPublicKey } from "node:crypto";
import { signingKey } from "../support/agents.js";

const publicKey = createPublicKey(signingKey.privateKey);
const der = (type: "spki" | "pkcs1"): Buffer => publicKey.export({ format: "der", type });
const pem = (type: "spki" | "pkcs1"): string => publicKey.export({ format: "pem", type }).toString();
const n = String(signingKey.jwk["n"]);
const e = String(signingKey.jwk["e"]);
const modulus = Buffer.from(n, "base64url");

/** RFC 4253 §6.6, as in `authorized_keys`. */
const openSsh = (() => {
  const field = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, bytes.length >> 8, bytes.length & 255]), bytes]);
  const fields = [Buffer.from("ssh-rsa"), Buffer.from(e, "base64url"), Buffer.concat([Buffer.from([0]), modulus])];
  return `ssh-rsa ${Buffer.concat(fields.map(field)).toString("base64")}`;
})();

/** Everything that somebody could have taken the public key for a secret in. */
export const PUBLIC_SECRETS = {
  "SPKI PEM": pem("spki"),
  "SPKI PEM without the final newline": pem("spki").trimEnd(),
  "SPKI PEM with CRLF": pem("spki").replaceAll("\n", "\r\n"),
  "SPKI PEM on one line": pem("spki").replaceAll("\n", ""),
  "SPKI PEM with a line before it": `\n${pem("spki")}`,
  "PKCS#1 PEM": pem("pkcs1"),
  "PKCS#1 PEM without the final newline": pem("pkcs1").trimEnd(),
  "SPKI DER": der("spki"),
  "PKCS#1 DER": der("pkcs1"),
  "SPKI DER in base64": der("spki").toString("base64"),
  "SPKI DER in base64url": der("spki").toString("base64url"),
  "PKCS#1 DER in base64": der("pkcs1").toString("base64"),
  OpenSSH: openSsh,
  "the JWK as it is served": JSON.stringify(signingKey.jwk),
  "the JWK as it is hashed (RFC 7638)": JSON.stringify({ e, kty: "RSA", n }),
  "the key set as it is served": JSON.stringify({ keys: [signingKey.jwk] }),
  "the modulus in base64url": n,
  "the modulus in hexadecimal": modulus.toString("hex"),
  "the bytes of the modulus": modulus,
  "the bytes of the modulus after a zero": Buffer.concat([Buffer.from([0]), modulus]),
  "the kid": "key-1",
  nothing: "",
} satisfies Record<string, string | Buffer>;
