/** How long it takes to import, each time in a fresh process and by turns. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { median } from "./statistics.js";

const here = fileURLToPath(new URL(".", import.meta.url));

const imported = {
  "agent-identity-auth": new URL("../dist/index.js", import.meta.url).href,
  jose: "jose",
  express: "express",
};

/** Medians in ms. */
export type ImportTimes = Record<keyof typeof imported, number>;

export async function measureImports(times: number): Promise<ImportTimes> {
  const samples = new Map<string, number[]>(Object.keys(imported).map((name) => [name, []]));
  for (let i = 0; i < times; i++) {
    for (const [name, specifier] of Object.entries(imported)) samples.get(name)?.push(await timeImport(specifier));
  }
  return Object.fromEntries([...samples].map(([name, values]) => [name, median(values)])) as ImportTimes;
}

async function timeImport(specifier: string): Promise<number> {
  const script = `
    const startedAt = performance.now();
    await import(${JSON.stringify(specifier)});
    process.stdout.write(String(performance.now() - startedAt));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: here, // from where the bare names are looked up
  });
  return Number(stdout);
}
