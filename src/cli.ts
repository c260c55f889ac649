#!/usr/bin/env node
/** The command `agent-identity-auth`: for operators, and for agents that are shell scripts. */

import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { commandsToPaste, startBackend } from "./cli/serve.js";
import { LoginError, loginStatus, loginWithAccessToken, loginWithApiKey, type AuthConfig } from "./login.js";
import { resolveCodexHome } from "./login/auth-config.js";
import { removeCredentials } from "./login/auth-store.js";
import { deriveJwksUrl, normalizeBaseUrl } from "./protocol/base-url.js";
import type { AgentIdentityErrorCause } from "./verify/outcome/errors.js";
import { createVerifier } from "./verify/tokens/create-verifier.js";

const HELP = `Usage: agent-identity-auth <command> [options]

Commands
  login --with-access-token  reads an access token from standard input, verifies it, and writes auth.json
  login --with-api-key       reads an API key from standard input and writes auth.json
  status                     reads the credentials in use, verifies them, and says how one is signed in
  logout                     removes auth.json
  verify [-]                 reads an access token from standard input and prints whose it is, as JSON
  jwks-url <base>            prints where the keys of a base URL are; reads and writes nothing
  serve [--port <n>]         runs a backend of one's own on loopback, for trying things out: writes a token to a
                             temporary file, prints what to paste, and says who calls, until Ctrl-C

Options
  --base-url <url>      the configured base URL, such as https://chatgpt.com/backend-api: whose keys to trust
  --codex-home <dir>    where auth.json is; default: $CODEX_HOME, else ~/.codex
  --port <n>            for serve; default: 8080, and 0 for any that is free
  --json                prints JSON, errors too
  --help

status looks at $CODEX_ACCESS_TOKEN and $CODEX_AGENT_IDENTITY before auth.json. Secrets are read from standard input
only. Exit status: 0, 1 for a failure (one line on standard error), 2 for wrong usage.
`;

const OPTIONS = {
  "with-access-token": { type: "boolean" },
  "with-api-key": { type: "boolean" },
  "base-url": { type: "string" },
  "codex-home": { type: "string" },
  port: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean" },
} as const;

/** `message` holds nothing of the command line, where a token may have been put by mistake. */
class UsageError extends Error {}

interface Answer {
  /** For people. */
  line: string;
  /** For `--json`. */
  json: unknown;
  exitCode?: 1;
}

type Arguments = ReturnType<typeof parse>;

const COMMANDS: Readonly<Record<string, (args: Arguments) => Promise<Answer>>> = {
  async login({ values, positionals }) {
    none(positionals);
    if (values["with-access-token"] === values["with-api-key"]) {
      throw new UsageError("login takes either --with-access-token or --with-api-key");
    }
    const config = authConfig(values);
    const secret = await text(process.stdin);
    if (secret.trim() === "") {
      const what = values["with-api-key"] === true ? "API key" : "access token";
      throw new LoginError("credentials_empty", `No ${what} provided via stdin.`);
    }
    if (values["with-api-key"] === true) {
      await loginWithApiKey(config, secret);
      return { line: "Successfully logged in", json: { mode: "apikey" } };
    }
    const identity = await loginWithAccessToken(config, secret);
    return { line: "Successfully logged in", json: { mode: "agentIdentity", identity } };
  },

  async status({ values, positionals }) {
    none(positionals);
    const status = await loginStatus(authConfig(values));
    const json = { ...status, mode: status.mode ?? null };
    return { line: status.message, json, ...(status.mode === undefined && { exitCode: 1 }) };
  },

  async logout({ values, positionals }) {
    none(positionals);
    const wasLoggedIn = await removeCredentials(resolveCodexHome(values["codex-home"]));
    return { line: wasLoggedIn ? "Successfully logged out" : "Not logged in", json: { wasLoggedIn } };
  },

  async verify({ values, positionals }) {
    const [input = "-", ...rest] = positionals;
    if (input !== "-" || rest.length > 0) throw new UsageError("verify reads the token from standard input only");
    const verifier = createVerifier(baseUrl(values));
    const identity = await verifier.verify((await text(process.stdin)).trim());
    return { line: JSON.stringify(identity, null, 2), json: identity };
  },

  async "jwks-url"({ positionals }) {
    const [base, ...rest] = positionals;
    if (base === undefined || rest.length > 0) throw new UsageError("jwks-url takes one base URL");
    const jwksUrl = deriveJwksUrl(normalizeBaseUrl(base));
    return Promise.resolve({ line: jwksUrl, json: { jwksUrl } });
  },

  serve,
};

async function serve({ values, positionals }: Arguments): Promise<Answer> {
  none(positionals);
  const port = Number(values.port ?? 8080);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new UsageError("--port must be a port number");
  const backend = await startBackend({ port, log: console.log }).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    throw code === "EADDRINUSE" ? new UsageError("the port is taken: choose another with --port") : error;
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void backend.stop());
  const { baseUrl, tokenFile } = backend;
  return { line: commandsToPaste(backend), json: { baseUrl, tokenFile } };
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch {
    throw new UsageError("there is no such option, or its value is missing");
  }
}

function none(positionals: string[]): void {
  if (positionals.length > 0) throw new UsageError("there is an argument too many");
}

function baseUrl(values: Arguments["values"]): string {
  const base = values["base-url"];
  if (base === undefined)
    throw new UsageError("--base-url is missing: it says whose keys to trust, and has no default");
  return base;
}

function authConfig(values: Arguments["values"]): AuthConfig {
  return { chatgptBaseUrl: baseUrl(values), codexHome: values["codex-home"] };
}

/** In Codex's words, where it has any. */
function failureOf(args: string[]): string {
  if (args.includes("status")) return "Error checking login status";
  if (args.includes("--with-access-token")) return "Error logging in with access token";
  return args.includes("--with-api-key") ? "Error logging in with API key" : "agent-identity-auth";
}

async function run(args: string[]): Promise<number> {
  const json = args.includes("--json");
  try {
    const parsed = parse(args);
    if (parsed.values.help === true) {
      process.stdout.write(HELP);
      return 0;
    }
    const [name = "", ...positionals] = parsed.positionals;
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw new UsageError("there is no such command");
    const answer = await command({ ...parsed, positionals });
    console.log(json ? JSON.stringify(answer.json) : answer.line);
    return answer.exitCode ?? 0;
  } catch (error) {
    const usage = error instanceof UsageError || error instanceof TypeError;
    const { message, code, cause } = error as { message: string; code?: string; cause?: AgentIdentityErrorCause };
    const reason = cause?.reason;
    if (json) console.error(JSON.stringify({ error: { message, code: code ?? "usage", reason } }));
    else if (usage) console.error(`agent-identity-auth: ${message}; see agent-identity-auth --help`);
    else if (code === "credentials_empty") console.error(message);
    else {
      const details = reason === undefined ? "" : ` (${reason})`;
      console.error(`${failureOf(args)}: ${code === undefined ? "" : `${code}: `}${message}${details}`);
    }
    return usage ? 2 : 1;
  }
}

void run(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});
