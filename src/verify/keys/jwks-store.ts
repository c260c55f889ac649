/** The key set that a fleet shares through a store. Whoever can write the store can sign in as anyone. */

import { hasMethods, ownProperties, type OptionCheck } from "../../protocol/options.js";
import { MAX_JWKS_SIZE, parseJwks } from "./jwks-fetch.js";
import { publicJwks, type KeySet } from "./key-set.js";

/** Keyv has this shape. */
export interface JwksStore {
  /** What was set under this name; `undefined` or `null` for nothing. May be a promise. */
  get(key: string): unknown;
  /** Of use for `ttl` ms. May be a promise. */
  set(key: string, value: unknown, ttl?: number): unknown;
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
 * What is stored is checked like an answer of the endpoint. A failing store counts as an empty one.
 * @param previous asked for once the entry is there
 */
export async function readStoredKeySet(
  store: JwksStore,
  jwksUrl: string,
  previous: () => KeySet | undefined,
): Promise<StoredKeySet | undefined> {
  try {
    const entry = Object(await store.get(entryName(jwksUrl))) as { jwks?: unknown; fetchedAt?: unknown };
    const { jwks, fetchedAt } = ownProperties(entry);
    if (typeof jwks !== "string" || jwks.length > MAX_JWKS_SIZE) return undefined;
    if (typeof fetchedAt !== "number" || !Number.isSafeInteger(fetchedAt) || fetchedAt > Date.now()) return undefined;
    const keys = parseJwks(Buffer.from(jwks), previous());
    return typeof keys === "string" ? undefined : { keys, fetchedAt };
  } catch {
    return undefined;
  }
}

/** @param ttl ms for which the entry may be of use */
export function writeStoredKeySet(store: JwksStore, jwksUrl: string, stored: StoredKeySet, ttl: number): void {
  const entry = { jwks: JSON.stringify(publicJwks(stored.keys)), fetchedAt: stored.fetchedAt };
  const write = async () => {
    await store.set(entryName(jwksUrl), entry, ttl);
  };
  write().catch(() => undefined); // nobody waits for it, and a failure costs only the sharing
}
