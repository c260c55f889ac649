/** Which resolver a verifier gets: the shared one of its JWKS URL, a private one, or the one that it was given. */

import { deriveJwksUrl, normalizeBaseUrl, parseServerUrl } from "../../protocol/base-url.js";
import { checkOptions, ownProperties } from "../../protocol/options.js";
import {
  JWKS_LOCATION_CHECKS,
  JWKS_OPTION_CHECKS,
  type JwksLocationOptions,
  type JwksOptions,
} from "./jwks-options.js";
import type { InternalJwksResolver, JwksResolver } from "./jwks-resolver.js";
import { RemoteJwks } from "./remote-jwks.js";
import { StaticJwks } from "./static-jwks.js";

/** By JWKS URL: one for each in this process, however many mounts there are. */
const sharedResolvers = new Map<string, InternalJwksResolver>();

/**
 * A JWKS resolver with options, for several verifiers to share. Verifiers without `jwks` options share one already.
 * @param baseUrl the base URL of the backend that issues the tokens, as for `agentIdentityAuth`
 * @throws TypeError that names the fix
 * @example
 * const jwks = createJwksResolver("https://chatgpt.com/backend-api", { cacheMaxAge: 300_000 });
 * const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks });
 */
export function createJwksResolver(baseUrl: string | URL, options?: JwksOptions & JwksLocationOptions): JwksResolver {
  const checked = checkOptions("createJwksResolver", options, { ...JWKS_OPTION_CHECKS, ...JWKS_LOCATION_CHECKS });
  return createResolver("createJwksResolver", locateJwks(baseUrl, checked), checked, checked);
}

/**
 * The resolver of a verifier: the one it was given, one with its `jwks` options, or the shared one of its URL.
 * @throws TypeError that names the fix
 */
export function selectResolver(
  where: string,
  baseUrl: string | URL,
  location: JwksLocationOptions,
  jwks: JwksOptions | JwksResolver | undefined,
): InternalJwksResolver {
  const url = locateJwks(baseUrl, location);
  if (jwks === undefined) {
    const shared = sharedResolvers.get(url) ?? createResolver(where, url, location, {});
    sharedResolvers.set(url, shared);
    return shared;
  }
  if (jwks instanceof RemoteJwks || jwks instanceof StaticJwks) {
    if (jwks.url !== url) {
      throw new TypeError(
        `${where}: the resolver in jwks is for another JWKS URL than this base URL has: make one with createJwksResolver(baseUrl)`,
      );
    }
    return jwks;
  }
  return createResolver(where, url, location, checkOptions(`${where}: jwks`, jwks as JwksOptions, JWKS_OPTION_CHECKS));
}

function locateJwks(baseUrl: string | URL, { jwksUrl, allowInsecureHttp = false }: JwksLocationOptions): string {
  const base = normalizeBaseUrl(baseUrl, allowInsecureHttp);
  return jwksUrl === undefined ? deriveJwksUrl(base) : parseServerUrl("jwksUrl", jwksUrl, allowInsecureHttp).href;
}

/** @param jwks already checked, each by itself */
function createResolver(
  where: string,
  url: string,
  { jwksUrl }: JwksLocationOptions,
  jwks: JwksOptions,
): InternalJwksResolver {
  const options = ownProperties(jwks);
  const { keySet } = options;
  if (keySet !== undefined) {
    if (jwksUrl !== undefined) {
      throw new TypeError(`${where}: keySet and jwksUrl exclude each other: leave one of them out`);
    }
    if (Object.keys(JWKS_OPTION_CHECKS).some((name) => name !== "keySet" && Object.hasOwn(options, name))) {
      throw new TypeError(`${where}: keySet is a key set without an endpoint: leave out the other jwks options`);
    }
    return new StaticJwks(url, keySet);
  }
  const { cacheMaxAge = 600_000, cooldownDuration = 10_000, timeoutDuration = 5_000 } = options;
  const { staleIfErrorDuration = 3_600_000, fetch, store } = options;
  return new RemoteJwks(url, { cacheMaxAge, cooldownDuration, timeoutDuration, staleIfErrorDuration, fetch, store });
}
