import { spawn } from "node:child_process";

export interface ProcessRun {
  exitCode: number | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

export interface ProcessOptions {
  cwd: string;
  /** All of it: nothing of our own environment reaches the process. */
  env: Readonly<Record<string, string>>;
  /** Written to standard input, which is then closed. */
  stdin?: string;
  timeoutMs?: number;
}

/** Runs a command to its end, or for `timeoutMs` (default 30 000) and not longer. */
export async function runProcess(
  [command, ...args]: readonly [command: string, ...args: string[]],
  { cwd, env, stdin = "", timeoutMs = 30_000 }: ProcessOptions,
): Promise<ProcessRun> {
  // In a process group of its own: a script may start a native binary, and both must go when time is up.
  const child = spawn(command, args, { cwd, env, detached: true });
  let stdout = "";
  let stderr = "";
  let timedOut = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  // One that ends without reading all of its input is judged by its exit, not by the broken pipe.
  child.stdin.on("error", () => undefined).end(stdin);

  const timer = setTimeout(() => {
    timedOut = true;
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  }, timeoutMs);
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject).on("close", resolve);
    });
    return { exitCode, stdout, stderr, timedOut };
  } finally {
    clearTimeout(timer);
  }
}
