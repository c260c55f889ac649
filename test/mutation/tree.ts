/** Copies of the tree in which decisions are taken away, and the tests run in them. */

import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import type { Edit } from "./decision.js";

const ROOT = join(import.meta.dirname, "../..");
const COPIED = ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"];
/** Large, or with a Vitest of their own. */
const LEFT_OUT = ["node_modules", join("test", "codex"), join("test", "package"), join("test", "mutation")];
/** ms. A decision without which a test waits for ever is noticed after this. */
const TEST_TIMEOUT = 15_000;
const RUN_TIMEOUT = 180_000;

export interface TestResult {
  /** With the names of the `describe` blocks around it. */
  name: string;
  /** Under `test/`. */
  file: string;
  passed: boolean;
  failure: string;
}

export interface Run {
  tests: TestResult[];
  /** What went wrong outside of any test: an import, a syntax error, the time. */
  broken: string | undefined;
}

const running = new Set<ChildProcess>();

export function killRuns(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** `undefined` if the text to find is there exactly once. */
export function whyOutOfDate({ file, find }: Edit): string | undefined {
  const path = join(ROOT, "src", file);
  if (!existsSync(path)) return `there is no src/${file}`;
  const count = readFileSync(path, "utf8").split(find).length - 1;
  return count === 1 ? undefined : `in src/${file}, found ${String(count)} times and not once: ${find}`;
}

export class Tree {
  readonly #path: string;

  /** @param path of a directory that is not there yet */
  constructor(path: string) {
    this.#path = path;
    mkdirSync(path);
    for (const name of COPIED) {
      cpSync(join(ROOT, name), join(path, name), {
        recursive: true,
        filter: (from) => !LEFT_OUT.includes(relative(ROOT, from)) && basename(from) !== "node_modules",
      });
    }
    symlinkSync(join(ROOT, "node_modules"), join(path, "node_modules"));
  }

  /** Runs the tests with these edits, and puts everything back. */
  async run(edits: Edit[], selections: string[]): Promise<Run> {
    const originals = new Map<string, string>();
    for (const { file, find, replace } of edits) {
      const path = join(this.#path, "src", file);
      const before = readFileSync(path, "utf8");
      if (!originals.has(path)) originals.set(path, before);
      // A function, because a replacement may contain `$`.
      writeFileSync(
        path,
        before.replace(find, () => replace),
      );
    }
    try {
      return await this.#vitest(selections, edits.length > 0);
    } finally {
      for (const [path, content] of originals) writeFileSync(path, content);
    }
  }

  async #vitest(selections: string[], bail: boolean): Promise<Run> {
    const parsed = selections.map(parseSelection);
    const files = [...new Set(parsed.map(({ file }) => join("test", file)))];
    const names = parsed.map(({ name }) => name);
    const report = join(this.#path, "report.json");
    rmSync(report, { force: true });
    const args = [join(ROOT, "node_modules/vitest/vitest.mjs"), "run", "--maxWorkers=1", "--reporter=json"];
    args.push(`--outputFile=${report}`, `--testTimeout=${String(TEST_TIMEOUT)}`);
    if (bail) args.push("--bail=1");
    if (!names.includes("")) args.push("-t", [...new Set(names)].map(escapeForRegExp).join("|"));
    const output = await execute([...args, ...files], this.#path);
    if (!existsSync(report)) return { tests: [], broken: output.slice(-2_000) || "Vitest gave no report" };
    return readReport(JSON.parse(readFileSync(report, "utf8")) as Report, join(this.#path, "test"));
  }
}

export function parseSelection(selection: string): { file: string; name: string } {
  const [file = "", name = ""] = selection.split(" > ", 2);
  return { file, name };
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** Its output, whatever its exit status. */
function execute(args: string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, env: { ...process.env, NO_COLOR: "1" }, timeout: RUN_TIMEOUT });
    running.add(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += String(chunk)));
    child.on("error", reject).on("close", () => {
      running.delete(child);
      resolve(output);
    });
  });
}

/** What is used of Vitest's JSON. */
interface Report {
  testResults: {
    name: string;
    message: string;
    assertionResults: { fullName: string; status: string; failureMessages: string[] | null }[];
  }[];
}

function readReport({ testResults }: Report, testFolder: string): Run {
  const tests = testResults.flatMap(({ name: path, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === "passed" || status === "failed")
      .map(({ fullName, status, failureMessages }) => ({
        name: fullName,
        file: relative(testFolder, path),
        passed: status === "passed",
        failure: (failureMessages ?? []).join("\n"),
      })),
  );
  const broken = testResults.find(({ assertionResults, message }) => assertionResults.length === 0 && message !== "");
  return { tests, broken: broken?.message };
}
