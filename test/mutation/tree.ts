/** Copies of the tree in which decisions are taken away, each with a Vitest of its own that stays. */

import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { createVitest, type Vitest } from "vitest/node";
import type { Edit } from "./decision.js";

const ROOT = join(import.meta.dirname, "../..");
const COPIED = ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"];
/** Large, or with a Vitest of their own. Of the package's tests, those of the command are run, from the sources. */
const LEFT_OUT = ["codex", "mutation"].map((name) => join("test", name));
const PACKAGE_TESTS = join("test", "package");
const COMMAND_TEST = join(PACKAGE_TESTS, "cli.test.ts");
const COMMAND = 'import { register } from "tsx/esm/api";\nregister();\nawait import("../src/cli.ts");\n';
/** ms. A decision without which a test waits for ever is noticed after this. */
const TEST_TIMEOUT = 15_000;

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
  /** What went wrong outside of any test: an import, a syntax error. */
  broken: string | undefined;
}

/** `undefined` if the text to find is there exactly once. */
export function whyOutOfDate({ file, find }: Edit): string | undefined {
  const path = join(ROOT, "src", file);
  if (!existsSync(path)) return `there is no src/${file}`;
  const count = readFileSync(path, "utf8").split(find).length - 1;
  return count === 1 ? undefined : `in src/${file}, found ${String(count)} times and not once: ${find}`;
}

function isCopied(path: string): boolean {
  if (LEFT_OUT.includes(path) || basename(path) === "node_modules") return false;
  return dirname(path) !== PACKAGE_TESTS || path === COMMAND_TEST;
}

export class Tree {
  readonly #path: string;
  readonly #vitest: Vitest;

  private constructor(path: string, vitest: Vitest) {
    this.#path = path;
    this.#vitest = vitest;
  }

  /** @param path of a directory that is not there yet */
  static async copy(path: string): Promise<Tree> {
    mkdirSync(path);
    for (const name of COPIED) {
      cpSync(join(ROOT, name), join(path, name), {
        recursive: true,
        filter: (from) => isCopied(relative(ROOT, from)),
      });
    }
    mkdirSync(join(path, "dist"));
    writeFileSync(join(path, "dist", "cli.js"), COMMAND);
    writeFileSync(join(path, "setup.ts"), "process.chdir(import.meta.dirname);\n");
    symlinkSync(join(ROOT, "node_modules"), join(path, "node_modules"));
    const vitest = await createVitest("test", {
      root: path,
      watch: false,
      reporters: [{}],
      silent: true,
      maxWorkers: 1,
      testTimeout: TEST_TIMEOUT,
      exclude: ["**/node_modules/**"],
      // Tests that start another process name what it runs by a path in the tree.
      setupFiles: ["setup.ts"],
    });
    await vitest.standalone();
    return new Tree(path, vitest);
  }

  /** Runs the tests with these edits, and puts everything back. */
  async run(edits: Edit[], selections: string[]): Promise<Run> {
    const originals = new Map<string, string>();
    for (const { file, find, replace } of edits) {
      const path = join(this.#path, "src", file);
      const before = readFileSync(path, "utf8");
      if (!originals.has(path)) originals.set(path, before);
      // A function, because a replacement may contain `$`.
      const after = before.replace(find, () => replace);
      this.#write(path, after);
    }
    try {
      return await this.#test(selections.map(parseSelection));
    } finally {
      for (const [path, content] of originals) this.#write(path, content);
    }
  }

  close(): Promise<void> {
    return this.#vitest.close();
  }

  #write(path: string, content: string): void {
    writeFileSync(path, content);
    this.#vitest.invalidateFile(path);
  }

  async #test(selections: Selection[]): Promise<Run> {
    const files = [...new Set(selections.map(({ file }) => join(this.#path, "test", file)))];
    const names = [...new Set(selections.map(({ name }) => escapeForRegExp(name)))];
    // A selection without a name is an empty alternative: it selects every test.
    this.#vitest.setGlobalTestNamePattern(new RegExp(names.join("|")));
    const specifications = await this.#vitest.globTestSpecifications(files);
    const { testModules: modules, unhandledErrors } = await this.#vitest.runTestSpecifications(specifications);
    // Vitest hands out what earlier runs have left as well.
    const testModules = modules.filter(({ moduleId }) => files.includes(moduleId));
    const tests = testModules.flatMap((module) =>
      [...module.children.allTests()].flatMap((test): TestResult[] => {
        const { state, errors = [] } = test.result();
        if (state !== "passed" && state !== "failed") return [];
        return [
          {
            name: test.fullName.replaceAll(" > ", " "),
            file: relative(join(this.#path, "test"), module.moduleId),
            passed: state === "passed",
            failure: errors.map(({ message }) => message).join("\n"),
          },
        ];
      }),
    );
    const outside = [...testModules.flatMap((module) => module.errors()), ...unhandledErrors];
    // An error outside of the tests breaks a run only where no test has failed: it may be what the failure has left behind.
    const broken = tests.every(({ passed }) => passed) ? outside.map(messageOf)[0] : undefined;
    return { tests, broken: broken ?? (tests.length === 0 ? "no test ran" : undefined) };
  }
}

interface Selection {
  file: string;
  /** What the names of the tests contain; empty for all of them. */
  name: string;
}

export function parseSelection(selection: string): Selection {
  const [file = "", name = ""] = selection.split(" > ", 2);
  return { file, name };
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function messageOf(error: unknown): string {
  return String((error as { message?: unknown } | null)?.message ?? error);
}
