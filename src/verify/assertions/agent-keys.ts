/** The public keys of agents (Ed25519, RFC 8032), and the signatures made with them. */

import { createPublicKey, hash, verify, type KeyObject } from "node:crypto";
import { promisify, types } from "node:util";
import { createLRU } from "lru.min";
import { ed25519PublicKeyBytes } from "../../protocol/ed25519.js";
import { decodeCanonicalBase64 } from "../../protocol/encoding.js";
import { ownProperties } from "../../protocol/options.js";
import { nextBatch } from "../../runtime/turn-batch.js";

const CACHED_KEYS = 10_000;
const CACHED_SIGNATURES = 10_000;
const SIGNATURE_LENGTH = 64;

const verifyInThreadPool = promisify<null, Buffer, KeyObject, Buffer, boolean>(verify);

export interface AgentKey {
  readonly object: KeyObject;
  readonly bytes: Buffer;
}

/** By the `x` of the JWK, so that a key is not imported for each request. */
const importedJwks = createLRU<string, AgentKey>(ownProperties({ max: CACHED_KEYS }));
const importedObjects = new WeakMap<KeyObject, AgentKey>();

/** @returns `undefined` for anything but a usable Ed25519 public key, as a JWK or a `KeyObject` */
export function importAgentKey(publicKey: unknown): AgentKey | undefined {
  if (types.isKeyObject(publicKey)) return importKeyObject(publicKey);
  const { kty, crv, x } = ownProperties(Object(publicKey) as { kty?: unknown; crv?: unknown; x?: unknown });
  if (kty !== "OKP" || crv !== "Ed25519") return undefined;
  // Stryker disable next-line ConditionalExpression: Node imports no key whose x is something else
  if (typeof x !== "string") return undefined;
  const known = importedJwks.get(x);
  if (known !== undefined) return known;
  let object: KeyObject;
  try {
    object = createPublicKey({ key: { kty, crv, x }, format: "jwk" });
  } catch {
    return undefined;
  }
  const imported = importKeyObject(object);
  // Stryker disable next-line ConditionalExpression: an entry that is undefined counts as no entry
  if (imported !== undefined) importedJwks.set(x, imported);
  return imported;
}

function importKeyObject(object: KeyObject): AgentKey | undefined {
  const known = importedObjects.get(object);
  if (known !== undefined) return known;
  if (object.type !== "public" || object.asymmetricKeyType !== "ed25519") return undefined;
  const bytes = ed25519PublicKeyBytes(object);
  if (isOfSmallOrder(bytes)) return undefined;
  const imported = { object, bytes };
  importedObjects.set(object, imported);
  return imported;
}

/** Points of order 1, 2, 4 and 8, and the other spellings of two of them (RFC 8032 §5.1.3), without the bit of the sign. */
const SMALL_ORDER_POINTS = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/** Anybody can sign for such a key, and a database may hold a key of zeros where a value was forgotten. */
function isOfSmallOrder(publicKey: Buffer): boolean {
  const withoutSign = Buffer.from(publicKey);
  withoutSign[31] = (withoutSign[31] ?? 0) & 0x7f;
  return SMALL_ORDER_POINTS.has(withoutSign.toString("hex"));
}

/** The key for an agent that does not exist. No signature that it verifies counts. */
export const DUMMY_KEY: AgentKey = (() => {
  const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
  const object = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return { object, bytes: ed25519PublicKeyBytes(object) };
})();

/** Verifies signatures, and remembers the good ones, because real clients repeat an assertion. */
export class AgentSignatures {
  /** By the SHA-256 of signature, key and message. */
  readonly #good = createLRU<string, true>(ownProperties({ max: CACHED_SIGNATURES }));

  /**
   * Without a promise for a remembered signature, and for one that is not 64 bytes long.
   * @param signature standard base64
   */
  isSigned(message: Buffer, signature: string, publicKey: AgentKey): boolean | Promise<boolean> {
    const bytes = decodeCanonicalBase64(signature);
    if (bytes?.length !== SIGNATURE_LENGTH) return false;
    // Signature and key have fixed lengths, so two different inputs cannot be joined to the same text.
    const digest = hash("sha256", Buffer.concat([bytes, publicKey.bytes, message]));
    return this.#good.has(digest) || this.#verify(message, bytes, publicKey, digest);
  }

  async #verify(message: Buffer, signature: Buffer, publicKey: AgentKey, digest: string): Promise<boolean> {
    await nextBatch();
    const isGood = await verifyInThreadPool(null, message, publicKey.object, signature);
    // Stryker disable next-line BooleanLiteral: an entry counts, whatever its value
    if (isGood && publicKey !== DUMMY_KEY) this.#good.set(digest, true);
    return isGood;
  }
}
