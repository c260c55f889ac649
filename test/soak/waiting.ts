/** Whether requests that a key set can serve wait for a fetch all the same: they may not, and a fetch that hangs tells. */

import type { JwksFetchRecord } from "./backend.js";
import { earliestFailure, TOLERANCE } from "./key-oracle.js";
import { JWKS_OPTIONS } from "./settings.js";
import type { Span } from "./spans.js";

export interface Waiting {
  /** Requests that were sent soon after a fetch which was to hang until its deadline, and that were accepted. */
  readonly sent: number;
  /** Of those, the ones that were answered while it hung. */
  readonly answeredMeanwhile: number;
}

/** @param served when requests were under way that were accepted */
export function countWaiting(fetches: readonly JwksFetchRecord[], served: readonly Span[]): Waiting {
  const hung = fetches.filter(({ fault }) => fault === "hanging" || fault === "dripping");
  const beside = hung.flatMap((fetch) => {
    const [from, to] = [fetch.askedAt + TOLERANCE, fetch.askedAt + JWKS_OPTIONS.timeoutDuration / 2];
    return served
      .filter(([sentAt]) => from <= sentAt && sentAt <= to)
      .map(([, answeredAt]) => answeredAt < earliestFailure(fetch));
  });
  return { sent: beside.length, answeredMeanwhile: beside.filter(Boolean).length };
}
