/** The configuration of the login side, checked at each call. */

import { normalizeBaseUrl, parseServerUrl, withoutTrailingSlashes } from "../protocol/base-url.js";
import {
  LOGIN_RESTRICTION_CHECKS,
  parseLoginRestrictions,
  type LoginRestrictions,
  type ParsedRestrictions,
} from "../protocol/login-restrictions.js";
import {
  aBoolean,
  aFunction,
  aNonBlankString,
  checkedByItsParser,
  checkOptions,
  isOptionsObject,
  type OptionCheck,
} from "../protocol/options.js";
import type { Fetch } from "../runtime/fetch.js";
import type { JwksOptions } from "../verify/keys/jwks-options.js";
import type { JwksResolver } from "../verify/keys/jwks-resolver.js";
import { sharedVerifier, type SharedVerifier } from "../verify/tokens/create-verifier.js";
import type { AuthCredentialsStoreMode } from "./auth-store.js";
import { findCodexHome } from "./codex-home.js";

/** The first argument of all functions of `/login`. Names are those of Codex's configuration. */
export interface AuthConfig extends LoginRestrictions {
  /** The base URL of the backend whose keys verify tokens. There is no default. */
  chatgptBaseUrl: string;
  /** The directory of `auth.json`. Default: `CODEX_HOME`, else `~/.codex`. */
  codexHome?: string | undefined;
  /** `"file"` is `auth.json` in `codexHome`; `"ephemeral"` is the memory of this process. Default `"file"`. */
  authCredentialsStoreMode?: AuthCredentialsStoreMode | undefined;
  /**
   * Where tasks are registered. Default: `CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL`, else by the base URL. A base URL that is
   * neither a known ChatGPT host nor loopback needs this option or that variable.
   */
  authApiBaseUrl?: string | undefined;
  /** How the keys are fetched, or a resolver to share. Default: the one shared resolver of the JWKS URL. */
  jwks?: JwksOptions | JwksResolver | undefined;
  /**
   * Takes the place of the global `fetch`, for keys and for the registration of tasks: for proxies and private CAs. It must not
   * follow redirects. Default: that of `jwks`.
   */
  fetch?: Fetch | undefined;
  /**
   * `true` accepts an agent record in `auth.json`, in which nothing is signed: everybody who can write the file can say who the agent is.
   * Default `false`. With `false`, such a file is the error `agent_record_unsigned`.
   */
  acceptUnsignedRecord?: boolean | undefined;
  /** The environment variables. Default `process.env`. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
}

export interface ResolvedConfig {
  readonly normalizedBaseUrl: string;
  /** `undefined` where nothing says where it is. */
  readonly codexHome: string | undefined;
  readonly storeMode: AuthCredentialsStoreMode;
  readonly restrictions: ParsedRestrictions;
  readonly authApiBaseUrl: string | undefined;
  readonly verifier: SharedVerifier;
  readonly fetch: Fetch | undefined;
  readonly acceptUnsignedRecord: boolean;
  /** The value of an environment variable: trimmed, `undefined` if it is empty. */
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
    fetch: aFunction,
    acceptUnsignedRecord: aBoolean,
    env: anObject,
    ...LOGIN_RESTRICTION_CHECKS,
  });
  const { chatgptBaseUrl, forcedLoginMethod, forcedChatgptWorkspaceId, fetch } = checked;
  if (chatgptBaseUrl === undefined) {
    throw new TypeError(`${where}: chatgptBaseUrl is missing: say which backend's keys to trust; there is no default`);
  }
  const env = readerOf(checked.env ?? process.env);
  const verifier = sharedVerifier(where, chatgptBaseUrl, { jwks: jwksWithFetch(where, checked.jwks, fetch) });
  const authApiBaseUrl = checked.authApiBaseUrl ?? env("CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL");
  return {
    normalizedBaseUrl: normalizeBaseUrl(chatgptBaseUrl),
    codexHome: findCodexHome(checked.codexHome ?? env("CODEX_HOME")),
    storeMode: checked.authCredentialsStoreMode ?? "file",
    restrictions: parseLoginRestrictions(where, { forcedLoginMethod, forcedChatgptWorkspaceId }),
    authApiBaseUrl:
      authApiBaseUrl && withoutTrailingSlashes(parseServerUrl("authApiBaseUrl", authApiBaseUrl, false).href),
    verifier,
    fetch: fetch ?? verifier.keys.customFetch?.(),
    acceptUnsignedRecord: checked.acceptUnsignedRecord ?? false,
    env,
  };
}

/** Options get the `fetch`. A resolver has its own, and a static key set needs none. */
function jwksWithFetch(where: string, jwks: AuthConfig["jwks"], fetch: Fetch | undefined): AuthConfig["jwks"] {
  const isResolver = typeof (jwks as JwksResolver | undefined)?.ready === "function";
  if (fetch === undefined || isResolver || !isOptionsObject(jwks ?? {})) return jwks;
  const options = { ...jwks } as JwksOptions;
  if (options.fetch !== undefined) throw new TypeError(`${where}: fetch is given twice: leave out jwks.fetch`);
  return options.keySet === undefined ? { ...options, fetch } : options;
}

/** Reads a variable: trimmed, `undefined` if it is empty. */
export function readerOf(environment: Readonly<Record<string, string | undefined>>): ResolvedConfig["env"] {
  return (name) => {
    const value = Object.hasOwn(environment, name) ? environment[name]?.trim() : undefined;
    return value === "" ? undefined : value;
  };
}
