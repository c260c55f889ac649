/**
 * Breaks the source in many small ways, one at a time, and shows which breaks no test notices.
 *
 * `npm run test:mutation`               all of src/protocol and src/verify: an hour or more on two cores
 * `npm run test:mutation -- FILE…`      these files
 * `npm run test:mutation -- --changed`  the files that the commits since origin/main touch, or else those of the last commit;
 *                                       at most two files and ten minutes, and it names what it leaves out
 */

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { EDITS } from "./edits.js";

const HERE = "test/mutation";
const STRYKER = `${HERE}/node_modules/@stryker-mutator/core/bin/stryker.js`;
const REPORT = `${HERE}/report.json`;
const MOST_FILES = 2;
const LONGEST = 10 * 60_000;

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

const args = process.argv.slice(2);
const onlyChanged = args.includes("--changed");
const files = onlyChanged ? changedFiles() : args;
if (onlyChanged && files.length === 0) console.log("mutation: no changed file of src/protocol or src/verify is known");
else process.exitCode = [checkEdits(), runStryker()].every(Boolean) ? 0 : 1;

/** Those that decide come first. */
function changedFiles(): string[] {
  const git = (...args: string[]) => spawnSync("git", args, { encoding: "utf8" });
  const branchedAt = git("merge-base", "origin/main", "HEAD").stdout.trim();
  const isBranch = branchedAt !== "" && branchedAt !== git("rev-parse", "HEAD").stdout.trim();
  const range = `${isBranch ? branchedAt : "HEAD~1"}..HEAD`;
  const diff = git("diff", "--name-only", "--diff-filter=d", range, "--", "src/protocol", "src/verify");
  if (diff.status !== 0) console.log(`mutation: git cannot say what changed: ${diff.stderr.trim()}`);
  const names = diff.stdout.split("\n").filter((name) => name !== "");
  return names.sort((a, b) => Number(DECIDING.includes(b)) - Number(DECIDING.includes(a)));
}

function checkEdits(): boolean {
  const rows = EDITS.filter(({ changes }) => files.length === 0 || changes.some(([f]) => files.includes(`src/${f}`)));
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
  const mutated = files.length === 0 ? ["src/protocol/**/*.ts", "src/verify/**/*.ts"] : files;
  const chosen = onlyChanged ? mutated.slice(0, MOST_FILES) : mutated;
  const leftOut = mutated.slice(chosen.length);
  if (leftOut.length > 0)
    console.log(`mutation: LEFT OUT, because more than ${MOST_FILES} files changed: ${leftOut.join(" ")}`);
  rmSync(REPORT, { force: true });
  const run = spawnSync("node", [STRYKER, "run", `${HERE}/stryker.config.js`, "--mutate", chosen.join()], {
    stdio: "inherit",
    ...(onlyChanged && { timeout: LONGEST }),
  });
  if (run.error !== undefined) {
    console.log(`mutation: NOT FINISHED in ten minutes: npm run test:mutation -- ${chosen.join(" ")}`);
    return true;
  }
  if (run.status !== 0) return false;
  const report = JSON.parse(readFileSync(REPORT, "utf8")) as {
    files: Record<string, { mutants: { status: string }[] }>;
  };
  const survivors = Object.entries(report.files).filter(
    ([name, { mutants }]) =>
      DECIDING.includes(name) && mutants.some(({ status }) => /Survived|NoCoverage/.test(status)),
  );
  for (const [name] of survivors)
    console.log(`mutation: kill the mutants of ${name}, or give a reason beside the code`);
  return survivors.length === 0;
}
