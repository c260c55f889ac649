/**
 * What the server may have known of one deployment's keys at a time. It is told by the log of the key endpoint: which
 * answers were sent, and when the server had closed their connections, having read them or given up.
 *
 * All processes read one clock, and of two events one is known to cause the other: an answer is not known before it is
 * sent, a connection is closed by whoever has read what it brought. So there is next to no tolerance, and a machine that
 * is slow changes when things happen, but not what was right then.
 */

import type { JwksFetchRecord } from "./backend.js";
import { JWKS_OPTIONS } from "./settings.js";
import { gaps, intersect, overlap, type Span } from "./spans.js";

/** ms that may go by within the server between two things that it does in one go. */
export const TOLERANCE = 50;

const { cacheMaxAge, staleIfErrorDuration, cooldownDuration, timeoutDuration } = JWKS_OPTIONS;
const CEILING = cacheMaxAge + staleIfErrorDuration;

/** A key set that the server may have used. */
interface Life {
  readonly kids: ReadonlySet<string>;
  readonly askedAt: number;
  /** From when it was sent until a later one had surely arrived. */
  readonly inUse: Span;
  readonly fetchNumber: number;
}

export class KeyOracle {
  readonly #fetches: readonly JwksFetchRecord[];
  readonly #lives: readonly Life[];
  /** While the last attempt that is over may have failed. */
  readonly #failing: readonly Span[];
  /** While there may have been no set within its ceiling, the last attempt having failed. */
  readonly #withoutSet: readonly Span[];
  /** By fetch: whether it may have been an unknown key id that started it. */
  #startedByUnknownKid: readonly boolean[] = [];

  /** @param fetches of one deployment, in the order in which they were asked for */
  constructor(fetches: readonly JwksFetchRecord[]) {
    this.#fetches = fetches;
    const replacedAt = (fetchNumber: number) => Math.min(...fetches.slice(fetchNumber + 1).map(surelyKnownAt));
    this.#lives = fetches.flatMap(({ kids, askedAt, answeredAt, isComplete }, fetchNumber): Life[] =>
      kids && answeredAt !== null && isComplete
        ? [{ kids: new Set(kids), askedAt, inUse: [answeredAt, replacedAt(fetchNumber)], fetchNumber }]
        : [],
    );
    this.#failing = fetches.flatMap((fetch, fetchNumber): Span[] =>
      surelyKnownAt(fetch) === Infinity ? [[earliestFailure(fetch), replacedAt(fetchNumber)]] : [],
    );
    const surelyServed = fetches.map((fetch): Span => [surelyKnownAt(fetch), fetch.askedAt + CEILING - TOLERANCE]);
    this.#withoutSet = intersect(gaps(surelyServed), this.#failing);
  }

  /** Whether a set that has the key may have served at some time in the span, and how. */
  serves(kid: string, span: Span): "fresh" | "stale" | undefined {
    const lives = this.#lives.filter(({ kids, inUse }) => kids.has(kid) && overlap(inUse, span));
    const upToAge = (age: number) =>
      lives.map(({ askedAt, inUse: [from, to] }): Span => [from, Math.min(to, askedAt + age)]);
    if (intersect(upToAge(cacheMaxAge), [span]).length > 0) return "fresh";
    return intersect(intersect(upToAge(CEILING), this.#failing), [span]).length > 0 ? "stale" : undefined;
  }

  /** Whether a set that lacks the key may have been in use at some time in the span. */
  mayLack(kid: string, span: Span): boolean {
    return this.#lives.some(({ kids, inUse }) => !kids.has(kid) && overlap(inUse, span));
  }

  /**
   * Whether the key may be called untrusted: a set without it was asked for after the token came, or since an unknown
   * key id opened a window that may not be over.
   */
  mayDistrust(kid: string, span: Span): boolean {
    const [from] = span;
    const windows = this.#fetches.flatMap(({ askedAt }, fetchNumber) =>
      this.#startedByUnknownKid[fetchNumber] && askedAt + cooldownDuration > from ? [fetchNumber] : [],
    );
    return this.#lives.some(
      ({ kids, askedAt, inUse, fetchNumber }) =>
        !kids.has(kid) && overlap(inUse, span) && (askedAt >= from || windows.some((window) => window <= fetchNumber)),
    );
  }

  /** Whether there may have been no set to serve, because the endpoint failed. */
  mayBeWithoutSet(span: Span): boolean {
    return intersect(this.#withoutSet, [span]).length > 0;
  }

  /** Whether the key may have been unknown to the set in use while the last attempt had failed. */
  mayFailToFind(kid: string, span: Span): boolean {
    const lacking = this.#lives.filter(({ kids, inUse }) => !kids.has(kid) && overlap(inUse, span));
    return lacking.some(({ inUse }) => intersect(intersect([inUse], this.#failing), [span]).length > 0);
  }

  /**
   * To be told before `mayDistrust` is asked.
   * @param requests when requests whose key may have been unknown were under way: one of them may have started a fetch
   */
  noteUnknownKids(requests: readonly Span[]): void {
    this.#startedByUnknownKid = this.#fetches.map(({ askedAt }) =>
      requests.some((request) => overlap(request, [askedAt, askedAt])),
    );
  }

  get startedByUnknownKid(): readonly boolean[] {
    return this.#startedByUnknownKid;
  }
}

/** From when the server surely used a good answer; `Infinity` for one that was not, or came so late that it may not have. */
export function surelyKnownAt(fetch: JwksFetchRecord): number {
  const { kids, isComplete, closedAt } = fetch;
  return kids && isComplete && closedAt !== null && isInTime(fetch) ? closedAt + TOLERANCE : Infinity;
}

/** Before that, a fetch cannot have ended in failure: neither by what was answered, nor by its deadline. */
export function earliestFailure({ fault, askedAt, arrivedAt }: JwksFetchRecord): number {
  const isAnswered = fault !== null && fault !== "hanging" && fault !== "dripping";
  const deadline = askedAt + timeoutDuration - TOLERANCE;
  return isAnswered ? Math.min(arrivedAt, deadline) : deadline;
}

/** Whether the answer was surely read before the deadline. */
export function isInTime({ askedAt, closedAt }: JwksFetchRecord): boolean {
  return closedAt !== null && closedAt < askedAt + timeoutDuration - TOLERANCE;
}
