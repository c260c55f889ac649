/** Signing in as an agent: load, save, status, log out, and login restrictions at start-up. */

import type { AgentIdentity } from "../protocol/agent-identity.js";
import { findLoginViolation } from "../protocol/login-restrictions.js";
import { toVerifierError } from "../verify/outcome/errors.js";
import { identityOrThrow } from "../verify/outcome/verdict.js";
import { AgentSession } from "./agent-session.js";
import { resolveConfig, type AuthConfig, type ResolvedConfig } from "./auth-config.js";
import {
  readFromFile,
  readFromMemory,
  removeCredentials,
  saveCredentials,
  type StoredCredentials,
} from "./auth-store.js";
import { LoginError } from "./login-error.js";

/** Signed in with an API key. */
export interface ApiKeyAuth {
  /** As in `auth.json`. */
  readonly mode: "apikey";
  /** A secret. Not enumerable, so that no serialisation shows it. */
  readonly apiKey: string;
}

/**
 * How this process is signed in, verified: by `CODEX_API_KEY`, else the memory of this process, else
 * `CODEX_ACCESS_TOKEN` or `CODEX_AGENT_IDENTITY`, else `auth.json`.
 * @returns `undefined` when signed out
 * @throws {AgentIdentityError} for a token that is not valid, or with `keys_unavailable`; the file stays
 * @throws {LoginError} for a file or a kind of credentials that cannot be used
 */
export async function loadAuth(config: AuthConfig): Promise<AgentSession | ApiKeyAuth | undefined> {
  const resolved = resolveConfig("loadAuth", config);
  return load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: true }));
}

/**
 * Verifies an access token (the JWT) and saves it, in place of whatever one was signed in with.
 * @throws {AgentIdentityError} if it is not valid or its keys cannot be had; nothing is written then
 * @throws {LoginError} if login restrictions forbid it, or `auth.json` cannot be written, or is corrupt: it is left alone
 */
export async function loginWithAccessToken(config: AuthConfig, token: string): Promise<AgentIdentity> {
  const resolved = resolveConfig("loginWithAccessToken", config);
  const { loginMethod, workspaceIds } = resolved.restrictions;
  if (loginMethod === "api") {
    throw new LoginError("login_method_not_allowed", "Access token login is disabled. Use API key login instead.");
  }
  const credentials = { mode: "agentIdentity", token: nonEmpty("access token", token) } as const;
  const { identity } = await verifyToken(resolved, credentials.token);
  if (workspaceIds && !workspaceIds.includes(identity.accountId)) {
    throw new LoginError("workspace_not_allowed", `Login is restricted to workspace id(s) ${workspaceIds.join(", ")}.`);
  }
  await saveCredentials(resolved.codexHome, resolved.storeMode, credentials);
  return identity;
}

/** Saves an API key. It is not verified. @throws {LoginError} as `loginWithAccessToken` */
export async function loginWithApiKey(config: AuthConfig, apiKey: string): Promise<void> {
  const { codexHome, storeMode, restrictions } = resolveConfig("loginWithApiKey", config);
  if (restrictions.loginMethod === "chatgpt") {
    throw new LoginError("login_method_not_allowed", "API key login is disabled. Use ChatGPT login instead.");
  }
  await saveCredentials(codexHome, storeMode, { mode: "apikey", apiKey: nonEmpty("API key", apiKey) });
}

/** Removes credentials from memory and `auth.json`, a corrupt one too. @returns whether there were any */
export async function logout(config: AuthConfig): Promise<boolean> {
  return removeCredentials(resolveConfig("logout", config).codexHome);
}

/** How one is signed in. Holds no secret. */
export type LoginStatus = {
  /** What `codex login status` prints. */
  readonly message: string;
} & (
  | {
      /** As in `auth.json`; `undefined` when signed out. */
      readonly mode: "agentIdentity";
      /** Who one is, verified. */
      readonly identity: AgentIdentity;
    }
  | {
      /** As in `auth.json`; `undefined` when signed out. */
      readonly mode: "apikey" | undefined;
    }
);

/** How one is signed in, verified as by `loadAuth`; `CODEX_API_KEY` is not looked at. @throws as `loadAuth` */
export async function loginStatus(config: AuthConfig): Promise<LoginStatus> {
  const resolved = resolveConfig("loginStatus", config);
  const auth = await load(resolved, await findCredentials(resolved, { withApiKeyOfEnv: false }));
  switch (auth?.mode) {
    case undefined:
      return { mode: undefined, message: "Not logged in" };
    case "apikey":
      return { mode: auth.mode, message: "Logged in using an API key - ***" };
    case "agentIdentity":
      return { mode: auth.mode, message: "Logged in using access token", identity: auth.identity };
  }
}

/**
 * To be called at start-up: signs out and throws if one is signed in otherwise than `forcedLoginMethod` and
 * `forcedChatgptWorkspaceId` allow. Being signed out violates nothing.
 * @throws {LoginError} `login_method_not_allowed` or `workspace_not_allowed`, in Codex's words
 * @throws as `loadAuth`, without signing out
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
  const token = env("CODEX_ACCESS_TOKEN") ?? env("CODEX_AGENT_IDENTITY");
  if (token !== undefined) return { mode: "agentIdentity", token };
  return storeMode === "file" ? readFromFile(codexHome) : undefined;
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
    case "agentIdentity":
      return verifyToken(config, credentials.token);
  }
}

async function verifyToken(config: ResolvedConfig, token: string): Promise<AgentSession> {
  if (token.startsWith("at-")) {
    throw new LoginError(
      "credentials_unsupported",
      "this is a personal access token (at-…): an Agent Identity token, which is a JWT, is needed",
    );
  }
  const identity = identityOrThrow(await config.verifier.tokens.verify(token), toVerifierError);
  return new AgentSession(identity, token, config.normalizedBaseUrl, config.authApiBaseUrl);
}

function nonEmpty(what: string, secret: string): string {
  const trimmed = typeof (secret as unknown) === "string" ? secret.trim() : "";
  if (trimmed === "") throw new LoginError("credentials_empty", `no ${what} was given`);
  return trimmed;
}
