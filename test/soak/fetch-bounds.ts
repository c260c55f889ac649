/** How often a key endpoint may be asked: left alone while it fails, not flooded through us, and not forgotten. */

import type { JwksFetchRecord } from "./backend.js";
import { earliestFailure, isInTime, surelyKnownAt, TOLERANCE } from "./key-oracle.js";
import { JWKS_OPTIONS, RETRY_AFTER } from "./settings.js";
import type { Span } from "./spans.js";

const { cacheMaxAge, cooldownDuration } = JWKS_OPTIONS;

/** ms that a failing endpoint is left alone, at least and at most. */
const SHORTEST_BACK_OFF = 1_000;
const LONGEST_BACK_OFF = 30_000;
/** ms after which a connection that is still open was forgotten, however slow the machine. */
const LONGEST_CONNECTION = 3_000;

/** In one cooldown: one that an unknown key id started, and one that the age of the set did. */
export const MOST_IN_COOLDOWN = 2;

export interface FetchCount {
  readonly total: number;
  readonly failed: number;
  /** Those that the server gave up before they arrived at the endpoint, or may have given up before it had the answer. */
  readonly unclear: number;
  /** In any stretch of `cooldownDuration`. */
  readonly mostInCooldown: number;
  /** What is against the contract. */
  readonly excesses: readonly string[];
}

/** What is known of one deployment. */
export interface FetchEvidence {
  /** In the order in which they were asked for. */
  readonly fetches: readonly JwksFetchRecord[];
  /** Of each fetch, whether an unknown key id may have started it. */
  readonly startedByUnknownKid: readonly boolean[];
  /** When requests whose key is known were under way. */
  readonly served: readonly Span[];
}

export function countFetches({ fetches, startedByUnknownKid, served }: FetchEvidence): FetchCount {
  const inCooldownOf = (i: number) => {
    const end = (fetches[i]?.askedAt ?? 0) + cooldownDuration - TOLERANCE;
    return fetches.slice(i).filter(({ askedAt }) => askedAt < end).length;
  };
  const excesses = fetches.flatMap((fetch, i) => {
    const inCooldown = inCooldownOf(i);
    const findings = [
      ...findOpenConnection(fetch),
      ...(inCooldown > MOST_IN_COOLDOWN ? [`the first of ${inCooldown} in one cooldown`] : []),
      ...findHaste(fetch, fetches[i - 1], startedByUnknownKid[i] === true),
      ...findNeglect(fetch, fetches[i + 1], served),
    ];
    return findings.map((finding) => `/d${fetch.deployment}, at ${(fetch.askedAt / 1000).toFixed(3)} s: ${finding}`);
  });
  return {
    total: fetches.length,
    failed: fetches.filter(({ fault }) => fault !== null).length,
    unclear: fetches.filter((fetch) => fetch.fault === null && surelyKnownAt(fetch) === Infinity).length,
    mostInCooldown: Math.max(0, ...fetches.map((_, i) => inCooldownOf(i))),
    excesses,
  };
}

function findOpenConnection({ arrivedAt, closedAt }: JwksFetchRecord): string[] {
  if (closedAt === null) return ["its connection was never closed"];
  const duration = closedAt - arrivedAt;
  return duration > LONGEST_CONNECTION ? [`its connection was open for ${duration.toFixed()} ms`] : [];
}

function findHaste(
  { askedAt }: JwksFetchRecord,
  previous: JwksFetchRecord | undefined,
  isForUnknownKid: boolean,
): string[] {
  if (!previous) return [];
  if (previous.fault !== null) {
    const wished = previous.fault === "status 429" && isInTime(previous) ? RETRY_AFTER * 1_000 : 0;
    const pause = askedAt - earliestFailure(previous);
    return pause < Math.max(SHORTEST_BACK_OFF, wished) ? [`${pause.toFixed()} ms after a failure`] : [];
  }
  if (surelyKnownAt(previous) === Infinity) return [];
  if (askedAt < (previous.answeredAt ?? Infinity)) return ["while another one was under way"];
  const age = askedAt - previous.askedAt;
  const isDue = isForUnknownKid || age >= cacheMaxAge / 2 - TOLERANCE;
  return isDue ? [] : [`for no reason, ${age.toFixed()} ms after a good one`];
}

/** Every request is to start a refresh, once the set is half its age or the back-off is over. */
function findNeglect(fetch: JwksFetchRecord, next: JwksFetchRecord | undefined, served: readonly Span[]): string[] {
  const isGood = surelyKnownAt(fetch) !== Infinity;
  const dueAt = isGood
    ? Math.max(fetch.askedAt + cacheMaxAge / 2, surelyKnownAt(fetch))
    : (fetch.closedAt ?? Infinity) + LONGEST_BACK_OFF;
  const nextAt = (next?.askedAt ?? Infinity) - TOLERANCE;
  const neglected = served.find(([from, to]) => from > dueAt && to < nextAt);
  return neglected ? [`${(neglected[0] - fetch.askedAt).toFixed()} ms later a request started no other`] : [];
}
