/** Installs, builds and starts the examples that have packages of their own. */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { onTestFinished } from "vitest";

const runFile = promisify(execFile);

const EXAMPLES = join(import.meta.dirname, "..", "..", "examples");

export interface Recipe {
  readonly name: string;
  /** In `examples`. */
  readonly folder: string;
  /** Arguments of Node, in that folder. */
  readonly start: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export const RECIPES: readonly Recipe[] = [
  { name: "NestJS on Express", folder: "nestjs", start: ["dist/server.js"], env: { PLATFORM: "express" } },
  { name: "NestJS on Fastify", folder: "nestjs", start: ["dist/server.js"], env: { PLATFORM: "fastify" } },
  {
    name: "Next.js",
    folder: "next",
    start: ["node_modules/next/dist/bin/next", "start", "--hostname", "127.0.0.1"],
    env: { NEXT_TELEMETRY_DISABLED: "1" },
  },
];

/** Without vitest's `NODE_ENV`, which is neither that of a build nor that of a server. */
function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, NODE_ENV: undefined, AGENTS_BASE_URL: undefined, FORCE_COLOR: "0", ...more };
}

/** As a stranger would. The package is a copy of what would be published, with the `dist` of now. */
export async function installAndBuild({ folder, env }: Recipe): Promise<void> {
  const options = { cwd: join(EXAMPLES, folder), env: environment(env) };
  await runFile("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], options);
  await runFile("npm", ["run", "build"], options);
}

/** On a free port of loopback, until the test ends. Resolves to its URL. */
export async function start(recipe: Recipe, baseUrl: string): Promise<string> {
  const child = spawn(process.execPath, recipe.start, {
    cwd: join(EXAMPLES, recipe.folder),
    env: environment({ ...recipe.env, AGENTS_BASE_URL: baseUrl, PORT: "0" }),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // so that its own children end with it
  });
  const closed = once(child, "close");
  onTestFinished(async () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, "SIGKILL");
    await closed;
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  }
  for (const deadline = Date.now() + 30_000; Date.now() < deadline && child.exitCode === null;) {
    const [url] = /http:\/\/127\.0\.0\.1:[1-9]\d*(?=\n)/.exec(output) ?? [];
    if (url !== undefined) return url;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${recipe.name} does not listen: ${output}`);
}
