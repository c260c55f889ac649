/** The configuration of the login side, checked once a call. */

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { normalizeBaseUrl, parseServerUrl, withoutTrailingSlashes } from "../protocol/base-url.js";
import {
  LOGIN_RESTRICTION_CHECKS,
  parseLoginRestrictions,
  type LoginRestrictions,
  type ParsedRestrictions,
} from "../protocol/login-restrictions.js";
import { aNonBlankString, checkedByItsParser, checkOptions, type OptionCheck } from "../protocol/options.js";
import type { JwksOptions } from "../verify/keys/jwks-options.js";
import type { JwksResolver } from "../verify/keys/jwks-resolver.js";
import { sharedVerifier, type SharedVerifier } from "../verify/tokens/create-verifier.js";
import type { AuthCredentialsStoreMode } from "./auth-store.js";

/** Names are those of Codex's configuration. */
export interface AuthConfig extends LoginRestrictions {
  /** The configured base URL: tokens are verified against its keys. There is no default. */
  chatgptBaseUrl: string;
  /** Default: `CODEX_HOME`, else `~/.codex`. */
  codexHome?: string | undefined;
  /** `"file"` (default) is `auth.json` in `codexHome`; `"ephemeral"` is the memory of this process. */
  authCredentialsStoreMode?: AuthCredentialsStoreMode | undefined;
  /**
   * Where tasks are registered. Default: `CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL`, else by the base URL for the known
   * ChatGPT hosts and loopback. Any other base needs it.
   */
  authApiBaseUrl?: string | undefined;
  /** How the keys are fetched, or a resolver to share. Default: the one shared resolver of the JWKS URL. */
  jwks?: JwksOptions | JwksResolver | undefined;
  /** Default `process.env`. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
}

export interface ResolvedConfig {
  readonly normalizedBaseUrl: string;
  readonly codexHome: string;
  readonly storeMode: AuthCredentialsStoreMode;
  readonly restrictions: ParsedRestrictions;
  readonly authApiBaseUrl: string | undefined;
  readonly verifier: SharedVerifier;
  /** The value of an environment variable: trimmed, `undefined` if empty. */
  readonly env: (name: string) => string | undefined;
}

const aStoreMode: OptionCheck = {
  expected: '"file" or "ephemeral"',
  accepts: (value) => value === "file" || value === "ephemeral",
};

const anObject: OptionCheck = {
  expected: "an object",
  accepts: (value) => typeof value === "object" && value !== null,
};

/** @throws TypeError that names the fix */
export function resolveConfig(where: string, config: AuthConfig): ResolvedConfig {
  const checked = checkOptions<Partial<AuthConfig>>(where, config, {
    chatgptBaseUrl: checkedByItsParser,
    codexHome: aNonBlankString,
    authCredentialsStoreMode: aStoreMode,
    authApiBaseUrl: checkedByItsParser,
    jwks: checkedByItsParser,
    env: anObject,
    ...LOGIN_RESTRICTION_CHECKS,
  });
  const { chatgptBaseUrl, forcedLoginMethod, forcedChatgptWorkspaceId, jwks } = checked;
  if (chatgptBaseUrl === undefined) {
    throw new TypeError(`${where}: chatgptBaseUrl is missing: say which backend's keys to trust; there is no default`);
  }
  const env = readerOf(checked.env ?? process.env);
  const authApiBaseUrl = checked.authApiBaseUrl ?? env("CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL");
  return {
    normalizedBaseUrl: normalizeBaseUrl(chatgptBaseUrl),
    codexHome: resolveCodexHome(checked.codexHome, env),
    storeMode: checked.authCredentialsStoreMode ?? "file",
    restrictions: parseLoginRestrictions(where, { forcedLoginMethod, forcedChatgptWorkspaceId }),
    authApiBaseUrl:
      authApiBaseUrl && withoutTrailingSlashes(parseServerUrl("authApiBaseUrl", authApiBaseUrl, false).href),
    verifier: sharedVerifier(where, chatgptBaseUrl, { jwks }),
    env,
  };
}

export function resolveCodexHome(configured: string | undefined, env = readerOf(process.env)): string {
  return resolve(configured ?? env("CODEX_HOME") ?? join(homedir(), ".codex"));
}

function readerOf(environment: Readonly<Record<string, string | undefined>>): ResolvedConfig["env"] {
  return (name) => {
    const value = Object.hasOwn(environment, name) ? environment[name]?.trim() : undefined;
    return value === "" ? undefined : value;
  };
}
