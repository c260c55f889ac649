/**
 * Globals as they were when this package was imported. Other code replaces them: zone.js, bluebird, fake timers, another
 * realm. No decision may depend on whose they are at the moment. `Date` and `fetch` are looked up each time on purpose:
 * fake clocks and mocks need it.
 */

import * as timers from "node:timers";

// Older Cloudflare Workers have no node:perf_hooks.
const { performance } = globalThis;

/** The promise that every `async` function gives, whatever the global `Promise` is. */
export const IntrinsicPromise = anAsyncFunction().constructor as PromiseConstructor;

export const { setTimeout, clearTimeout, setImmediate } = timers;

async function anAsyncFunction(): Promise<void> {
  // What it returns is all that is wanted of it.
}

/** ms on a clock that no change of the system's time moves. */
export function monotonicNow(): number {
  return performance.now();
}
