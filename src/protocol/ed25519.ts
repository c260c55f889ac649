import type { KeyObject } from "node:crypto";

/** The 32 bytes of a public key (RFC 8032 §5.1.5), with which its SubjectPublicKeyInfo ends (RFC 8410 §4). */
export function ed25519PublicKeyBytes(publicKey: KeyObject): Buffer {
  return publicKey.export({ format: "der", type: "spki" }).subarray(-32);
}
