/** The public keys of agents (Ed25519, RFC 8032), and the signatures made with them. */

import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { promisify, types } from "node:util";
import { createLRU } from "lru.min";
import { ed25519PublicKeyBytes } from "../../protocol/ed25519.js";
import { decodeCanonicalBase64 } from "../../protocol/encoding.js";
import { ownProperties } from "../../protocol/options.js";
import { nextBatch } from "../../runtime/turn-batch.js";

const CACHED_KEYS = 10_000;
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
  const source = Object(publicKey) as Record<string, unknown>;
  const own = (name: string) => (Object.hasOwn(source, name) ? source[name] : undefined);
  const kty = own("kty");
  // Node 24 takes microseconds to find out that an object is no `KeyObject`.
  // Stryker disable next-line ConditionalExpression: the first half only spares time
  if (kty === undefined && types.isKeyObject(publicKey)) return importKeyObject(publicKey);
  const [crv, x] = [own("crv"), own("x")];
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

/** `undefined` unless it is standard base64 of as many bytes as a signature has. */
export function decodeSignature(base64: string): Buffer | undefined {
  const bytes = decodeCanonicalBase64(base64);
  // Stryker disable next-line ConditionalExpression: Node finds no signature of another length good, but takes longer
  return bytes?.length === SIGNATURE_LENGTH ? bytes : undefined;
}

/** Never true for the key of an agent that does not exist. */
export async function isSigned(message: Buffer, signature: Buffer, publicKey: AgentKey): Promise<boolean> {
  await nextBatch();
  return (await verifyInThreadPool(null, message, publicKey.object, signature)) && publicKey !== DUMMY_KEY;
}
