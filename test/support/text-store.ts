import type { IssuerStore } from "../../src/issuer.js";

/** An issuer's store in memory, each call of which can be delayed, changed or made to fail. */
export class TextStore implements IssuerStore {
  readonly entries: Map<string, string>;
  /** Awaited before each call. */
  before: (call: "get" | "set" | "delete" | "compareAndSet") => unknown = () => undefined;

  constructor(entries = new Map<string, string>()) {
    this.entries = entries;
  }

  async get(name: string): Promise<string | undefined> {
    await this.before("get");
    return this.entries.get(name);
  }

  async set(name: string, text: string): Promise<void> {
    await this.before("set");
    this.entries.set(name, text);
  }

  async delete(name: string): Promise<void> {
    await this.before("delete");
    this.entries.delete(name);
  }

  async compareAndSet(name: string, expected: string | undefined, text: string): Promise<boolean> {
    await this.before("compareAndSet");
    if (this.entries.get(name) !== expected) return false;
    this.entries.set(name, text);
    return true;
  }
}
