/** The types of a JWKS resolver. */

import type { Fetch } from "../../runtime/fetch.js";
import type { Refusal } from "../outcome/errors.js";
import type { KeyAsker } from "./key-asker.js";
import type { TrustedKey } from "./key-set.js";

/** The state of a key set, for a health check or an operator. */
export interface JwksStatus {
  /** The JWKS URL. */
  readonly url: string;
  /** The ids of the usable keys. */
  readonly kids: readonly string[];
  /** When the current set was asked for, in ms since the epoch; `null` without a set, and for a static one. */
  readonly fetchedAt: number | null;
  /** Whether the set is older than `cacheMaxAge`. */
  readonly stale: boolean;
  /** Why the last fetch failed; `null` after a good one. */
  readonly lastError: string | null;
}

/** Made by `createJwksResolver`. */
export interface JwksResolver {
  /** The JWKS URL. */
  readonly url: string;
  /**
   * Resolves when there is a usable key set. Without one, it fetches at once, even if an attempt has just failed.
   * @throws {AgentIdentityError} `keys_unavailable`
   */
  ready(): Promise<void>;
  /** The current state. It fetches nothing. */
  status(): JwksStatus;
}

/** What a verifier needs of a resolver. */
export interface InternalJwksResolver extends JwksResolver {
  /** The key that a token names. A promise only where a fetch has to be waited for. */
  key(kid: string, asker: KeyAsker): TrustedKey | Refusal | Promise<TrustedKey | Refusal>;
  /** The option `fetch`: other requests to the backend go the same way. */
  customFetch?(): Fetch | undefined;
  /** Whether it would still give out this key. */
  trusts(key: TrustedKey): boolean;
}
