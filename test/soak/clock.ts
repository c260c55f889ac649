/** One clock for all processes of a run: the machine's monotonic one, in ms. `performance.now()` has another zero in each. */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The time of a run, in ms since its start; before that it is negative. */
export type RunClock = () => number;

export function createRunClock(startAt: number): RunClock {
  return () => monotonicNow() - startAt;
}
