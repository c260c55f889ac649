import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Installed side by side by this folder's package.json. */
export type CodexVersion = keyof typeof COMMANDS;

const COMMANDS = {
  // Of this release the registry still has the binary for one platform, which `npm ci` takes only by itself.
  "0.132.0": [installed("codex-0.132.0-linux-x64/vendor/x86_64-unknown-linux-musl/codex/codex")],
  "0.169.0": [process.execPath, installed("codex-0.169.0/bin/codex.js")],
} as const satisfies Record<string, readonly [command: string, ...args: string[]]>;

function installed(path: string): string {
  return fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));
}

export interface CodexRun {
  exitCode: number | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

export interface CodexRunOptions {
  version?: CodexVersion;
  /** Written to standard input, which is then closed. */
  stdin?: string;
  /** Beside PATH, HOME and CODEX_HOME: nothing else of our own environment reaches the client. */
  env?: Readonly<Record<string, string>>;
  /** For `-c key=value`; values are TOML. */
  config?: Readonly<Record<string, string>>;
  timeoutMs?: number;
}

/** A Codex installation with a home directory of its own. */
export interface Codex {
  readonly home: string;
  run(args: readonly string[], options?: CodexRunOptions): Promise<CodexRun>;
  /** What is in `auth.json`, or `undefined` when there is none. */
  readAuthFile(): Promise<string | undefined>;
  remove(): Promise<void>;
}

export async function createCodex(): Promise<Codex> {
  const home = await mkdtemp(join(tmpdir(), "codex-home-"));
  return {
    home,
    run: (args, options = {}) => runCodex(home, args, options),
    async readAuthFile() {
      try {
        return await readFile(join(home, "auth.json"), "utf8");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    remove: () => rm(home, { recursive: true, force: true }),
  };
}

/** The settings with which a client speaks to the backend at `baseUrl` (`…/backend-api`) and to no other. */
export function backendSettings(baseUrl: string): Required<Pick<CodexRunOptions, "config" | "env">> {
  return {
    config: { chatgpt_base_url: JSON.stringify(baseUrl) },
    env: {
      CODEX_AGENT_IDENTITY_JWKS_BASE_URL: baseUrl,
      CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL: new URL("/api/accounts", baseUrl).href,
    },
  };
}

/** The client's word on a token. `"keys"` is a refusal of the whole key set, whatever the token. */
export type SignInVerdict = { accepted: true } | { accepted: false; refused: "token" | "keys"; message: string };

const REFUSALS: [refused: "token" | "keys", message: RegExp][] = [
  ["keys", /^failed to decode agent identity JWKS/],
  ["token", /^failed to (decode|verify) agent identity JWT/],
  ["token", /^agent identity JWT kid [^]* is not trusted$/],
  ["token", /^agent identity JWT header does not include a kid/],
  ["token", /^failed to build JWT decoding key/],
];

/**
 * Signs in with `token` against the backend at `baseUrl`, in a home directory that is thrown away.
 * @throws Error for any outcome that is no verdict: time is up, no connection, a message not known here
 */
export async function signIn(token: string, baseUrl: string): Promise<SignInVerdict> {
  const codex = await createCodex();
  try {
    const run = await codex.run(["login", "--with-access-token"], { ...backendSettings(baseUrl), stdin: token });
    const authFile = await codex.readAuthFile();
    if (run.exitCode === 0 && run.stderr.includes("Successfully logged in") && authFile?.includes(token)) {
      return { accepted: true };
    }
    const message = run.stderr.split("Error logging in with access token: ")[1]?.trim() ?? "";
    const refusal = REFUSALS.find(([, pattern]) => pattern.test(message));
    if (run.exitCode === 1 && refusal !== undefined && authFile === undefined) {
      return { accepted: false, refused: refusal[0], message };
    }
    throw new Error(`no verdict from the client: ${JSON.stringify({ ...run, authFile })}`);
  } finally {
    await codex.remove();
  }
}

async function runCodex(home: string, args: readonly string[], options: CodexRunOptions): Promise<CodexRun> {
  const { version = "0.169.0", stdin = "", env = {}, config = {}, timeoutMs = 30_000 } = options;
  const [command, ...script]: readonly [string, ...string[]] = COMMANDS[version];
  const settings = Object.entries(config).flatMap(([key, value]) => ["-c", `${key}=${value}`]);

  // In a process group of its own: a script starts a native binary, and both must go when time is up.
  const child = spawn(command, [...script, ...args, ...settings], {
    cwd: home,
    env: { PATH: process.env["PATH"], HOME: home, CODEX_HOME: home, ...env },
    detached: true,
  });
  let stdout = "";
  let stderr = "";
  let timedOut = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  // A client that ends without reading all of its input is judged by its exit, not by the broken pipe.
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
