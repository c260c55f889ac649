/** Which resolver a verifier gets: the shared one of its URL, one of its own, or one that it was handed. */

import { deriveJwksUrl, normalizeBaseUrl, parseServerUrl } from "../../protocol/base-url.js";
import {
  aBoolean,
  aFunction,
  anInteger,
  checkedByItsParser,
  checkOptions,
  ownProperties,
  type OptionChecks,
} from "../../protocol/options.js";
import type { JwksFetch } from "./jwks-fetch.js";
import { aJwksStore, type JwksStore } from "./jwks-store.js";
import type { JwksResolver, InternalJwksResolver } from "./jwks-resolver.js";
import { RemoteJwks } from "./remote-jwks.js";
import { StaticJwks } from "./static-jwks.js";

/** How the signing keys are fetched and kept. Durations are integers in ms. */
export interface JwksOptions {
  /**
   * Older than this, a request waits for a refresh; from half of it on, a refresh runs in the background and nobody
   * waits. Default 600000 (10 minutes).
   */
  cacheMaxAge?: number | undefined;
  /**
   * Tokens with an unknown `kid` start at most one refresh in this time. The first token of a new key passes at once;
   * during a flood of junk `kid`s it may be refused for up to this long. Default 10000 (10 seconds); 0 for no limit.
   */
  cooldownDuration?: number | undefined;
  /** For one whole fetch, body included. Default 5000 (5 seconds). */
  timeoutDuration?: number | undefined;
  /**
   * How long past `cacheMaxAge` the last good set serves while the endpoint fails; after that, 503. A key that is
   * revoked during an outage is trusted for as long. Default 3600000 (1 hour); 0 for not at all.
   */
  staleIfErrorDuration?: number | undefined;
  /** Instead of the global `fetch`: for proxies and private CAs. It must not follow redirects. */
  fetch?: JwksFetch | undefined;
  /**
   * Shares one key set among the processes of a fleet, which then start while the backend is down. Keyv-shaped.
   * Whoever can write this store can sign in as anyone.
   */
  store?: JwksStore | undefined;
  /** A JWKS (RFC 7517 §5) instead of an endpoint: no network at all. Not together with any other of these options. */
  keySet?:
    | {
        /** JWKs (RFC 7517 §4): the usable ones are used. */
        readonly keys: readonly object[];
      }
    | undefined;
}

/** Where the keys are, if it is not to be derived from the base URL alone. */
export interface JwksLocationOptions {
  /** Where the keys are, if not where the base URL says. */
  jwksUrl?: string | undefined;
  /** Allows plain http to hosts that are not loopback: whoever is on the way can then replace the keys. */
  allowInsecureHttp?: boolean | undefined;
}

const atLeast = (minimum: number) => anInteger(minimum, Number.MAX_SAFE_INTEGER, "ms");

const JWKS_OPTION_CHECKS: OptionChecks<JwksOptions> = {
  cacheMaxAge: atLeast(1),
  cooldownDuration: atLeast(0),
  timeoutDuration: anInteger(1, 2 ** 31 - 1, "ms"), // what a timer can hold
  staleIfErrorDuration: atLeast(0),
  fetch: aFunction,
  store: aJwksStore,
  keySet: checkedByItsParser,
};

export const JWKS_LOCATION_CHECKS: OptionChecks<JwksLocationOptions> = {
  jwksUrl: checkedByItsParser,
  allowInsecureHttp: aBoolean,
};

/** One per JWKS URL and process, however many mounts there are. */
const sharedResolvers = new Map<string, InternalJwksResolver>();

/**
 * A resolver to share between verifiers, with options of its own.
 * @throws TypeError that names the fix
 */
export function createJwksResolver(baseUrl: string | URL, options?: JwksOptions & JwksLocationOptions): JwksResolver {
  const checked = checkOptions("createJwksResolver", options, { ...JWKS_OPTION_CHECKS, ...JWKS_LOCATION_CHECKS });
  return createResolver("createJwksResolver", locateJwks(baseUrl, checked), checked, checked);
}

/** @throws TypeError that names the fix */
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
