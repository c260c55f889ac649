/** The options that say where the signing keys are, and how they are fetched and kept. */

import { aBoolean, aFunction, anInteger, checkedByItsParser, type OptionChecks } from "../../protocol/options.js";
import type { Fetch } from "../../runtime/fetch.js";
import { aJwksStore, type JwksStore } from "./jwks-store.js";

/**
 * How the signing keys are fetched and kept. Durations are integers in ms. `createJwksResolver` takes these options, and
 * `jwksUrl` and `allowInsecureHttp`.
 */
export interface JwksOptions {
  /**
   * A request waits for a refresh if the key set is older than this. From half of this age on, a refresh runs in the
   * background, and no request waits for it. Default 600000 (10 minutes).
   */
  cacheMaxAge?: number | undefined;
  /**
   * Tokens with an unknown `kid` start at most one refresh in this time. The first token of a new key passes at once;
   * during a flood of junk `kid`s it may be refused for up to this long. 0 is no limit. Default 10000 (10 seconds).
   */
  cooldownDuration?: number | undefined;
  /** The longest that one fetch may take, with its body. Default 5000 (5 seconds). */
  timeoutDuration?: number | undefined;
  /**
   * How long the last good set still serves past `cacheMaxAge` while the endpoint fails; then the answer is 503. A key that
   * is revoked during an outage is trusted for that long. 0 serves no stale set. Default 3600000 (1 hour).
   */
  staleIfErrorDuration?: number | undefined;
  /** Takes the place of the global `fetch`, for proxies and private CAs. It must not follow redirects. Default: the global one. */
  fetch?: Fetch | undefined;
  /**
   * Shares one key set between the processes of a fleet, which can then start while the backend is down: a Keyv, or a store
   * of `agent-identity-auth/stores`. **A writer of this store can sign in as anyone.** Default: none.
   */
  store?: JwksStore | undefined;
  /**
   * A JWKS (RFC 7517 §5) in place of an endpoint, without any network. It excludes all other `jwks` options and `jwksUrl`.
   * Default: none.
   */
  keySet?:
    | {
        /** JWKs (RFC 7517 §4). Unusable ones are skipped. */
        readonly keys: readonly object[];
      }
    | undefined;
}

/** Where the JWKS is, where that does not follow from the base URL. */
export interface JwksLocationOptions {
  /** The URL of the JWKS. Default: the one that belongs to the base URL. */
  jwksUrl?: string | undefined;
  /**
   * `true` allows plain http to other hosts than loopback: anybody on the network path can then replace the keys. Default
   * `false`.
   */
  allowInsecureHttp?: boolean | undefined;
}

const atLeast = (minimum: number) => anInteger(minimum, Number.MAX_SAFE_INTEGER, "ms");

export const JWKS_OPTION_CHECKS: OptionChecks<JwksOptions> = {
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
