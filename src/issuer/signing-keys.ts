/** The RS256 keys of a backend of one's own: made, kept, rotated, and published for as long as they are needed. */

import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify, types } from "node:util";
import type { JWK } from "jose";
import { calculateJwkThumbprint } from "jose/jwk/thumbprint";
import { IntrinsicPromise } from "../runtime/captured-globals.js";
import { exportJwk } from "../protocol/jwk.js";
import { nowInSeconds } from "../runtime/clock.js";
import { parseKeySet } from "../verify/keys/key-set.js";
import type { IssuerStore } from "./issuer-store.js";

/** A private RSA key of 2048 bits or more, as a JWK or a `KeyObject`. */
export interface SigningKey {
  /** Default: the thumbprint of the key (RFC 7638). */
  kid?: string | undefined;
  /** A secret. */
  privateKey: JWK | KeyObject;
}

/** A JWKS (RFC 7517 §5) of public keys. */
export interface PublishedKeys {
  /** Every key that a living token may be signed with, and the next one. */
  keys: (JWK & {
    /** What a token's header names it by. */
    kid: string;
  })[];
}

interface StoredKey {
  kid: string;
  privateJwk: JWK;
  /** Seconds since the epoch. Of the keys whose time has come, the latest signs. */
  signsFrom: number;
}

/** Verifiers may be this many seconds more lenient about `exp`. */
const LONGEST_CLOCK_TOLERANCE = 300;

const KEYS_ENTRY = "agent-identity-auth:issuer:signing-keys";
/** One for each key, so that minting never writes the entry that rotation writes. */
const lastExpiryEntry = (kid: string) => `agent-identity-auth:issuer:last-expiry:${kid}`;

export class SigningKeys {
  readonly #store: IssuerStore;
  /** Given ones are all there are: nothing is stored. */
  readonly #given: readonly StoredKey[] | undefined;

  private constructor(store: IssuerStore, given: readonly StoredKey[] | undefined) {
    this.#store = store;
    this.#given = given;
  }

  /** Makes a first key, unless the store has one. */
  static async open(store: IssuerStore, given: readonly SigningKey[] | undefined): Promise<SigningKeys> {
    const keys = new SigningKeys(store, given && (await IntrinsicPromise.all(given.map(importSigningKey))));
    if ((await keys.#all()).length === 0) await store.set(KEYS_ENTRY, [await createKey(0)]);
    return keys;
  }

  /** @throws TypeError for given keys */
  async rotate(delay: number): Promise<void> {
    if (this.#given) throw new TypeError("rotateKey: signingKeys were given: rotate by giving others");
    const published = await this.#published();
    await this.#store.set(KEYS_ENTRY, [...published, await createKey(nowInSeconds() + delay)]);
  }

  /** Public members only. */
  async jwks(): Promise<PublishedKeys> {
    return { keys: (await this.#published()).map(({ kid, privateJwk }) => publicJwk(kid, privateJwk)) };
  }

  /** The key that signs now. @param expiresAt of the token that it will sign, in seconds since the epoch */
  async forToken(expiresAt: number): Promise<{ kid: string; privateKey: KeyObject }> {
    const signer = signerOf(await this.#all());
    if (signer === undefined) throw new Error("the issuer's store has lost its signing keys");
    const { kid, privateJwk } = signer;
    if (!this.#given && expiresAt > (await this.#lastExpiry(kid))) {
      await this.#store.set(lastExpiryEntry(kid), expiresAt);
    }
    return { kid, privateKey: createPrivateKey({ key: privateJwk, format: "jwk" }) };
  }

  async #all(): Promise<readonly StoredKey[]> {
    return this.#given ?? ((await this.#store.get(KEYS_ENTRY)) as StoredKey[] | undefined) ?? [];
  }

  /** The signer, what will sign after it, and what signed tokens that have not expired. */
  async #published(): Promise<StoredKey[]> {
    const all = await this.#all();
    if (this.#given) return [...all];
    const now = nowInSeconds();
    const signer = signerOf(all);
    const needed = await IntrinsicPromise.all(
      all.map(async (key) => {
        if (key === signer || key.signsFrom > now) return true;
        return (await this.#lastExpiry(key.kid)) + LONGEST_CLOCK_TOLERANCE > now;
      }),
    );
    return all.filter((_, i) => needed[i]);
  }

  async #lastExpiry(kid: string): Promise<number> {
    return ((await this.#store.get(lastExpiryEntry(kid))) as number | undefined) ?? 0;
  }
}

/** Of two keys of the same second, the one that was made later. */
function signerOf(keys: readonly StoredKey[]): StoredKey | undefined {
  const now = nowInSeconds();
  const due = keys.filter(({ signsFrom }) => signsFrom <= now);
  return due.reduce<StoredKey | undefined>(
    (latest, key) => (latest && latest.signsFrom > key.signsFrom ? latest : key),
    undefined,
  );
}

async function createKey(signsFrom: number): Promise<StoredKey> {
  const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  return storedKey(privateKey, undefined, signsFrom);
}

/** The first of those given signs; the others are published. */
async function importSigningKey({ kid, privateKey }: SigningKey, index: number): Promise<StoredKey> {
  let object: KeyObject | undefined;
  try {
    object = types.isKeyObject(privateKey) ? privateKey : createPrivateKey({ key: privateKey, format: "jwk" });
  } catch {
    // Said below, without a library's words on a private key.
  }
  if (object?.type !== "private" || object.asymmetricKeyType !== "rsa") {
    throw new TypeError(`createIssuer: signingKeys[${index}].privateKey must be a private RSA key (JWK or KeyObject)`);
  }
  const key = await storedKey(object, kid, -index);
  if (typeof parseKeySet({ keys: [publicJwk(key.kid, key.privateJwk)] }) === "string") {
    throw new TypeError(`createIssuer: signingKeys[${index}] must have 2048 to 8192 bits and a kid that is not empty`);
  }
  return key;
}

async function storedKey(privateKey: KeyObject, kid: string | undefined, signsFrom: number): Promise<StoredKey> {
  const privateJwk = exportJwk(privateKey) as JWK;
  return { kid: kid ?? (await calculateJwkThumbprint(privateJwk)), privateJwk, signsFrom };
}

function publicJwk(kid: string, privateJwk: JWK): JWK & { kid: string } {
  const publicKey = createPublicKey({ key: privateJwk, format: "jwk" });
  // eslint-disable-next-line no-restricted-syntax -- imported, not generated; and this is done for each answer
  return { kid, use: "sig", alg: "RS256", ...(publicKey.export({ format: "jwk" }) as JWK & { kty: "RSA" }) };
}
