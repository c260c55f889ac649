/** What the processes of a run have to agree on. */

/** As the server under test is configured. So short that minutes hold many lives of a key set, which ends at 5 s of age. */
export const JWKS_OPTIONS = {
  cacheMaxAge: 2_400,
  staleIfErrorDuration: 2_600,
  cooldownDuration: 1_000,
  timeoutDuration: 400,
} as const;

/** Seconds for which the key endpoint asks to be left alone when it answers 429. */
export const RETRY_AFTER = 2;

/** The one account that the restricted mounts let in. */
export const ALLOWED_ACCOUNT = "acct-1";
export const OTHER_ACCOUNT = "acct-2";

/** Agents with AgentAssertions that are never revoked. */
export const LASTING_AGENTS = 12;

/** In which the server says when it asked for keys, in ms since the start of the run. */
export const ASKED_AT_HEADER = "x-asked-at";
