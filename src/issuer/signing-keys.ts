/** The keys that sign tokens: those that were given, or the ring in the issuer's store. */

import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { types } from "node:util";
import type { JWK } from "jose";
import { calculateJwkThumbprint } from "jose/jwk/thumbprint";
import { exportJwk } from "../protocol/jwk.js";
import { IntrinsicPromise } from "../runtime/captured-globals.js";
import { parseKeySet } from "../verify/keys/key-set.js";

/** A private RSA key of 2048 bits or more, as a JWK or a `KeyObject`. */
export interface SigningKey {
  /** Default: the thumbprint of the key (RFC 7638). */
  kid?: string | undefined;
  /** A secret. */
  privateKey: JWK | KeyObject;
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
  readonly privateKey: KeyObject;
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
    const keys: Signer[] = [];
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
      keys: keys.map(({ kid, privateKey }) => publicJwk(kid, createPublicKey(privateKey))),
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

async function importSigningKey({ kid, privateKey }: SigningKey, index: number): Promise<Signer> {
  let object: KeyObject | undefined;
  try {
    object = types.isKeyObject(privateKey) ? privateKey : createPrivateKey({ key: privateKey, format: "jwk" });
  } catch {
    // The error below says it without a library's words about a private key.
  }
  if (object?.type !== "private" || object.asymmetricKeyType !== "rsa") {
    throw new TypeError(`createIssuer: signingKeys[${index}].privateKey must be a private RSA key (JWK or KeyObject)`);
  }
  const publicKey = createPublicKey(object);
  const signer = { kid: kid ?? (await calculateJwkThumbprint(exportJwk(publicKey))), privateKey: object };
  if (typeof parseKeySet({ keys: [publicJwk(signer.kid, publicKey)] }) === "string" || signer.kid === "") {
    throw new TypeError(`createIssuer: signingKeys[${index}] must have 2048 to 8192 bits and a kid that is not empty`);
  }
  return signer;
}

export function publicJwk(kid: string, publicKey: KeyObject): JWK & { kid: string } {
  return { kid, use: "sig", alg: "RS256", ...(exportJwk(publicKey) as JWK & { kty: "RSA" }) };
}
