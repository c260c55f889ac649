/** A store for an issuer, in memory, which hangs and fails as scheduled. */

import { TextStore } from "../support/text-store.js";
import type { RunClock } from "./clock.js";
import type { StoreFault } from "./schedule.js";

/** ms that a call hangs: longer than it is waited for. It is answered then, which must not matter any more. */
const HANGING_TIME = 5_000;

export class FaultyStore extends TextStore {
  constructor(faults: readonly StoreFault[], clock: RunClock) {
    super();
    this.before = async () => {
      const now = clock();
      const fault = faults.find(({ span: [from, to] }) => from <= now && now < to);
      if (fault?.kind === "failing") throw new Error("the store is down");
      if (fault?.kind === "hanging") await new Promise((resolve) => setTimeout(resolve, HANGING_TIME).unref());
    };
  }
}
