/** The default store: it lives as long as the process. */

import type { IssuerStore } from "../protocol/issuer-store.js";

/** Writes between two removals of expired entries. */
const CLEAN_UP_EVERY = 1_000;

export class MemoryStore implements IssuerStore {
  readonly #entries = new Map<string, { text: string; expiresAt: number }>();
  #writes = 0;

  get(name: string): string | undefined {
    const entry = this.#entries.get(name);
    return entry !== undefined && entry.expiresAt > Date.now() ? entry.text : undefined;
  }

  getMany(names: readonly string[]): (string | undefined)[] {
    return names.map((name) => this.get(name));
  }

  set(name: string, text: string, ttl = Infinity): void {
    this.#entries.set(name, { text, expiresAt: Date.now() + ttl });
    if (++this.#writes % CLEAN_UP_EVERY === 0) this.#cleanUp();
  }

  delete(name: string): void {
    this.#entries.delete(name);
  }

  compareAndSet(name: string, expected: string | undefined, text: string, ttl?: number): boolean {
    if (this.get(name) !== expected) return false;
    this.set(name, text, ttl);
    return true;
  }

  #cleanUp(): void {
    for (const [name, { expiresAt }] of this.#entries) if (expiresAt <= Date.now()) this.#entries.delete(name);
  }
}
