/** What a mount or a verifier wants of the resolver that it shares with others. */

import { aBoolean, aFunction, type OptionChecks } from "../../protocol/options.js";

/** The two options that do not change a verdict, so that verifiers with different ones still share their keys. */
export interface KeyAskerOptions {
  /**
   * `false` prints no warnings. Default `true`. With `true`, `process.emitWarning` warns once per outage (no keys,
   * old keys in use, keys back), and once per key set when a token names a key that it does not have.
   */
  warnings?: boolean | undefined;
  /**
   * Receives the promise of work that goes on after the answer, such as a refresh of the keys. On Cloudflare Workers, pass `waitUntil` of
   * `cloudflare:workers`: without it, no refresh runs in the background there, and the request that finds the set older than
   * `cacheMaxAge` waits. Other runtimes need it only where they stop between requests. Default: none.
   */
  waitUntil?: ((work: Promise<unknown>) => unknown) | undefined;
}

export interface KeyAsker {
  readonly warnings: boolean;
  readonly waitUntil: ((work: Promise<unknown>) => unknown) | undefined;
}

export const KEY_ASKER_CHECKS: OptionChecks<KeyAskerOptions> = { warnings: aBoolean, waitUntil: aFunction };

export const SILENT_ASKER: KeyAsker = { warnings: false, waitUntil: undefined };
