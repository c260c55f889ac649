/** The key set that a fleet shares through a store. A writer of the store can sign in as anyone. */

import { hasMethods, ownProperties, type OptionCheck } from "../../protocol/options.js";
import { MAX_JWKS_SIZE } from "./jwks-fetch.js";
import { parseKeySet, publicJwks, type KeySet } from "./key-set.js";

/** A store of text: a Keyv, or a store of `agent-identity-auth/stores`. Both functions may return a promise. */
export interface JwksStore {
  /** The text that was set under this name. Anything else counts as no entry. */
  get(name: string): unknown;
  /**
   * Sets an entry.
   * @param ttl ms after which the entry is of no use
   */
  set(name: string, text: string, ttl?: number): unknown;
}

export const aJwksStore: OptionCheck = {
  expected: "a store with get() and set(), such as a Keyv",
  accepts: hasMethods("get", "set"),
};

export interface StoredKeySet {
  readonly keys: KeySet;
  /** ms since the epoch. */
  readonly fetchedAt: number;
}

const entryName = (jwksUrl: string) => `agent-identity-auth:jwks:${jwksUrl}`;

/**
 * The stored document is checked like an answer of the endpoint. A failing store counts as an empty one.
 * @param previous called when the entry has come: the set that it may replace
 */
export async function readStoredKeySet(
  store: JwksStore,
  jwksUrl: string,
  previous: () => KeySet | undefined,
): Promise<StoredKeySet | undefined> {
  try {
    const text = await store.get(entryName(jwksUrl));
    if (typeof text !== "string" || text.length > MAX_JWKS_SIZE) return undefined;
    const { jwks, fetchedAt } = ownProperties(JSON.parse(text) as { jwks?: unknown; fetchedAt?: unknown });
    if (typeof fetchedAt !== "number" || !Number.isSafeInteger(fetchedAt) || fetchedAt > Date.now()) return undefined;
    const keys = parseKeySet(jwks, previous());
    return typeof keys === "string" ? undefined : { keys, fetchedAt };
  } catch {
    return undefined;
  }
}

/** Never rejects: a failure costs only the sharing. @param ttl ms for which the entry may be of use */
export async function writeStoredKeySet(
  store: JwksStore,
  jwksUrl: string,
  stored: StoredKeySet,
  ttl: number,
): Promise<void> {
  const text = JSON.stringify({ fetchedAt: stored.fetchedAt, jwks: publicJwks(stored.keys) });
  try {
    await store.set(entryName(jwksUrl), text, ttl);
  } catch {
    // The next refresh writes again.
  }
}
