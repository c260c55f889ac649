/** Time that a test moves: the clocks that are read, and not the timers, which sockets need. */

import { performance } from "node:perf_hooks";
import { onTestFinished, vi } from "vitest";

export interface TestClock {
  /** Both clocks, in ms. */
  advance(duration: number): void;
  /** The wall clock alone, in ms: somebody set it. */
  jump(duration: number): void;
}

export function takeOverClock(): TestClock {
  vi.useFakeTimers({ toFake: ["Date"] });
  let monotonicNow = performance.now();
  const spy = vi.spyOn(performance, "now").mockImplementation(() => monotonicNow);
  onTestFinished(() => {
    spy.mockRestore();
    vi.useRealTimers();
  });
  const jump = (duration: number) => void vi.setSystemTime(Date.now() + duration);
  return {
    jump,
    advance(duration) {
      monotonicNow += duration;
      jump(duration);
    },
  };
}

export const minutes = (count: number): number => count * 60_000;
