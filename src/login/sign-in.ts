/** Signing in as an agent: load, save, status, log out, and login restrictions at start-up. */

import type { AgentIdentity } from "../protocol/agent-identity.js";
import type { AgentIdentityClaims } from "../protocol/claims.js";
import { findLoginViolation } from "../protocol/login-restrictions.js";
import { toVerifierError } from "../verify/outcome/errors.js";
import { identityOrThrow } from "../verify/outcome/verdict.js";
import { identityFromRecord, type AgentRecord } from "./agent-record.js";
import { AgentSession, type SessionIdentity } from "./agent-session.js";
import { resolveConfig, type AuthConfig, type ResolvedConfig } from "./auth-config.js";
import {
  readFromFile,
  readFromMemory,
  removeCredentials,
  saveCredentials,
  type StoredCredentials,
} from "./auth-store.js";
import { requireCodexHome } from "./codex-home.js";
import { LoginError } from "./login-error.js";

/** Codex's words, since release 0.169.0. */
const API_KEY_MESSAGE = "API key configured - ***\nAuthentication is checked when you send a request.";

/** Signed in with an API key. */
export interface ApiKeyAuth {
  /** As in `auth.json`. */
  readonly mode: "apikey";
  /** A secret. Not enumerable, so that no serialisation shows it. */
  readonly apiKey: string;
}

/**
 * Finds the credentials of this process, and verifies a token. It looks at `CODEX_API_KEY`, then at the memory of this
 * process, then at `CODEX_ACCESS_TOKEN`, then at `auth.json`, and only without that file at `CODEX_AGENT_IDENTITY`.
 * @returns `undefined` when signed out
 * @throws {AgentIdentityError} for a token that is not valid, or with `keys_unavailable`; the file stays
 * @throws {LoginError} for a file or a kind of credentials that cannot be used
 * @throws TypeError for a wrong configuration
 * @example
 * const auth = await loadAuth({ chatgptBaseUrl: "https://chatgpt.com/backend-api" });
 * if (auth?.mode === "agentIdentity") console.log(auth.identity.agentRuntimeId);
 */
export async function loadAuth(config: AuthConfig): Promise<AgentSession | ApiKeyAuth | undefined> {
  const resolved = resolveConfig("loadAuth", config);
  return load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: true }));
}

/**
 * Verifies an access token (the JWT) and saves it. It replaces the credentials that were there.
 * @throws {AgentIdentityError} if the token is not valid or the keys cannot be had; nothing is written then
 * @throws {LoginError} if login restrictions forbid it, if `auth.json` cannot be written, or if that file is corrupt: then it
 * stays as it is
 * @example
 * const { agentRuntimeId } = await loginWithAccessToken(config, await text(process.stdin));
 */
export async function loginWithAccessToken(config: AuthConfig, token: string): Promise<AgentIdentity> {
  const resolved = resolveConfig("loginWithAccessToken", config);
  const { loginMethod, workspaceIds } = resolved.restrictions;
  if (loginMethod === "api") {
    throw new LoginError("login_method_not_allowed", "Access token login is disabled. Use API key login instead.");
  }
  const credentials = { mode: "agentIdentity", token: nonEmpty("access token", token) } as const;
  const identity = await verifyToken(resolved, credentials.token);
  if (workspaceIds && !workspaceIds.includes(identity.accountId)) {
    throw new LoginError("workspace_not_allowed", `Login is restricted to workspace id(s) ${workspaceIds.join(", ")}.`);
  }
  await saveCredentials(resolved.codexHome, resolved.storeMode, credentials);
  return identity;
}

/**
 * Saves an API key, without verifying it.
 * @throws {LoginError} as `loginWithAccessToken`
 * @example
 * await loginWithApiKey(config, process.env["OPENAI_API_KEY"] ?? "");
 */
export async function loginWithApiKey(config: AuthConfig, apiKey: string): Promise<void> {
  const { codexHome, storeMode, restrictions } = resolveConfig("loginWithApiKey", config);
  if (restrictions.loginMethod === "chatgpt") {
    throw new LoginError("login_method_not_allowed", "API key login is disabled. Use ChatGPT login instead.");
  }
  await saveCredentials(codexHome, storeMode, { mode: "apikey", apiKey: nonEmpty("API key", apiKey) });
}

/**
 * Removes the credentials from memory, and `auth.json`, even if that file is corrupt. If it is a symbolic link, its target is
 * emptied. Environment variables stay.
 * @returns whether there were any
 * @throws {LoginError} `auth_file_unwritable`
 * @example
 * if (await logout(config)) console.log("signed out");
 */
export async function logout(config: AuthConfig): Promise<boolean> {
  return removeCredentials(resolveConfig("logout", config).codexHome);
}

/** How this process is signed in. Holds no secret. */
export type LoginStatus = {
  /** What `codex login status` prints. */
  readonly message: string;
} & (
  | {
      /** As in `auth.json`; `undefined` when signed out. */
      readonly mode: "agentIdentity";
      /** Who the agent is. */
      readonly identity: SessionIdentity;
    }
  | {
      /** As in `auth.json`; `undefined` when signed out. */
      readonly mode: "apikey" | undefined;
    }
);

/**
 * Says how this process is signed in. It finds and verifies credentials as `loadAuth` does, but ignores `CODEX_API_KEY`.
 * @throws as `loadAuth`
 * @example
 * const { message } = await loginStatus(config); // "Logged in using access token"
 */
export async function loginStatus(config: AuthConfig): Promise<LoginStatus> {
  const resolved = resolveConfig("loginStatus", config);
  const auth = await load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: false }));
  switch (auth?.mode) {
    case undefined:
      return { mode: undefined, message: "Not logged in" };
    case "apikey":
      return { mode: auth.mode, message: API_KEY_MESSAGE };
    case "agentIdentity":
      return { mode: auth.mode, message: "Logged in using access token", identity: auth.identity };
  }
}

/**
 * Checks `forcedLoginMethod` and `forcedChatgptWorkspaceId` at start-up. If the credentials violate them, it signs out and
 * throws. A process that is signed out violates nothing.
 * @throws {LoginError} `login_method_not_allowed` or `workspace_not_allowed`, in Codex's words
 * @throws as `loadAuth`, without signing out
 * @example
 * await enforceLoginRestrictions({ ...config, forcedChatgptWorkspaceId: "acct-1" });
 */
export async function enforceLoginRestrictions(config: AuthConfig): Promise<void> {
  const resolved = resolveConfig("enforceLoginRestrictions", config);
  const auth = await load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: true }));
  if (auth === undefined) return;
  const accountId = auth.mode === "agentIdentity" ? auth.identity.accountId : undefined;
  const violation = findLoginViolation(resolved.restrictions, { mode: auth.mode, accountId });
  if (violation === undefined) return;
  await removeCredentials(resolved.codexHome);
  throw new LoginError(violation.code, `${violation.message} Logging out.`);
}

async function findCredentials(
  { codexHome, storeMode, env }: ResolvedConfig,
  { withApiKeyOfEnv }: { withApiKeyOfEnv: boolean },
): Promise<StoredCredentials | undefined> {
  const apiKey = withApiKeyOfEnv ? env("CODEX_API_KEY") : undefined;
  if (apiKey !== undefined) return { mode: "apikey", apiKey };
  const inMemory = readFromMemory(codexHome);
  if (inMemory !== undefined) return inMemory;
  const token = env("CODEX_ACCESS_TOKEN");
  if (token !== undefined) return { mode: "agentIdentity", token };
  const oldToken = env("CODEX_AGENT_IDENTITY");
  const isFileNeeded = storeMode === "file" && (codexHome !== undefined || oldToken === undefined);
  const inFile = isFileNeeded ? await readFromFile(requireCodexHome(codexHome)) : undefined;
  // Newer clients ignore this variable: a file that they wrote goes before it.
  return inFile ?? (oldToken === undefined ? undefined : { mode: "agentIdentity", token: oldToken });
}

async function load(
  config: ResolvedConfig,
  credentials: StoredCredentials | undefined,
): Promise<AgentSession | ApiKeyAuth | undefined> {
  switch (credentials?.mode) {
    case undefined:
      return undefined;
    case "apikey":
      return Object.defineProperty({ mode: "apikey" } as ApiKeyAuth, "apiKey", { value: credentials.apiKey });
    case "agentIdentity": {
      const { token } = credentials;
      const identity = await verifyToken(config, token);
      return new AgentSession({ ...config, identity, credential: token, agentPrivateKey: privateKeyIn(token) });
    }
    case "agentRecord":
      return acceptRecord(config, credentials.record, credentials.path);
  }
}

async function verifyToken(config: ResolvedConfig, token: string): Promise<AgentIdentity> {
  if (token.startsWith("at-")) {
    throw new LoginError(
      "credentials_unsupported",
      "this is a personal access token (at-…): an Agent Identity token, which is a JWT, is needed",
    );
  }
  return identityOrThrow(await config.verifier.tokens.verify(token), toVerifierError);
}

/** Base64 of PKCS#8, if it is what it should be: the first call that signs with the key checks that. */
function privateKeyIn(verifiedToken: string): string {
  const payload = Buffer.from(verifiedToken.split(".")[1] ?? "", "base64url").toString();
  return (JSON.parse(payload) as AgentIdentityClaims).agent_private_key;
}

function acceptRecord(config: ResolvedConfig, record: AgentRecord, path: string): AgentSession {
  if (!config.acceptUnsignedRecord) {
    throw new LoginError(
      "agent_record_unsigned",
      `${path} holds an agent record, in which nothing is signed: sign in with an access token, or set acceptUnsignedRecord: true to trust everybody who can write the file`,
    );
  }
  const { agent_private_key: agentPrivateKey, task_id: taskId } = record;
  const identity = identityFromRecord(record);
  return new AgentSession({ ...config, identity, credential: agentPrivateKey, agentPrivateKey, taskId });
}

function nonEmpty(what: string, secret: string): string {
  const trimmed = typeof (secret as unknown) === "string" ? secret.trim() : "";
  if (trimmed === "") throw new LoginError("credentials_empty", `no ${what} was given`);
  return trimmed;
}
