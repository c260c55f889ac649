/** Time that a test moves: the clocks that are read, and not the timers, which sockets need. */

import { onTestFinished, vi } from "vitest";

export interface TestClock {
  /** Both clocks, in ms. */
  advance(duration: number): void;
  /** The wall clock alone, in ms: somebody set it. */
  jump(duration: number): void;
}

export function takeOverClock(): TestClock {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  return {
    advance: (duration) => void vi.advanceTimersByTime(duration),
    jump: (duration) => void vi.setSystemTime(Date.now() + duration),
  };
}

export const minutes = (count: number): number => count * 60_000;
