/** One refresh at a time, for all who need it. */

import { monotonicNow } from "../../runtime/captured-globals.js";
import { requestsMaySharePromises } from "../../runtime/shared-promises.js";

export class SingleRefresh {
  readonly #timeout: number;
  #shared: Promise<void> | undefined;
  /** ms on the monotonic clock. Where promises are not shared, a refresh may end without telling: it counts for so long. */
  #runningUntil = -Infinity;

  /** @param timeout ms after which a refresh counts as given up, where its promise cannot be shared */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  get isRunning(): boolean {
    return requestsMaySharePromises ? this.#shared !== undefined : monotonicNow() < this.#runningUntil;
  }

  /** The running refresh, for a request that can wait for another's promise. */
  get shared(): Promise<void> | undefined {
    return this.#shared;
  }

  /** Starts a refresh, or joins the one that is running. @param load never rejects */
  run(load: () => Promise<void>): Promise<void> {
    if (!requestsMaySharePromises) return this.#runAlone(load);
    this.#shared ??= load().finally(() => {
      this.#shared = undefined;
    });
    return this.#shared;
  }

  async #runAlone(load: () => Promise<void>): Promise<void> {
    this.#runningUntil = monotonicNow() + this.#timeout;
    await load();
    this.#runningUntil = -Infinity;
  }
}
