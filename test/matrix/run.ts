/**
 * `npm run test:matrix`: the suite on every Node release that is supported, and a grid of what it ran on.
 * `npm run test:matrix -- 26` takes one of them. The releases come from the npm package `node`.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { adapters } from "../support/adapter-servers.js";

const RELEASES = ["20", "22", "24", "26"];
const wanted = process.argv.slice(2);
const unknown = wanted.filter((release) => !RELEASES.includes(release));
if (unknown.length > 0) throw new Error(`no such release: ${unknown.join()}; there are ${RELEASES.join()}`);

/** The part of vitest's JSON report that is read. */
interface Report {
  testResults: { name: string; assertionResults: { status: string; ancestorTitles: string[]; fullName: string }[] }[];
}

const LOADS_BUILD = `
  const { exports } = require("./package.json");
  for (const path of Object.keys(exports).filter((path) => path !== "./package.json"))
    if (Object.keys(require("agent-identity-auth" + path.slice(1))).length === 0) throw new Error(path);
  console.log(process.version);
`;

const COLUMNS = [...adapters.map(([name]) => name), "all tests"];
const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-matrix-"));
process.once("exit", () => {
  rmSync(directory, { recursive: true });
});

const rows: string[][] = [];
let passed = 0;
let failed = 0;
for (const release of wanted.length > 0 ? wanted : RELEASES) {
  const version = (await run(release, ["node", "--no-warnings", "-e", LOADS_BUILD])).trim();
  const outputFile = join(directory, `${release}.json`);
  console.log(`Node ${version}: running every test`);
  await run(release, [
    "node",
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=json",
    `--outputFile=${outputFile}`,
  ]);
  const report = JSON.parse(readFileSync(outputFile, "utf8")) as Report;
  const tests = report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map((test) => ({ ...test, isOfAdapters: name.includes("/test/adapters/") })),
  );
  for (const { status, fullName } of tests) if (status === "failed") console.log(`FAILED on ${version}: ${fullName}`);
  for (const { name } of report.testResults.filter(({ assertionResults }) => assertionResults.length === 0)) {
    failed++;
    console.log(`FAILED on ${version}: ${name} did not load`);
  }
  const cells = COLUMNS.map((column) => {
    const own = tests.filter(
      ({ isOfAdapters, ancestorTitles }) => column === "all tests" || (isOfAdapters && ancestorTitles[0] === column),
    );
    const [good, bad] = ["passed", "failed"].map((status) => own.filter((test) => test.status === status).length);
    if (!good) throw new Error(`Node ${version}: no test of ${column} passed`);
    return `${good}${bad ? `, ${bad} FAILED` : ""}`;
  });
  passed += tests.filter(({ status }) => status === "passed").length;
  failed += tests.filter(({ status }) => status === "failed").length;
  rows.push([`Node ${version}`, ...cells]);
}

const grid = [["tests passed", ...COLUMNS], ...rows];
const widths = grid[0]?.map((_, column) => Math.max(...grid.map((row) => row[column]?.length ?? 0))) ?? [];
for (const row of grid) console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

/** Runs a command under a release. What it prints is returned; that tests fail is in their report. */
async function run(release: string, command: string[]): Promise<string> {
  const child = spawn("npx", ["--yes", "--package", `node@${release}`, "--", ...command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [output] = await Promise.all([text(child.stdout), once(child, "exit")]);
  return output;
}
