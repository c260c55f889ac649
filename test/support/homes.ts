/** Codex homes that are thrown away, and environments that hold nothing of ours. */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export interface CodexHome {
  codexHome: string;
  /** Path of its `auth.json`. */
  authFile: string;
  read(): string;
  write(content: string): void;
  /** Permission bits, in octal. */
  mode(): string;
}

export function createCodexHome(): CodexHome {
  const codexHome = mkdtempSync(join(tmpdir(), "agent-identity-auth-home-"));
  onTestFinished(() => {
    rmSync(codexHome, { recursive: true });
  });
  const authFile = join(codexHome, "auth.json");
  return {
    codexHome,
    authFile,
    read: () => readFileSync(authFile, "utf8"),
    write: (content) => {
      writeFileSync(authFile, content, { mode: 0o600 });
    },
    mode: () => (statSync(authFile).mode & 0o777).toString(8),
  };
}
