/** Exponential back-off with jitter: an outage costs the endpoint a constant, not a request per caller. All in ms. */

const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;

export class BackOff {
  #failures = 0;
  #retryAt = -Infinity;

  /** Whether the last attempt failed. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** @param asked how long the endpoint itself asked to be left alone; heeded as far as the longest delay */
  failed(now: number, asked = 0): void {
    this.#failures++;
    const ceiling = Math.min(FIRST_DELAY * 2 ** this.#failures, LONGEST_DELAY);
    const delay = ceiling * (0.5 + Math.random() / 2);
    // Whole ms: a caller who waits as many seconds as it was told finds the delay over.
    this.#retryAt = Math.floor(now + Math.max(delay, Math.min(asked, LONGEST_DELAY)));
  }

  succeeded(): void {
    this.#failures = 0;
    this.#retryAt = -Infinity;
  }

  remaining(now: number): number {
    return Math.max(this.#retryAt - now, 0);
  }
}
