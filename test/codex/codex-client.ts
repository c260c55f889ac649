import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import packageJson from "./package.json" with { type: "json" };
import { runProcess, type ProcessRun } from "./run-process.js";

/** The releases under test are pinned in this folder's package.json, and nowhere else. */
function pinned(specifier: string): string {
  return /@(\d+\.\d+\.\d+)/.exec(specifier)?.[1] ?? specifier;
}

export type CodexVersion = string;

export const NEWEST: CodexVersion = pinned(packageJson.devDependencies["codex-newest"]);
const OLDEST: CodexVersion = pinned(packageJson.optionalDependencies["codex-oldest"]);

const COMMANDS: Readonly<Record<CodexVersion, readonly [command: string, ...args: string[]]>> = {
  // Of this release the registry still has the binary for one platform, which `npm ci` takes only by itself.
  [OLDEST]: [installed("codex-oldest/vendor/x86_64-unknown-linux-musl/codex/codex")],
  [NEWEST]: [process.execPath, installed("codex-newest/bin/codex.js")],
};

function installed(path: string): string {
  return fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));
}

/** What to run, before any arguments. */
export function codexCommand(version: CodexVersion): readonly [command: string, ...args: string[]] {
  const command = COMMANDS[version];
  if (command === undefined) throw new Error(`Codex ${version} is not installed here`);
  return command;
}

/** The releases that are installed on this platform. */
export const CODEX_VERSIONS: readonly CodexVersion[] =
  process.platform === "linux" && process.arch === "x64" ? [OLDEST, NEWEST] : [NEWEST];

export interface CodexRunOptions {
  version?: CodexVersion;
  /** Written to standard input, which is then closed. */
  stdin?: string;
  /** Beside PATH, HOME, CODEX_HOME and what keeps it on loopback: nothing else of our own reaches the client. */
  env?: Readonly<Record<string, string>>;
  /** For `-c key=value`; values are TOML. */
  config?: Readonly<Record<string, string>>;
  timeoutMs?: number;
}

/** A Codex installation with a home directory of its own. */
export interface Codex {
  readonly home: string;
  run(args: readonly string[], options?: CodexRunOptions): Promise<ProcessRun>;
  /** What to start for an app-server that has its turns at the backend. */
  appServer(
    version: CodexVersion,
    baseUrl: string,
    token: string,
  ): [command: readonly [string, ...string[]], options: { cwd: string; env: Record<string, string> }];
  /** What is in `auth.json`, or `undefined` when there is none. */
  readAuthFile(): Promise<string | undefined>;
  remove(): Promise<void>;
}

export async function createCodex(): Promise<Codex> {
  const home = await mkdtemp(join(tmpdir(), "codex-home-"));
  return {
    home,
    run: (args, options = {}) => runCodex(home, args, options),
    appServer(version, baseUrl, token) {
      const { config, env } = turnSettings(baseUrl);
      const command = [...codexCommand(version), "app-server", ...configArguments(config)] as const;
      return [command, { cwd: home, env: environment(home, { ...env, CODEX_ACCESS_TOKEN: token }) }];
    },
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

/** With them, `exec` has its turn with the model at the backend, and sends nothing again that fails. */
export function turnSettings(baseUrl: string): Required<Pick<CodexRunOptions, "config" | "env">> {
  const { config, env } = backendSettings(baseUrl);
  const provider = [
    'name="local"',
    `base_url="${baseUrl}/codex"`,
    "requires_openai_auth=true",
    'wire_api="responses"',
    "supports_websockets=false",
    "request_max_retries=0",
    "stream_max_retries=0",
  ];
  return {
    config: { ...config, model_provider: '"local"', "model_providers.local": `{${provider.join(",")}}` },
    env,
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

/** What the client has to say on standard error, beside its comments on the home directory and on standard input. */
export function messageOf(run: ProcessRun): string {
  return run.stderr
    .split("\n")
    .filter((line) => !/^(WARNING: proceeding|Reading \S.* from stdin\.\.\.$)/.test(line))
    .join("\n")
    .trim();
}

/** Nothing listens there: what is not plain http to loopback gets nowhere. */
const NOWHERE = "http://127.0.0.1:9";

async function runCodex(home: string, args: readonly string[], options: CodexRunOptions): Promise<ProcessRun> {
  const { version = NEWEST, env = {}, config = {}, ...rest } = options;
  const [command, ...script] = codexCommand(version);
  return runProcess([command, ...script, ...args, ...configArguments(config)], {
    ...rest,
    cwd: home,
    env: environment(home, env),
  });
}

function configArguments(config: Readonly<Record<string, string>>): string[] {
  return Object.entries(config).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
}

function environment(home: string, env: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    HOME: home,
    CODEX_HOME: home,
    HTTPS_PROXY: NOWHERE,
    CODEX_AUTHAPI_BASE_URL: NOWHERE,
    ...env,
  };
}
