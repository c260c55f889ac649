/**
 * Breaks the source in many small ways, one at a time, and shows which breaks no test notices.
 *
 * `npm run test:mutation`               all of src/protocol and src/verify: an hour or more on two cores
 * `npm run test:mutation -- FILE…`      these files
 * `npm run test:mutation -- --changed`  the lines that the commits since origin/main change, or else those of the last commit,
 *                                       for about ten minutes at most; it names what it leaves out
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { EDITS } from "./edits.js";

const HERE = "test/mutation";
const STRYKER = `${HERE}/node_modules/@stryker-mutator/core/bin/stryker.js`;
const REPORT = `${HERE}/report.json`;
/** For `--changed`: how many lines are mutated, and for how many ms. */
const MOST_LINES = 200;
const LONGEST = 8 * 60_000;

/** These decide who gets in. No mutant of them may survive without a reason beside the code. */
const DECIDING = [
  "src/protocol/claims.ts",
  "src/verify/assertions/agent-keys.ts",
  "src/verify/assertions/assertion-verifier.ts",
  "src/verify/http/credentials.ts",
  "src/verify/http/request-headers.ts",
  "src/verify/keys/remote-jwks.ts",
  "src/verify/tokens/token-verifier.ts",
];

interface Report {
  files: Record<string, { mutants: { status: string }[] }>;
}

const args = process.argv.slice(2);
const onlyChanged = args.includes("--changed");
const all = ["src/protocol/**/*.ts", "src/verify/**/*.ts"];
/** Patterns of Stryker: a file, or some lines of it as in `src/a.ts:3-7`. */
const mutated = onlyChanged ? changedLines() : args.length > 0 ? args : all;
const files = mutated.map((pattern) => pattern.split(":")[0] ?? "");
if (mutated.length === 0) console.log("mutation: no changed line of src/protocol or src/verify is known");
else process.exitCode = [checkEdits(), runStryker()].every(Boolean) ? 0 : 1;

/** The files that decide come first. */
function changedLines(): string[] {
  const git = (...args: string[]) => spawnSync("git", args, { encoding: "utf8" });
  const branchedAt = git("merge-base", "origin/main", "HEAD").stdout.trim();
  const isBranch = branchedAt !== "" && branchedAt !== git("rev-parse", "HEAD").stdout.trim();
  const range = `${isBranch ? branchedAt : "HEAD~1"}..HEAD`;
  const diff = git("diff", "--unified=0", "--diff-filter=d", range, "--", "src/protocol", "src/verify");
  if (diff.status !== 0) console.log(`mutation: git cannot say what changed: ${diff.stderr.trim()}`);
  const lines = diff.stdout.split(/^\+\+\+ b\//m).slice(1);
  const patterns = lines.flatMap((ofFile) =>
    Array.from(ofFile.matchAll(/^@@ \S+ \+(\d+)(?:,(\d+))? @@/gm), ([, first, count = 1]) => {
      return `${ofFile.split("\n")[0] ?? ""}:${first ?? ""}-${Number(first) + Number(count) - 1}`;
    }),
  );
  const decides = (pattern: string) => DECIDING.some((file) => pattern.startsWith(file));
  return patterns.filter((pattern) => lineCount(pattern) > 0).sort((a, b) => Number(decides(b)) - Number(decides(a)));
}

function lineCount(pattern: string): number {
  const [, first, last] = /:(\d+)-(\d+)$/.exec(pattern) ?? [];
  return Number(last) - Number(first) + 1;
}

function checkEdits(): boolean {
  const rows = EDITS.filter(({ changes }) => mutated === all || changes.some(([f]) => files.includes(`src/${f}`)));
  if (rows.length === 0) return true;
  const tests = [...new Set(rows.flatMap(({ tests }) => tests))];
  if (verdictOfTests(tests) !== "passed") throw new Error("the tests must pass before anything is edited");
  const unnoticed = rows.filter(({ rule, tests }) => {
    const verdict = verdictOfTests(tests, rule);
    console.log(`edit, ${verdict === "failed" ? "noticed" : `NOT NOTICED (the tests ${verdict})`}: ${rule}`);
    return verdict !== "failed";
  });
  return unnoticed.length === 0;
}

function verdictOfTests(tests: string[], edit?: string): "passed" | "failed" | "did not run" {
  const names = tests.map((name) => `test/${name}.test.ts`);
  const options = ["--config", `${HERE}/vitest.config.ts`, "--reporter=json", "--bail=1"];
  const env = { ...process.env, ...(edit !== undefined && { EDIT: edit }) };
  const { stdout } = spawnSync("npx", ["vitest", "run", ...options, ...names], { encoding: "utf8", env });
  const { numFailedTests, success } = JSON.parse(stdout.slice(stdout.indexOf('{"num'))) as {
    numFailedTests: number;
    success: boolean;
  };
  if (numFailedTests > 0) return "failed";
  return success ? "passed" : "did not run"; // an edit that is no program shows nothing
}

function runStryker(): boolean {
  let lines = 0;
  const chosen = mutated.filter((pattern) => !onlyChanged || (lines += lineCount(pattern)) <= MOST_LINES);
  const leftOut = mutated.filter((pattern) => !chosen.includes(pattern));
  if (leftOut.length > 0) console.log(`mutation: LEFT OUT, of more than ${MOST_LINES} lines: ${leftOut.join(" ")}`);
  if (chosen.length === 0) return true;
  rmSync(REPORT, { force: true });
  const run = spawnSync("node", [STRYKER, "run", `${HERE}/stryker.config.js`, "--mutate", chosen.join()], {
    stdio: "inherit",
    ...(onlyChanged && { timeout: LONGEST }),
  });
  if (run.error !== undefined) {
    console.log(`mutation: NOT FINISHED in time: npm run test:mutation -- ${chosen.join(" ")}`);
    return true;
  }
  if (run.status !== 0) return false;
  if (!existsSync(REPORT)) return true; // these lines have nothing that Stryker breaks
  const report = JSON.parse(readFileSync(REPORT, "utf8")) as Report;
  const failed = Object.entries(report.files).filter(
    ([name, { mutants }]) => DECIDING.includes(name) && mutants.some(({ status }) => /Survived|NoCover/.test(status)),
  );
  for (const [name] of failed) console.log(`mutation: kill the mutants of ${name}, or give a reason beside the code`);
  return failed.length === 0;
}
