/** What each command does, and what it prints. */

import { text } from "node:stream/consumers";
import { LoginError, loginStatus, loginWithAccessToken, loginWithApiKey, type AuthConfig } from "../login.js";
import { readerOf } from "../login/auth-config.js";
import { removeCredentials } from "../login/auth-store.js";
import { findCodexHome, requireCodexHome } from "../login/codex-home.js";
import { deriveJwksUrl, normalizeBaseUrl } from "../protocol/base-url.js";
import { createVerifier } from "../verify/tokens/create-verifier.js";
import { refusePositionals, UsageError, type CommandLine, type CommandName } from "./arguments.js";
import { commandsToPaste, startBackend } from "./serve.js";
import { diagnose, renderFindings } from "./doctor.js";
import { explainAssertion, readPublicKey } from "./explain-assertion.js";
import { explain, renderExplanation, type Explanation } from "./explain.js";
import { openStoreFile } from "./store-file.js";

export interface CommandResult {
  /** For people. */
  text: string;
  /** For `--json`. */
  json: unknown;
  /** Default 0. */
  exitCode?: 1;
}

export const COMMANDS: Readonly<Record<CommandName, (line: CommandLine) => Promise<CommandResult>>> = {
  async login({ values, positionals }) {
    refusePositionals("login", positionals);
    const withApiKey = values["with-api-key"] === true;
    if (withApiKey === (values["with-access-token"] === true)) {
      throw new UsageError("login takes either --with-access-token or --with-api-key");
    }
    const config = authConfig(values);
    const secret = await readSecret(withApiKey ? "API key" : "access token");
    if (secret.trim() === "") {
      const kind = withApiKey ? "API key" : "access token";
      throw new LoginError("credentials_empty", `No ${kind} provided via stdin.`);
    }
    if (withApiKey) {
      await loginWithApiKey(config, secret);
      return { text: "API key saved. Authentication is checked when you send a request.", json: { mode: "apikey" } };
    }
    const identity = await loginWithAccessToken(config, secret);
    return { text: "Successfully logged in", json: { mode: "agentIdentity", identity } };
  },

  async status({ values, positionals }) {
    refusePositionals("status", positionals);
    const status = await loginStatus(authConfig(values));
    const json = { ...status, mode: status.mode ?? null };
    return { text: status.message, json, ...(status.mode === undefined && { exitCode: 1 }) };
  },

  async logout({ values, positionals }) {
    refusePositionals("logout", positionals);
    const codexHome = findCodexHome(values["codex-home"] ?? readerOf(process.env)("CODEX_HOME"));
    const wasLoggedIn = await removeCredentials(requireCodexHome(codexHome));
    return { text: wasLoggedIn ? "Successfully logged out" : "Not logged in", json: { wasLoggedIn } };
  },

  async verify({ values, positionals }) {
    const [input = "-", ...rest] = positionals;
    if (input !== "-" || rest.length > 0) throw new UsageError("verify reads the token from standard input only");
    if (values.assertion === true) {
      const { "public-key": publicKey, explain: isExplained } = values;
      if (isExplained !== true || publicKey === undefined) {
        throw new UsageError("--assertion needs --explain and --public-key");
      }
      const key = readPublicKey(publicKey);
      return explained(await explainAssertion((await readSecret("assertion")).trim(), key));
    }
    const url = baseUrl(values);
    const token = (await readSecret("token")).trim();
    if (values.explain === true || values.account !== undefined) {
      return explained(await explain(url, token, values.account));
    }
    const identity = await createVerifier(url, { warnings: false }).verify(token);
    return { text: JSON.stringify(identity, null, 2), json: identity };
  },

  async doctor({ values, positionals }) {
    refusePositionals("doctor", positionals);
    const findings = await diagnose({
      baseUrl: baseUrl(values),
      codexHome: values["codex-home"],
      storeFile: values.store,
      env: process.env,
    });
    const hasFailed = findings.some(({ level }) => level === "FAIL");
    return {
      text: renderFindings(findings, process.stdout.isTTY),
      json: { findings },
      ...(hasFailed && { exitCode: 1 }),
    };
  },

  "jwks-url"({ positionals }) {
    const [base, ...rest] = positionals;
    if (base === undefined || rest.length > 0) {
      throw new UsageError("jwks-url takes one base URL, such as https://chatgpt.com/backend-api");
    }
    const jwksUrl = deriveJwksUrl(normalizeBaseUrl(base));
    return Promise.resolve({ text: jwksUrl, json: { jwksUrl } });
  },

  async serve({ values, positionals }) {
    refusePositionals("serve", positionals);
    const port = Number(values.port ?? 8080);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      throw new UsageError("--port must be an integer of 0 to 65535; 0 takes a free port");
    }
    const store = values.store === undefined ? undefined : await openStoreFile(values.store);
    const accountId = values.account ?? "acct-demo";
    const backend = await startBackend({ port, accountId, store, log: console.log }).catch((error: unknown) => {
      const { code } = error as NodeJS.ErrnoException;
      throw code === "EADDRINUSE" ? new UsageError(`port ${port} is taken: choose another with --port`) : error;
    });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void backend.stop());
    const { baseUrl, tokenFile } = backend;
    return { text: commandsToPaste(backend), json: { baseUrl, tokenFile } };
  },
};

function explained(explanation: Explanation): CommandResult {
  return {
    text: renderExplanation(explanation, process.stdout.isTTY),
    json: explanation,
    ...(!explanation.verdict.accepted && { exitCode: 1 }),
  };
}

/** People at a terminal see no prompt, and would wait. */
async function readSecret(what: string): Promise<string> {
  if (process.stdin.isTTY) console.error(`reading the ${what} from standard input: paste it, then press Ctrl-D`);
  return text(process.stdin);
}

function baseUrl(values: CommandLine["values"]): string {
  const base = values["base-url"];
  if (base === undefined) {
    throw new UsageError("--base-url is missing: it says whose keys to trust, and has no default");
  }
  if (base.trim() === "") throw new UsageError("--base-url is empty: is the environment variable set?");
  return base;
}

function authConfig(values: CommandLine["values"]): AuthConfig {
  return { chatgptBaseUrl: baseUrl(values), codexHome: values["codex-home"] };
}
