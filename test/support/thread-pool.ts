/** The thread pool, busy for as long as a test likes. */

import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const THREADS = Number(process.env["UV_THREADPOOL_SIZE"] ?? 4);

/**
 * Each thread opens a named pipe for reading, which takes until somebody opens it for writing.
 * @returns what ends it
 */
export function occupyThreadPool(): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "agent-identity-auth-pipe-"));
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const readers = Array.from({ length: THREADS }, () => open(pipe, "r"));
  let release = async (): Promise<void> => {
    release = () => Promise.resolve();
    const writer = openSync(pipe, "w");
    for (const reader of await Promise.all(readers)) await reader.close();
    closeSync(writer);
    rmSync(folder, { recursive: true });
  };
  onTestFinished(() => release());
  return () => release();
}
