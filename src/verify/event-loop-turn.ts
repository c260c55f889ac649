/** Work for the thread pool that starts together. */

// Bound here: a test that replaces the global one, as fake timers do, must not stop verifications.
import { setImmediate } from "node:timers";

let end: Promise<void> | undefined;

/**
 * Resolves for all who wait for it in this turn of the event loop at once, when the turn's requests have been read.
 * Waking a sleeping thread costs the main thread more than the rest of a verification does (measured, with 40 requests
 * under way: a quarter of its time); jobs that are handed over together wake the pool once.
 */
export function endOfTurn(): Promise<void> {
  end ??= new Promise((resolve) => {
    setImmediate(() => {
      end = undefined;
      resolve();
    });
  });
  return end;
}
