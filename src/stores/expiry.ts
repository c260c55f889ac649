/** How entries expire, where it is the same for all stores. */

import { monotonicNow } from "../runtime/captured-globals.js";

/** ms */
const SWEEP_EVERY = 60_000;

/** Rows. A write waits for the sweep before it. */
export const SWEEP_LIMIT = 1_000;

/** @throws TypeError, because 0, fractions and `Infinity` mean something else in each database */
export function checkTtl(ttl: number): void {
  if (!Number.isSafeInteger(ttl) || ttl < 1) throw new TypeError("a store's ttl must be an integer of 1 or more (ms)");
}

/**
 * @param remove deletes at most `SWEEP_LIMIT` expired rows and returns how many there were
 * @returns a function to call before each write, with its ttl, which it checks. It sweeps at the first write with a ttl, and then
 * once a minute, or at each such write while more rows are left
 */
export function createSweep(remove: () => number | Promise<number>): (ttl: number | undefined) => Promise<void> {
  let sweptAt = -Infinity;
  return async (ttl) => {
    if (ttl === undefined) return;
    checkTtl(ttl);
    const now = monotonicNow();
    if (now - sweptAt < SWEEP_EVERY) return;
    sweptAt = now; // set first, so that other writes do not sweep meanwhile
    if ((await remove()) >= SWEEP_LIMIT) sweptAt = -Infinity;
  };
}
