/** How many signatures Node has been asked to verify, as Node itself counts them. */

import { createHook } from "node:async_hooks";
import { onTestFinished } from "vitest";

/** From now to the end of the test. */
export function watchSignatureJobs() {
  const ids = new Set<number>();
  const jobs = { started: 0, calledBack: 0 };
  const hook = createHook({
    init(id, type) {
      if (type !== "SIGNREQUEST") return;
      ids.add(id);
      jobs.started++;
    },
    // Never for a job that was done on the main thread.
    before(id) {
      if (ids.has(id)) jobs.calledBack++;
    },
  }).enable();
  onTestFinished(() => void hook.disable());
  return jobs;
}
