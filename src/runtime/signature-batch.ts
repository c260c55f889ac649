/** Work for the thread pool that starts together. */

import { IntrinsicPromise, setImmediate } from "./captured-globals.js";

let end: Promise<void> | undefined;

/**
 * Resolves for all who wait for it in this turn of the event loop at once, when the turn's requests have been read.
 * Waking a sleeping thread costs the main thread more than the rest of a verification does (measured, with 40 requests
 * under way: a quarter of its time); jobs that are handed over together wake the pool once.
 */
export function nextSignatureBatch(): Promise<void> {
  if (end !== undefined) return end;
  end = new IntrinsicPromise<void>((resolve) => {
    const immediate: object = setImmediate(() => {
      end = undefined;
      resolve();
    });
    // A fake that was installed before this package was imported fires when its test says so, which may be never.
    if (immediate.constructor.name !== "Immediate") resolve();
  });
  return end;
}
