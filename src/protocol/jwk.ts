import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";

/**
 * A key as a JWK (RFC 7517), by way of DER. Node 20 can stand still for good otherwise: it allocates the JWK while it
 * holds the key's lock, and if garbage is collected just then, the job that generated the key waits for that lock.
 * (`asymmetricKeyDetails` is as dangerous.) Not for what happens often: it takes 0.1 ms and more.
 */
export function exportJwk(key: KeyObject): JsonWebKey {
  const copy =
    key.type === "private"
      ? createPrivateKey({ key: key.export({ format: "der", type: "pkcs8" }), format: "der", type: "pkcs8" })
      : createPublicKey({ key: key.export({ format: "der", type: "spki" }), format: "der", type: "spki" });
  // eslint-disable-next-line no-restricted-syntax -- this is where it is allowed
  return copy.export({ format: "jwk" });
}
