import type { Refusal } from "../outcome/errors.js";
import type { TrustedKey } from "./key-set.js";

/** The state of a key set, for a health check or an operator. */
export interface JwksStatus {
  /** Where the keys are. */
  readonly url: string;
  /** The ids of the usable keys. */
  readonly kids: readonly string[];
  /** When the set in use was asked for, in ms since the epoch; `null` if there is none, or if it is static. */
  readonly fetchedAt: number | null;
  /** Whether the set is older than `cacheMaxAge`. */
  readonly stale: boolean;
  /** Why the last fetch failed; `null` if it did not. */
  readonly lastError: string | null;
}

/** Made by `createJwksResolver`. */
export interface JwksResolver {
  /** Where the keys are. */
  readonly url: string;
  /**
   * Resolves once there is a usable key set; fetches one if need be, whether or not an earlier attempt failed just now.
   * @throws {AgentIdentityError} `keys_unavailable`
   */
  ready(): Promise<void>;
  /** At once, and without a fetch. */
  status(): JwksStatus;
}

/** What a resolver is to the verifier. */
export interface InternalJwksResolver extends JwksResolver {
  /** The key that a token names: at once where possible, else a promise. */
  key(kid: string): TrustedKey | Refusal | Promise<TrustedKey | Refusal>;
  /** Whether a key that it gave out is one that it would still give out. */
  trusts(key: TrustedKey): boolean;
}
