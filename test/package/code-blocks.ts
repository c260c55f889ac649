/** The TypeScript blocks of a Markdown page: type-checked as a consumer's, and started. */

import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";
import { mint } from "../support/agents.js";
import { freePort } from "../support/free-port.js";

const run = promisify(execFile);

/** The README and every page of `docs/` that is not generated. */
export const PAGES: readonly string[] = [
  "README.md",
  ...readdirSync("docs")
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

/** The pages for operators, whose blocks `docs.test.ts` runs one by one. */
export const OPERATING: readonly string[] = ["metrics-and-logs", "operations", "outages", "proxies"].map(
  (page) => `docs/${page}.md`,
);

export function codeBlocks(page: string): string[] {
  return [...readFileSync(page, "utf8").matchAll(/```ts\n([^]*?)```/g)].map(([, code = ""]) => code);
}

export const isServer = (code: string): boolean => /app\.listen\(|\bserve\(/.test(code);

/** A module in the package's own tree, where its name resolves to its build. */
function writeModule(code: string): string {
  const directory = mkdtempSync(join("test", "package", ".block-"));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  const file = resolve(directory, "block.ts");
  writeFileSync(file, code);
  return file;
}

/**
 * Type-checks it as a consumer would.
 * @param replacements ports, URLs and paths of the page, and what they are in this test
 * @returns the path of a module that holds it
 */
export async function check(code: string, replacements: Record<string, string> = {}): Promise<string> {
  const texts = Object.entries(replacements);
  const file = writeModule(texts.reduce((text, [from, to]) => text.replaceAll(from, to), code));
  const options = [
    "--noEmit",
    "--strict",
    "--module",
    "nodenext",
    "--target",
    "es2023",
    "--types",
    "node",
    "--skipLibCheck",
  ];
  await run(process.execPath, ["node_modules/typescript7/bin/tsc", "--ignoreConfig", ...options, file]);
  return file;
}

/** Type-checks it and runs it as a process of its own. */
export async function start(code: string, replacements: Record<string, string>) {
  const child = spawn(process.execPath, ["--import", "tsx", await check(code, replacements)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TOKEN: mint() },
  });
  child.stdout.resume();
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** The same for one that listens. */
export async function startServer(
  code: string,
  replacements: Record<string, string> = {},
): Promise<{ url: string; stdout: Readable }> {
  const port = String(await freePort());
  const { stdout } = await start(code, {
    "listen(3000)": `listen(${port}, "127.0.0.1")`,
    "port: 3000": `port: ${port}, ${code.includes("serve(") ? "hostname" : "host"}: "127.0.0.1"`,
    'listen(3000, "localhost")': `listen(${port}, "127.0.0.1")`,
    "8080": port,
    ...replacements,
  });
  return { url: `http://127.0.0.1:${port}`, stdout };
}

/** Asks until the server listens; the test's time limit ends it. */
export async function answerOf(url: string, init?: RequestInit): Promise<Response> {
  for (;;) {
    try {
      return await fetch(url, init);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
