import type { IssuerStore } from "../../src/issuer.js";

/** An issuer's store in memory, each call of which can be delayed, changed or made to fail. Entries do not expire. */
export class TextStore implements IssuerStore {
  readonly entries: Map<string, string>;
  /** Awaited before each call, with its arguments. */
  before: (call: "get" | "set" | "delete" | "compareAndSet", ...args: unknown[]) => unknown = () => undefined;

  constructor(entries = new Map<string, string>()) {
    this.entries = entries;
  }

  async get(name: string): Promise<string | undefined> {
    await this.before("get", name);
    return this.entries.get(name);
  }

  async set(name: string, text: string, ttl?: number): Promise<void> {
    await this.before("set", name, text, ttl);
    this.entries.set(name, text);
  }

  async delete(name: string): Promise<void> {
    await this.before("delete", name);
    this.entries.delete(name);
  }

  async compareAndSet(name: string, expected: string | undefined, text: string, ttl?: number): Promise<boolean> {
    await this.before("compareAndSet", name, expected, text, ttl);
    if (this.entries.get(name) !== expected) return false;
    this.entries.set(name, text);
    return true;
  }
}
