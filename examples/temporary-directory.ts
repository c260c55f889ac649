/** Where an example writes what it has to: a directory that goes when the process ends, by Ctrl-C too. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function createTemporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-"));
  process.once("exit", () => {
    rmSync(directory, { recursive: true });
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit());
  return directory;
}
