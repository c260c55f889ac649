/** What was measured on, and what was measured: in words that a stranger can compare with. */

import { existsSync, readFileSync } from "node:fs";
import os from "node:os";

export function describeMachine(): string {
  const gibibytes = Math.round(os.totalmem() / 2 ** 30);
  const model = os.cpus()[0]?.model.trim() ?? "unknown CPU";
  return `${model}, ${os.cpus().length} cores, ${gibibytes} GiB, ${os.type()} ${os.release()} (${os.arch()}), Node ${process.versions.node}`;
}

/** @param name a package of `bench/`, of the root, or the root itself */
export function versionOf(name: string): string {
  const candidates = [`node_modules/${name}/package.json`, `../node_modules/${name}/package.json`, "../package.json"];
  for (const candidate of candidates.map((path) => new URL(path, import.meta.url))) {
    if (!existsSync(candidate)) continue;
    const manifest = JSON.parse(readFileSync(candidate, "utf8")) as { name: string; version: string };
    if (manifest.name === name) return manifest.version;
  }
  throw new Error(`${name} is not installed`);
}
