/**
 * How much the fuzz tests try, and how to try one failure again.
 *
 *   npx vitest run test/fuzz                     the short run, as in `npm test`: the same cases each time
 *   FUZZ_SECONDS=600 npx vitest run test/fuzz    60 times as many cases, for about as many seconds, from a random seed
 *   FUZZ_SEED=7 …                                either of them, from this seed
 *
 * A failure prints the smallest case that was found, and the command that goes straight to it. Keys and times are those of
 * the process: a replay makes the same choices, but neither the same signatures nor the same seconds.
 */

import { relative } from "node:path";
import fc, { type Arbitrary } from "fast-check";
import { expect, vi } from "vitest";

const SHORT_RUN_SECONDS = 10;
const SHORT_RUN_SEED = 20_251_123;

const { FUZZ_SECONDS: seconds, FUZZ_SEED: givenSeed, FUZZ_PATH: path } = process.env;
const factor = seconds === undefined ? 1 : Number(seconds) / SHORT_RUN_SECONDS;
const seed =
  givenSeed === undefined ? (seconds === undefined ? SHORT_RUN_SEED : Date.now() % 2 ** 31) : Number(givenSeed);
if (!(factor > 0) || !Number.isInteger(seed)) throw new RangeError("FUZZ_SECONDS and FUZZ_SEED must be integers");
if (seconds !== undefined) {
  vi.setConfig({ testTimeout: (Number(seconds) + 60) * 5_000 });
  console.log(`FUZZ_SEED=${seed}`);
}

/**
 * @param endings How a case may end, each with the least share of cases that have to end so: cases that are all refused
 *   for the same reason would show nothing.
 * @param check throws, or says in a word how the case ended
 */
export async function fuzz<T>(
  runs: number,
  endings: Readonly<Record<string, number>>,
  cases: Arbitrary<T>,
  check: (value: T) => string | Promise<string>,
): Promise<void> {
  const counts = new Map<string, number>();
  const property = fc.asyncProperty(cases, async (value) => {
    const ending = await check(value);
    counts.set(ending, (counts.get(ending) ?? 0) + 1);
  });
  const replay = path === undefined ? {} : { path, endOnFailure: true };
  const details = await fc.check(property, { seed, numRuns: Math.ceil(runs * factor), ...replay });
  const { currentTestName = "", testPath = "" } = expect.getState();
  if (details.failed) {
    const replayed = `FUZZ_SEED=${details.seed} FUZZ_PATH=${details.counterexamplePath ?? ""}`;
    const command = `${replayed} npx vitest run ${relative(process.cwd(), testPath)} -t "${currentTestName}"`;
    const report = await fc.asyncDefaultReportMessage(details);
    throw new Error(`${report ?? ""}\n\nTo replay: ${command}`, { cause: details.errorInstance });
  }
  if (path !== undefined) return;
  const shares = Object.fromEntries(Array.from(counts, ([ending, count]) => [ending, count / details.numRuns]));
  if (seconds !== undefined) console.log(currentTestName, details.numRuns, shares);
  for (const [ending, least] of Object.entries(endings)) {
    expect(shares[ending] ?? 0, `share of ${ending} in ${JSON.stringify(shares)}`).toBeGreaterThanOrEqual(least);
  }
}

/** What a function returns, or throws. */
export function attempt<T>(run: () => T): T | Error {
  try {
    return run();
  } catch (error) {
    return error as Error;
  }
}

/** What a promise brings, or is rejected with. */
export const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);
