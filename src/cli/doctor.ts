/** `doctor`: tries what a server and a Codex client need, and says what to do about each trouble. No secret is in its lines. */

import { randomUUID } from "node:crypto";
import { lookup } from "node:dns/promises";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { authFilePath, readAuthFile } from "../login/auth-file.js";
import { readerOf } from "../login/auth-config.js";
import { readCredentials, type StoredCredentials } from "../login/auth-store.js";
import { findCodexHome } from "../login/codex-home.js";
import { LoginError } from "../login/login-error.js";
import { deriveJwksUrl, normalizeBaseUrl, withoutTrailingSlashes } from "../protocol/base-url.js";
import { parseUtf8Json } from "../protocol/encoding.js";
import type { IssuerStore } from "../protocol/issuer-store.js";
import { logText } from "../protocol/log-text.js";
import { withDeadline } from "../runtime/thenable.js";
import { parseJwks, requestJwks } from "../verify/keys/jwks-fetch.js";
import { explainKeys } from "../verify/keys/key-set.js";
import { UsageError } from "./arguments.js";
import { openStoreFile } from "./store-file.js";

export interface Finding {
  level: "ok" | "warning" | "FAIL";
  about: string;
  found: string;
  /** What to do. Empty for `ok`. */
  todo: string;
}

export interface DoctorOptions {
  baseUrl: string;
  codexHome?: string | undefined;
  /** A SQLite file. */
  storeFile?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  /** ms for the name and for the fetch. Default 5000, as for the middleware. */
  timeoutDuration?: number;
}

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

export async function diagnose(options: DoctorOptions): Promise<Finding[]> {
  const { baseUrl, codexHome, storeFile, env, timeoutDuration = 5_000 } = options;
  const read = readerOf(env);
  return [
    ok("versions", `agent-identity-auth ${version}, Node ${process.version}`),
    ...(await examineEndpoint(baseUrl, timeoutDuration)),
    examineProxies(read),
    ...(await examineAuthFile(findCodexHome(codexHome ?? read("CODEX_HOME")))),
    examineOverrides(baseUrl, read),
    ...(storeFile === undefined ? [] : [await examineStoreFile(storeFile)]),
  ];
}

const ok = (about: string, found: string): Finding => ({ level: "ok", about, found, todo: "" });
const warning = (about: string, found: string, todo: string): Finding => ({ level: "warning", about, found, todo });
const failure = (about: string, found: string, todo: string): Finding => ({ level: "FAIL", about, found, todo });

async function examineEndpoint(baseUrl: string, timeoutDuration: number): Promise<Finding[]> {
  let url: string;
  try {
    url = deriveJwksUrl(normalizeBaseUrl(baseUrl));
  } catch (error) {
    return [failure("base URL", (error as Error).message, "correct --base-url")];
  }
  const [name, keys] = await Promise.all([
    examineName(new URL(url).hostname, timeoutDuration),
    examineKeys(url, timeoutDuration),
  ]);
  return [ok("JWKS URL", url), name, ...keys];
}

async function examineName(hostname: string, timeoutDuration: number): Promise<Finding> {
  const host = hostname.replace(/^\[|\]$/g, "");
  const late = () => ({ code: `no answer within ${timeoutDuration} ms` });
  const answer = await withDeadline(lookup(host, { all: true }), timeoutDuration, late).catch((error: unknown) => ({
    code: (error as NodeJS.ErrnoException).code ?? "no answer",
  }));
  if (Array.isArray(answer)) return ok("name", `${host} is ${answer.map(({ address }) => address).join(", ")}`);
  return failure(
    "name",
    `${host} has no address (${answer.code})`,
    "correct the host in --base-url, or the DNS of this machine",
  );
}

async function examineKeys(url: string, timeoutDuration: number): Promise<Finding[]> {
  let headers: Headers | undefined;
  /** ms since the epoch, when the head of the answer was here. */
  let answeredAt = 0;
  const startedAt = performance.now();
  const answer = await requestJwks({
    url,
    timeoutDuration,
    async fetch(url, init) {
      const response = await fetch(url, { ...init, headers: { ...init.headers, connection: "close" } });
      headers = response.headers;
      answeredAt = Date.now();
      return response;
    },
  });
  const duration = `${Math.round(performance.now() - startedAt)} ms`;
  const clock = headers === undefined ? [] : [examineClock(headers, answeredAt)];
  const parsed = "body" in answer ? parseJwks(answer) : answer;
  const entries = "body" in answer ? explainKeys(documentOf(answer.body)) : [];
  const type = headers?.get("content-type");
  const location = headers?.get("location");
  const details = [
    ...("body" in answer ? [`status ${answer.status}`, `${answer.body.length} bytes`] : []),
    ...(headers === undefined ? [] : [`content type ${type == null ? "not given" : quote(type)}`]),
    ...(location == null ? [] : [`it redirects to ${quote(location)}`]),
    duration,
  ].join(", ");
  const fetched =
    "error" in parsed
      ? failure("keys", `${parsed.error} (${details})`, adviceFor(parsed.error))
      : ok("keys", `${parsed.keySet.kids.length} usable: ${parsed.keySet.kids.map(quote).join(", ")} (${details})`);
  const unusable = entries.flatMap(({ kid, problem }) =>
    problem === undefined
      ? []
      : [
          warning(
            "unusable key",
            `${kid === undefined ? "an entry without a kid" : quote(kid)}: ${problem}`,
            "tokens that name it are refused with key_untrusted: correct it at the backend",
          ),
        ],
  );
  return [fetched, ...unusable.slice(0, 20), ...clock];
}

function documentOf(body: Buffer): unknown {
  try {
    return parseUtf8Json(body);
  } catch {
    return undefined;
  }
}

const quote = (text: string): string => JSON.stringify(logText(text));

/** By the words in which this package tells of a failed fetch. */
const ADVICE = [
  [/^status 3/, "this package follows no redirect: use the base URL to which it redirects"],
  [/^status (401|403)/, "the endpoint must be public: check --base-url, and what stands in front of the backend"],
  [/^status 4/, "there are no keys at this URL: compare --base-url with the backend's own"],
  [/^status/, "the backend fails: see its log"],
  [/ENOTFOUND|EAI_AGAIN/, "correct the host in --base-url, or the DNS of this machine"],
  [/ECONNREFUSED/, "nothing listens at this host and port: start the backend, or correct --base-url"],
  [/ALTNAME/, "the certificate is for another host: correct the host in --base-url, or the certificate"],
  [/EXPIRED|NOT_YET_VALID/, "the certificate is out of date: renew it, or correct this machine's clock"],
  [/ERR_SSL|EPROTO/, "this port does not speak TLS: correct the scheme or the port in --base-url"],
  [/CERT|SIGNATURE|ISSUER/, "Node does not trust the certificate: set NODE_EXTRA_CA_CERTS to the file of your CA"],
  [/^no (complete )?answer/, "check the network, the firewall and the proxy between this machine and the backend"],
  [
    /^not (a )?JSON/,
    "the answer is no key set: a page for people, or another service; compare --base-url with the backend's own",
  ],
  [/^no usable key/, "the backend must publish an RSA key of 2048 bits or more, with a kid"],
] as const;

function adviceFor(error: string): string {
  return ADVICE.find(([words]) => words.test(error))?.[1] ?? "compare --base-url with the backend's own";
}

/** By the header `Date`, which has no fractions of a second. */
function examineClock(headers: Headers, answeredAt: number): Finding {
  const sent = Date.parse(headers.get("date") ?? "") + Number(headers.get("age") ?? 0) * 1000;
  if (Number.isNaN(sent)) {
    return warning("clock", "the endpoint sends no Date header", "compare this machine's clock with another one");
  }
  const seconds = Math.round((answeredAt - sent - 500) / 1000);
  const off = Math.abs(seconds);
  const found =
    off <= 1 ? "as that of the endpoint" : `${off} s ${seconds > 0 ? "ahead of" : "behind"} that of the endpoint`;
  const todo = "synchronise this machine's clock (NTP)";
  if (off > 60)
    return failure("clock", `${found}: more than the clock tolerance of 60 s, so good tokens are refused`, todo);
  return off > 5 ? warning("clock", found, todo) : ok("clock", found);
}

const PROXY_VARIABLES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/** Names the variables, and never their values, which may hold a password. */
function examineProxies(read: (name: string) => string | undefined): Finding {
  const set = PROXY_VARIABLES.filter((name) => read(name) !== undefined);
  if (set.length === 0) return ok("proxy", "no proxy variable is set");
  const names = set.join(", ");
  const canHeed = process.allowedNodeEnvironmentFlags.has("--use-env-proxy");
  const flags = [...process.execArgv, ...(read("NODE_OPTIONS") ?? "").split(/\s+/)];
  const isTold = read("NODE_USE_ENV_PROXY") === "1" || flags.includes("--use-env-proxy");
  if (canHeed && isTold) return ok("proxy", `${names}; Node heeds it`);
  const found = `${names} is set, but this Node (${process.version}) does not heed it: it connects directly`;
  const todo = canHeed
    ? "set NODE_USE_ENV_PROXY=1, or pass jwks.fetch"
    : "use Node 24 or later with NODE_USE_ENV_PROXY=1, or pass jwks.fetch (docs/proxies.md)";
  return warning("proxy", found, todo);
}

const KINDS: Record<StoredCredentials["mode"], string> = {
  agentIdentity: "an access token (JWT)",
  agentRecord: "an agent record, in which nothing is signed",
  apikey: "an API key",
};

async function examineAuthFile(codexHome: string | undefined): Promise<Finding[]> {
  if (codexHome === undefined) {
    return [warning("auth.json", "this user has no home directory", "set CODEX_HOME, or --codex-home")];
  }
  const path = authFilePath(codexHome);
  try {
    const file = await readAuthFile(path);
    if (file === undefined) return [ok("auth.json", `there is none at ${path}: signed out`)];
    const mode = (file.mode & 0o777).toString(8);
    const isLoose = (file.mode & 0o077) !== 0 && process.platform !== "win32";
    const loose = warning("auth.json", `${path} has mode ${mode}: other users can read it`, `run chmod 600 ${path}`);
    const kind = KINDS[readCredentials(path, file.content).mode];
    return [ok("auth.json", `${path} holds ${kind}, mode ${mode}`), ...(isLoose ? [loose] : [])];
  } catch (error) {
    if (!(error instanceof LoginError)) throw error;
    if (error.code === "credentials_unsupported") {
      return [
        warning("auth.json", `${path} holds another kind of sign-in`, "agents sign in with an access token: see login"),
      ];
    }
    return [failure("auth.json", error.message, "remove the file (logout), and sign in again")];
  }
}

const AUTH_API = "CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL";
const JWKS_BASE = "CODEX_AGENT_IDENTITY_JWKS_BASE_URL";
const CLIENT_ERROR = '"Agent Identity only supports production and staging ChatGPT environments"';

/** Codex's own rule for its two variables. */
function examineOverrides(baseUrl: string, read: (name: string) => string | undefined): Finding {
  const authApi = read(AUTH_API);
  const jwksBase = read(JWKS_BASE);
  const rule = `set both ${AUTH_API} and ${JWKS_BASE}, or neither`;
  if (authApi === undefined && jwksBase === undefined) {
    return ok(
      "overrides",
      `neither is set; for a backend that is not ChatGPT's, a Codex client needs both, or it says ${CLIENT_ERROR}`,
    );
  }
  if (authApi === undefined || jwksBase === undefined) {
    const missing = authApi === undefined ? AUTH_API : JWKS_BASE;
    return failure("overrides", `${missing} is not set, but the other one is: Codex clients say ${CLIENT_ERROR}`, rule);
  }
  if (withoutTrailingSlashes(jwksBase) !== withoutTrailingSlashes(baseUrl)) {
    return failure(
      "overrides",
      `${JWKS_BASE} is not --base-url: Codex clients say ${CLIENT_ERROR}`,
      `set ${JWKS_BASE} to the text of chatgpt_base_url; upper and lower case count`,
    );
  }
  return ok("overrides", `both are set, and ${JWKS_BASE} is --base-url`);
}

async function examineStoreFile(file: string): Promise<Finding> {
  if (!existsSync(file))
    return failure("store", `there is no file ${file}`, "correct --store; serve --store makes the file");
  try {
    return await examineStore(await openStoreFile(file));
  } catch (error) {
    if (error instanceof UsageError) return failure("store", "no driver for SQLite", error.message);
    return failure("store", `${file} cannot be opened`, "check that it is a SQLite file and who may read it");
  }
}

/** Works on an entry of its own, which it deletes. */
export async function examineStore(store: IssuerStore): Promise<Finding> {
  const name = `agent-identity-auth:doctor:${randomUUID()}`;
  let step = "read";
  try {
    await store.get(name);
    step = "write";
    await store.set(name, "1", 60_000);
    if ((await store.get(name)) !== "1") throw new Error("another text");
    step = "compare-and-set";
    const isSet = await store.compareAndSet(name, "1", "2");
    const isSetAgain = await store.compareAndSet(name, "1", "3");
    if (!isSet || isSetAgain || (await store.get(name)) !== "2") throw new Error("another text");
    step = "delete";
    await store.delete(name);
    return ok("store", "read, write and compare-and-set work");
  } catch {
    return failure("store", `${step} does not work`, "check the store, and the rights of this user on it");
  }
}

/** One line for each finding. */
export function renderFindings(findings: readonly Finding[], withColour: boolean): string {
  const colours = { ok: 32, warning: 33, FAIL: 31 };
  const width = Math.max(...findings.map(({ about }) => about.length));
  return findings
    .map(({ level, about, found, todo }) => {
      const label = level.padEnd("warning".length);
      const painted = withColour ? `\u001b[${colours[level]}m${label}\u001b[0m` : label;
      return `${painted}  ${about.padEnd(width)}  ${found}${todo === "" ? "" : ` → ${todo}`}`;
    })
    .join("\n");
}
