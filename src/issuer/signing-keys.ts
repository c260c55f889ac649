/** The keys that sign tokens: those that were given, or the ring in the issuer's store. */

import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { types } from "node:util";
import type { JWK } from "jose";
import { calculateJwkThumbprint } from "jose/jwk/thumbprint";
import { exportJwk } from "../protocol/jwk.js";
import { IntrinsicPromise } from "../runtime/captured-globals.js";
import { beforeDeadline } from "../runtime/thenable.js";
import { parseKeySet } from "../verify/keys/key-set.js";

/** ms that an external signer may take. */
const SIGNER_TIMEOUT = 2_000;

/** A signing key of yours: RSA with 2048 bits or more. */
export type SigningKey = LocalKey | ExternalKey;

/** A private key in this process. */
export interface LocalKey {
  /** Default: the thumbprint of the key (RFC 7638). */
  kid?: string | undefined;
  /** A secret: a JWK or a `KeyObject`. */
  privateKey: JWK | KeyObject;
}

/** A key in a KMS or an HSM: only a call can sign with it. */
export interface ExternalKey {
  /** The key's id, which tokens and the JWKS name. */
  kid: string;
  /** Its public half: a JWK or a `KeyObject`. */
  publicKey: JWK | KeyObject;
  /**
   * Signs with RSASSA-PKCS1-v1_5 and SHA-256 (RS256, RFC 7518 §3.3). It may take 2 s, and each signature is verified before a
   * token leaves.
   * @param data the text to be signed, not its digest
   */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** A JWKS (RFC 7517 §5) of public keys. */
export interface PublishedKeys {
  /** The keys of all tokens that live, and the key that signs next. */
  keys: (JWK & {
    /** The key's id, which the header of a token names. */
    kid: string;
  })[];
}

export interface Signer {
  readonly kid: string;
  readonly sign: (data: Buffer) => Uint8Array | Promise<Uint8Array>;
}

interface ImportedKey extends Signer {
  readonly publicKey: KeyObject;
}

export interface SigningKeys {
  /** The key that signs now. */
  signer(): Promise<Signer>;
  jwks(): Promise<PublishedKeys>;
  rotate(delay: number): Promise<void>;
  withdraw(kid: string): Promise<void>;
}

export class GivenKeys implements SigningKeys {
  readonly #signer: Signer;
  readonly #published: PublishedKeys;

  private constructor(signer: Signer, published: PublishedKeys) {
    this.#signer = signer;
    this.#published = published;
  }

  /** @throws TypeError that names the key */
  static async import(given: readonly SigningKey[]): Promise<GivenKeys> {
    const keys: ImportedKey[] = [];
    for (const [index, key] of given.entries()) {
      const imported = await importSigningKey(key, index);
      if (keys.some(({ kid }) => kid === imported.kid)) {
        throw new TypeError(`createIssuer: signingKeys[${index}] has the kid of another one`);
      }
      keys.push(imported);
    }
    const [signer] = keys;
    if (signer === undefined) throw new TypeError("createIssuer: signingKeys must be a list of at least one key");
    return new GivenKeys(signer, {
      keys: keys.map(({ kid, publicKey }) => publicJwk(kid, publicKey)),
    });
  }

  signer(): Promise<Signer> {
    return IntrinsicPromise.resolve(this.#signer);
  }

  jwks(): Promise<PublishedKeys> {
    return IntrinsicPromise.resolve(structuredClone(this.#published));
  }

  rotate(): never {
    throw new TypeError("rotateKey: signingKeys were given: pass others to createIssuer");
  }

  withdraw(): never {
    throw new TypeError("withdrawKey: signingKeys were given: pass others to createIssuer");
  }
}

export function localSigner(kid: string, privateKey: KeyObject): Signer {
  return { kid, sign: (data) => sign("sha256", data, privateKey) };
}

async function importSigningKey(key: SigningKey, index: number): Promise<ImportedKey> {
  const isExternal = typeof (key as Partial<ExternalKey> | null | undefined)?.sign === "function";
  const imported = isExternal
    ? importExternalKey(key as ExternalKey, index)
    : await importLocalKey(key as LocalKey, index);
  if (imported.kid === "" || typeof parseKeySet({ keys: [publicJwk(imported.kid, imported.publicKey)] }) === "string") {
    throw new TypeError(`createIssuer: signingKeys[${index}] must have 2048 to 8192 bits and a kid that is not empty`);
  }
  return imported;
}

async function importLocalKey({ kid, privateKey }: LocalKey, index: number): Promise<ImportedKey> {
  const object = importKey(privateKey, createPrivateKey);
  if (object?.type !== "private" || object.asymmetricKeyType !== "rsa") {
    throw new TypeError(`createIssuer: signingKeys[${index}].privateKey must be a private RSA key (JWK or KeyObject)`);
  }
  const publicKey = createPublicKey(object);
  return { ...localSigner(kid ?? (await calculateJwkThumbprint(exportJwk(publicKey))), object), publicKey };
}

function importExternalKey(key: ExternalKey, index: number): ImportedKey {
  const { kid } = key;
  const publicKey = importKey(key.publicKey, createPublicKey);
  if (publicKey?.type !== "public" || publicKey.asymmetricKeyType !== "rsa") {
    throw new TypeError(`createIssuer: signingKeys[${index}].publicKey must be a public RSA key (JWK or KeyObject)`);
  }
  if (typeof (kid as unknown) !== "string") throw new TypeError(`createIssuer: signingKeys[${index}].kid is needed`);
  return {
    kid,
    publicKey,
    async sign(data) {
      const asked = (async (): Promise<unknown> => key.sign(Uint8Array.from(data)))();
      const late = `the signer of ${kid} gave no answer within ${SIGNER_TIMEOUT} ms`;
      const signature = await beforeDeadline(asked, SIGNER_TIMEOUT, late);
      if (!types.isUint8Array(signature) || !verify("sha256", data, publicKey, signature)) {
        throw new Error(`the signer of ${kid} gave something that is not its signature`);
      }
      return signature;
    },
  };
}

/** @returns `undefined` for what is no key: a library's words about it may hold a part of it */
function importKey(
  key: JWK | KeyObject,
  create: typeof createPrivateKey | typeof createPublicKey,
): KeyObject | undefined {
  try {
    return types.isKeyObject(key) ? key : create({ key, format: "jwk" });
  } catch {
    return undefined;
  }
}

export function publicJwk(kid: string, publicKey: KeyObject): JWK & { kid: string } {
  return { kid, use: "sig", alg: "RS256", ...(exportJwk(publicKey) as JWK & { kty: "RSA" }) };
}
