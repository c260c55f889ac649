/** Work that starts together, at the end of a turn of the event loop. */

import { IntrinsicPromise, setImmediate } from "./captured-globals.js";
import { requestsMaySharePromises } from "./shared-promises.js";

let nextTurn: Promise<void> | undefined;

/**
 * Resolves for all callers of this turn of the event loop at once, when the turn's requests have been read. Signatures that
 * start together wake the thread pool once: waking it costs the main thread more than the rest of a verification (measured with
 * 40 requests under way: a quarter of its time). Equal look-ups that start together are one.
 */
export function nextBatch(): Promise<void> {
  if (!requestsMaySharePromises) return IntrinsicPromise.resolve();
  if (nextTurn !== undefined) return nextTurn;
  nextTurn = new IntrinsicPromise<void>((resolve) => {
    const immediate: object = setImmediate(() => {
      nextTurn = undefined;
      resolve();
    });
    // A fake that was installed before this package was imported fires when its test says so, or never.
    if (immediate.constructor.name !== "Immediate") resolve();
  });
  return nextTurn;
}
