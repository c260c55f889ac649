/** Where a backend of one's own keeps its keys, agents and tasks. It holds private signing keys: guard it. */

import { hasMethods, type OptionCheck } from "../protocol/options.js";

/** Keyv has this shape. Whoever can read this store can sign tokens; whoever can write it can be anyone. */
export interface IssuerStore {
  /** What was set under this name; `undefined` or `null` for nothing. May be a promise. */
  get(key: string): unknown;
  /** `ttl` is in ms; it may be ignored: what has expired is checked for on reading. */
  set(key: string, value: unknown, ttl?: number): unknown;
  /** May be a promise. */
  delete(key: string): unknown;
}

export const anIssuerStore: OptionCheck = {
  expected: "a store with get(), set() and delete(), such as a Keyv",
  accepts: hasMethods("get", "set", "delete"),
};

/** How many writes to memory go by between two clean-ups. */
const CLEAN_UP_EVERY = 1_000;

/** The default: nothing survives the process. */
export class MemoryStore implements IssuerStore {
  readonly #entries = new Map<string, { value: unknown; expiresAt: number }>();
  #writes = 0;

  get(key: string): unknown {
    return this.#entries.get(key)?.value;
  }

  set(key: string, value: unknown, ttl = Infinity): void {
    this.#entries.set(key, { value, expiresAt: Date.now() + ttl });
    if (++this.#writes % CLEAN_UP_EVERY === 0) this.#cleanUp();
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  #cleanUp(): void {
    for (const [key, { expiresAt }] of this.#entries) if (expiresAt <= Date.now()) this.#entries.delete(key);
  }
}
