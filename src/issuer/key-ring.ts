/**
 * The signing keys of an issuer, in one document that any number of processes share. It is changed only by compare-and-set, so
 * that no process undoes what another one did. There is no leader, no lease and no timer.
 *
 *     made ──published──▶ waiting ──signsFrom──▶ signs ──the next key signs──▶ retired ──publishedUntil──▶ removed
 */

import { createPrivateKey, createPublicKey, generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import type { JWK } from "jose";
import { calculateJwkThumbprint } from "jose/jwk/thumbprint";
import { exportJwk } from "../protocol/jwk.js";
import { nowInSeconds } from "../runtime/clock.js";
import type { Documents } from "./documents.js";
import { publishIssuerEvent } from "./diagnostics.js";
import { localSigner, publicJwk, type PublishedKeys, type Signer, type SigningKeys } from "./signing-keys.js";

/** Times are seconds since the epoch. */
interface RingKey {
  readonly kid: string;
  readonly privateJwk: JWK;
  /** Of the keys whose time has come, the latest signs. */
  readonly signsFrom: number;
  /** Set when a newer key was made: by then, no token of this key lives. */
  readonly publishedUntil?: number | undefined;
}

interface Ring {
  /** The newest key is the last one. */
  readonly keys: readonly RingKey[];
}

export interface KeyRingSettings {
  /** Seconds between two rotations; `undefined` for none but those of `rotateKey`. */
  readonly rotateEvery: number | undefined;
  /** The longest life of a token, in seconds. */
  readonly maxLifetime: number;
}

/** Seconds for which a new key is published before it signs, so that every verifier has it by then. */
export const ROTATION_OVERLAP = 600;

/** Seconds that the clocks of issuers and verifiers may differ. */
const CLOCK_DIFFERENCE = 86_400;

const DOCUMENT = "signing-keys";
const NO_KEYS = "the issuer's store holds no signing keys";

export class KeyRing implements SigningKeys {
  readonly #documents: Documents;
  readonly #settings: KeyRingSettings;
  #signedWith: string | undefined;

  private constructor(documents: Documents, settings: KeyRingSettings) {
    this.#documents = documents;
    this.#settings = settings;
  }

  /** The first start is a `compareAndSet` from nothing: however many processes start at once, they agree on one key. */
  static async open(documents: Documents, settings: KeyRingSettings): Promise<KeyRing> {
    const ring = new KeyRing(documents, settings);
    const draft = new DraftKey();
    await documents.change<Ring>(DOCUMENT, async (found) => {
      draft.isUsed = found === undefined;
      if (found === undefined) return { keys: [await draft.signingFrom(nowInSeconds())] };
      checked(found);
      return undefined;
    });
    draft.announce();
    return ring;
  }

  async signer(): Promise<Signer> {
    const { kid, privateJwk } = signerOf(await this.#current());
    if (kid !== this.#signedWith) publishIssuerEvent({ type: "key.signs", kid });
    this.#signedWith = kid;
    return localSigner(kid, createPrivateKey({ key: privateJwk, format: "jwk" }));
  }

  async jwks(): Promise<PublishedKeys> {
    const now = nowInSeconds();
    const { keys } = await this.#current();
    const published = keys.filter(({ publishedUntil = Infinity }) => publishedUntil > now);
    if (published.length === 0) throw new Error(NO_KEYS); // never an empty key set, which verifiers would take for the truth
    return {
      keys: published.map(({ kid, privateJwk }) => publicJwk(kid, createPublicKey({ key: privateJwk, format: "jwk" }))),
    };
  }

  /**
   * Processes that rotate at once make one key, because a process stops when it finds a key that is newer than at its first look.
   * While a key waits for its overlap, no other key is made: that key signs earlier if `delay` is shorter.
   */
  async rotate(delay: number): Promise<void> {
    let newestAtFirst: string | undefined;
    const draft = new DraftKey();
    await this.#change(async ({ keys }) => {
      draft.isUsed = false;
      const newest = newestOf(keys);
      newestAtFirst ??= newest.kid;
      if (newest.kid !== newestAtFirst) return undefined;
      const signsFrom = nowInSeconds() + delay;
      if (newest.signsFrom > nowInSeconds()) {
        if (newest.signsFrom <= signsFrom) return undefined;
        return { keys: this.#withNewest(keys.slice(0, -1), { ...newest, signsFrom }) };
      }
      draft.isUsed = true;
      return { keys: this.#withNewest(keys, await draft.signingFrom(signsFrom)) };
    });
    draft.announce();
  }

  async withdraw(kid: string): Promise<void> {
    let wasThere = false;
    const draft = new DraftKey();
    await this.#change(async (ring) => {
      const { keys } = ring;
      if (!keys.some((key) => key.kid === kid)) {
        if (wasThere) return undefined; // another process has withdrawn it meanwhile
        throw new TypeError(`withdrawKey: there is no such key; the keys are ${keys.map((key) => key.kid).join(", ")}`);
      }
      wasThere = true;
      draft.isUsed = false;
      const now = nowInSeconds();
      const others = keys.filter((key) => key.kid !== kid);
      const newest = others.at(-1);
      if (newest !== undefined && signerOf(ring).kid !== kid) {
        return { keys: [...others.slice(0, -1), unretired(newest)] };
      }
      if (newest !== undefined && newest.signsFrom > now) {
        return { keys: this.#withNewest(others.slice(0, -1), { ...newest, signsFrom: now }) };
      }
      draft.isUsed = true;
      return { keys: this.#withNewest(others, await draft.signingFrom(now)) };
    });
    publishIssuerEvent({ type: "key.withdrawn", kid });
    draft.announce();
  }

  /** Retires the keys before the newest one, and drops those whose time is over. */
  #withNewest(keys: readonly RingKey[], newest: RingKey): RingKey[] {
    const now = nowInSeconds();
    const publishedUntil = newest.signsFrom + this.#settings.maxLifetime + CLOCK_DIFFERENCE;
    const retired = keys.map((key) => ({
      ...key,
      publishedUntil: Math.min(key.publishedUntil ?? Infinity, publishedUntil),
    }));
    return [...retired.filter((key) => key.publishedUntil > now), unretired(newest)];
  }

  /** The ring, after a rotation if one is due. A failed rotation is tried again by the next call. */
  async #current(): Promise<Ring> {
    const ring = await this.#read();
    const { rotateEvery } = this.#settings;
    if (rotateEvery === undefined || nowInSeconds() < newestOf(ring.keys).signsFrom + rotateEvery - ROTATION_OVERLAP)
      return ring;
    try {
      await this.rotate(ROTATION_OVERLAP);
      return await this.#read();
    } catch {
      return ring;
    }
  }

  async #read(): Promise<Ring> {
    const [ring] = await this.#documents.read<Ring>([DOCUMENT]);
    return checked(ring);
  }

  async #change(decide: (ring: Ring) => Promise<Ring | undefined>): Promise<void> {
    await this.#documents.change<Ring>(DOCUMENT, (found) => decide(checked(found)));
  }
}

/** A ring that was there once does not vanish: a store that has lost it must not get another one. */
function checked(ring: Ring | undefined): Ring {
  if (ring === undefined) throw new Error("the issuer's store has lost its signing keys");
  if (!Array.isArray(ring.keys) || ring.keys.length === 0) throw new Error(NO_KEYS);
  return ring;
}

function newestOf(keys: readonly RingKey[]): RingKey {
  const newest = keys.at(-1);
  if (newest === undefined) throw new Error(NO_KEYS);
  return newest;
}

/** The latest key whose time has come. Where a clock is behind, that is the first key. */
function signerOf({ keys }: Ring): RingKey {
  const now = nowInSeconds();
  return keys.findLast(({ signsFrom }) => signsFrom <= now) ?? keys[0] ?? newestOf(keys);
}

function unretired({ kid, privateJwk, signsFrom }: RingKey): RingKey {
  return { kid, privateJwk, signsFrom };
}

/** A new key, made once although a change may have to be decided several times. */
class DraftKey {
  /** Whether the last decision put it into the ring. */
  isUsed = false;
  #key: Pick<RingKey, "kid" | "privateJwk"> | undefined;
  #signsFrom = 0;

  async signingFrom(signsFrom: number): Promise<RingKey> {
    this.#key ??= await createKey();
    this.#signsFrom = signsFrom;
    return { ...this.#key, signsFrom };
  }

  announce(): void {
    if (this.isUsed && this.#key !== undefined) {
      publishIssuerEvent({ type: "key.created", kid: this.#key.kid, signsFrom: this.#signsFrom });
    }
  }
}

async function createKey(): Promise<Pick<RingKey, "kid" | "privateJwk">> {
  const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  const privateJwk = exportJwk(privateKey) as JWK;
  return { kid: await calculateJwkThumbprint(privateJwk), privateJwk };
}
