/**
 * How much the fuzz tests try, and how to try one failure again.
 *
 *   npx vitest run test/fuzz                     the short run, as in `npm test`: the same cases each time, in some 10 s
 *   FUZZ_SECONDS=600 npx vitest run test/fuzz    60 times as many cases, for about as many seconds, from a random seed
 *   FUZZ_SEED=7 …                                either of them, from this seed
 *
 * A long run prints the seed of each file, and how its cases ended. A failure prints the smallest case that was found,
 * and the command that goes straight to it: `FUZZ_SEED=… FUZZ_PATH=… npx vitest run test/fuzz/… -t "…"`.
 *
 * Keys and times are those of the process. So a replay makes the same choices, but neither the same signatures nor the
 * same seconds.
 */

import { relative } from "node:path";
import fc, { type Arbitrary } from "fast-check";
import { expect, vi } from "vitest";

const SHORT_RUN_SECONDS = 10;
const SHORT_RUN_SEED = 20_251_123;

const seconds = integerOf("FUZZ_SECONDS");
const seed = integerOf("FUZZ_SEED") ?? (seconds === undefined ? SHORT_RUN_SEED : Date.now() % 2 ** 31);
const path = process.env["FUZZ_PATH"];

if (seconds !== undefined) {
  vi.setConfig({ testTimeout: (seconds + 60) * 5_000 });
  console.log(`FUZZ_SEED=${seed} (${testFile()})`);
}

export interface Plan {
  /** Cases of the short run. */
  readonly runs: number;
  /**
   * How many of the cases have to end so, at the least, as a fraction: cases that are all refused for the same reason
   * would show nothing.
   */
  readonly shares: Readonly<Record<string, number>>;
}

/** @param check throws, or says in a word how the case ended */
export async function fuzz<T>(
  { runs, shares }: Plan,
  cases: Arbitrary<T>,
  check: (value: T) => string | Promise<string>,
): Promise<void> {
  const endings = new Map<string, number>();
  const property = fc.asyncProperty(cases, async (value) => {
    const ending = await check(value);
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  });
  const numRuns = Math.ceil((runs * (seconds ?? SHORT_RUN_SECONDS)) / SHORT_RUN_SECONDS);
  const replay = path === undefined ? {} : { path, endOnFailure: true };
  const details = await fc.check(property, { seed, numRuns, ...replay });
  if (details.failed) {
    const command = `FUZZ_SEED=${details.seed} FUZZ_PATH=${details.counterexamplePath ?? ""} npx vitest run ${testFile()}`;
    const report = await fc.asyncDefaultReportMessage(details);
    throw new Error(`${report ?? ""}\n\nTo replay: ${command} -t "${expect.getState().currentTestName ?? ""}"`, {
      cause: details.errorInstance,
    });
  }
  if (path !== undefined) return;
  const reached = Object.fromEntries(
    Array.from(endings, ([ending, count]): [string, number] => [ending, count / details.numRuns]).sort(
      ([, a], [, b]) => b - a,
    ),
  );
  if (seconds !== undefined) console.log(expect.getState().currentTestName, details.numRuns, reached);
  for (const [ending, least] of Object.entries(shares)) {
    expect(reached[ending] ?? 0, `share of ${ending} in ${JSON.stringify(reached)}`).toBeGreaterThanOrEqual(least);
  }
}

function integerOf(name: string): number | undefined {
  const value = process.env[name];
  if (value === undefined) return undefined;
  if (!/^-?\d+$/.test(value)) throw new Error(`${name} must be an integer`);
  return Number(value);
}

function testFile(): string {
  return relative(process.cwd(), expect.getState().testPath ?? "");
}
