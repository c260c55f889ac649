/** A Keyv-shaped store for an issuer, in memory, which hangs and fails as scheduled. */

import type { IssuerStore } from "../../src/issuer.js";
import type { RunClock } from "./clock.js";
import type { StoreFault } from "./schedule.js";

/** ms that a call hangs: longer than it is waited for. It is answered then, which must not matter any more. */
const HANGING_TIME = 5_000;

export class FaultyStore implements IssuerStore {
  readonly #entries = new Map<string, unknown>();
  readonly #faults: readonly StoreFault[];
  readonly #clock: RunClock;

  constructor(faults: readonly StoreFault[], clock: RunClock) {
    this.#faults = faults;
    this.#clock = clock;
  }

  get(key: string): Promise<unknown> {
    return this.#answer(() => this.#entries.get(key));
  }

  set(key: string, value: unknown): Promise<unknown> {
    return this.#answer(() => this.#entries.set(key, value));
  }

  delete(key: string): Promise<unknown> {
    return this.#answer(() => this.#entries.delete(key));
  }

  async #answer(answer: () => unknown): Promise<unknown> {
    const now = this.#clock();
    const fault = this.#faults.find(({ span: [from, to] }) => from <= now && now < to);
    if (fault?.kind === "failing") throw new Error("the store is down");
    if (fault?.kind === "hanging") await new Promise((resolve) => setTimeout(resolve, HANGING_TIME).unref());
    return answer();
  }
}
