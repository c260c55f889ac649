/**
 * The contestants on Express that verify. Of fast-jwt the one without its cache, which is no cache of keys: both fetch
 * them in the same way.
 */

import type { ExpressVerifierName } from "../contestants.js";

export type PeerName = Exclude<ExpressVerifierName, "fast-jwt-cached">;

/** Each with what it calls the age, in ms, at which a key set is fetched anew; one has none. */
export const ageOptions: Readonly<Record<PeerName, string | undefined>> = {
  "agent-identity-auth": "cacheMaxAge",
  jose: "cacheMaxAge",
  "express-oauth2-jwt-bearer": "cacheMaxAge",
  "express-jwt": "cacheMaxAge",
  "aws-jwt-verify": undefined,
  "fast-jwt": "ttl",
};

export const peerNames = Object.keys(ageOptions) as PeerName[];
