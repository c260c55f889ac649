/** What an issuer keeps its keys, agents and tasks in. */

type Awaitable<T> = T | PromiseLike<T>;

/**
 * A store that several processes may share. Values are text. A failure throws or rejects: it is never `undefined`, which
 * means that there is no such entry. An expired entry is not there, by the clock of the store.
 */
export interface IssuerStore {
  /** The very text that was set, or `undefined`. */
  get(name: string): Awaitable<string | undefined>;
  /** Several in one round trip, in the order of the names. Default: one `get` for each. */
  getMany?(names: readonly string[]): Awaitable<readonly (string | undefined)[]>;
  /**
   * Sets an entry, whatever it was before. The answer `false` counts as a failure.
   * @param ttl milliseconds until the entry expires; without it, the entry stays
   */
  set(name: string, text: string, ttl?: number): Awaitable<unknown>;
  /** What is not there may be deleted too. */
  delete(name: string): Awaitable<unknown>;
  /**
   * Sets an entry only if it holds the text `expected` (for `undefined`: only if there is none), as one step that no other
   * process can come between.
   * @param ttl milliseconds until the entry expires; without it, the entry stays, even if it had a ttl before
   * @returns whether it was set
   */
  compareAndSet(name: string, expected: string | undefined, text: string, ttl?: number): Awaitable<boolean>;
}
