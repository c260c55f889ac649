import { spawn } from "node:child_process";
import { once } from "node:events";

export interface BackgroundProcess {
  /** All of standard output so far. */
  readonly stdout: string;
  /** Waits until standard output has it, at most 20 s. @throws Error with what there is */
  waitForOutput(pattern: RegExp): Promise<RegExpExecArray>;
  /** Presses Ctrl-C and waits for the end, at most 10 s: then it is killed. */
  interrupt(): Promise<{ exitCode: number | null; stderr: string }>;
}

/** For servers: a command that runs until it is interrupted. */
export function startProcess(
  [command, ...args]: readonly [command: string, ...args: string[]],
  options: { cwd: string; env: Readonly<Record<string, string>> },
): BackgroundProcess {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close") as Promise<[number | null]>;
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return {
    get stdout() {
      return stdout;
    },
    async waitForOutput(pattern) {
      for (const deadline = Date.now() + 20_000; Date.now() < deadline;) {
        const found = pattern.exec(stdout);
        if (found) return found;
        if (child.exitCode !== null) break;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error(`no ${String(pattern)} in ${JSON.stringify({ stdout, stderr, exitCode: child.exitCode })}`);
    },
    async interrupt() {
      child.kill("SIGINT");
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      const [exitCode] = await closed;
      clearTimeout(timer);
      return { exitCode, stderr };
    },
  };
}
