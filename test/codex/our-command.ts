import { fileURLToPath } from "node:url";
import { runProcess, type ProcessOptions, type ProcessRun } from "./run-process.js";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/** Our command, in the home directory of a client and with as little of our own environment. */
export function runOurs(
  home: string,
  args: readonly string[],
  { env = {}, ...options }: Partial<Pick<ProcessOptions, "env" | "stdin" | "timeoutMs">> = {},
): Promise<ProcessRun> {
  return runProcess([process.execPath, CLI, ...args], {
    ...options,
    cwd: home,
    env: { HOME: home, CODEX_HOME: home, ...env },
  });
}
