/** Whether an answer was right, by what was sent and by the sets that the server may have had meanwhile. */

import type { Span } from "./schedule.js";

/** What is true of a request. The verdict that it has to get follows from it, and from what the endpoint and the store did. */
export type Truth =
  /** Refused at once with this code, whatever state keys and directory are in. */
  | { readonly kind: "condemned"; readonly code: string }
  | {
      readonly kind: "token";
      readonly deployment: number;
      readonly kid: string;
      /** Whether the deployment's key of that id signed it, as it is. */
      readonly isGenuine: boolean;
      readonly agent: string;
      /** The mount does not let its workspace in. */
      readonly isForbidden?: boolean;
      /** ms since the start: from then on it is refused, tolerance included. Left out, it outlives the run. */
      readonly goodUntil?: number;
    }
  | {
      readonly kind: "assertion" | "registration";
      readonly agent: string;
      /** What is wrong with it once it is looked up. */
      readonly flaw?: "assertion_invalid" | "task_invalid";
      /** The agent is one of those that are revoked in the course of the run. */
      readonly isRevocable?: boolean;
    };

export interface Judged {
  readonly what: string;
  readonly truth: Truth;
  readonly span: Span;
  /** `accepted`, the code of the error, or what else came of it. */
  readonly outcome: string;
  /** The agent that the server took it for. */
  readonly identity: string | undefined;
}

/** As the server is configured: so short that a minute holds many lives of a key set. */
export const JWKS_OPTIONS = {
  cacheMaxAge: 2_400,
  staleIfErrorDuration: 2_600,
  cooldownDuration: 1_000,
  timeoutDuration: 400,
};
const CEILING = JWKS_OPTIONS.cacheMaxAge + JWKS_OPTIONS.staleIfErrorDuration;
/** ms that may go by between two things that the server does in one go. */
const TOLERANCE = 60;

const overlap = ([aFrom, aTo]: Span, [bFrom, bTo]: Span): boolean => aFrom <= bTo && bFrom <= aTo;

/** One fetch of keys that is over; `kids` are those that the endpoint published, and nothing if it failed. */
export interface Fetched {
  readonly askedAt: number;
  readonly endedAt: number;
  readonly kids: readonly string[] | undefined;
}

/** The fetches of one deployment, in the order in which they ended. */
export class KeyLog {
  readonly fetches: Fetched[] = [];

  /** Sets that may have been in use at some time in the span, with the time for which each one served, at the most. */
  #inUse(span: Span): { kids: readonly string[]; askedAt: number; served: Span }[] {
    return this.fetches.flatMap(({ kids, askedAt, endedAt }) => {
      const replaced = this.fetches.find((later) => later.kids && later.askedAt > askedAt)?.endedAt ?? Infinity;
      const served: Span = [endedAt - TOLERANCE, Math.min(replaced, askedAt + CEILING) + TOLERANCE];
      return kids && overlap(served, span) ? [{ kids, askedAt, served }] : [];
    });
  }

  /** Whether the last attempt that is over may have failed at some time in the span. */
  #isFailing(span: Span): boolean {
    return this.fetches.some(({ kids, endedAt }, i) => {
      const end = this.fetches.slice(i).find((later) => later.kids)?.endedAt ?? Infinity;
      return !kids && overlap([endedAt - TOLERANCE, end + TOLERANCE], span);
    });
  }

  /** Whether a set with the key may have served: one that is stale does so only while the endpoint fails. */
  serves(kid: string, span: Span): boolean {
    return this.#inUse(span).some(({ kids, askedAt, served: [from] }) => {
      const fresh: Span = [from, askedAt + JWKS_OPTIONS.cacheMaxAge + TOLERANCE];
      return kids.includes(kid) && (overlap(fresh, span) || this.#isFailing(span));
    });
  }

  /** Whether a set without the key was asked for after the token came, or within the window of an unknown key id. */
  mayDistrust(kid: string, span: Span): boolean {
    const since = span[0] - JWKS_OPTIONS.cooldownDuration - TOLERANCE;
    return this.#inUse(span).some(({ kids, askedAt }) => !kids.includes(kid) && askedAt >= since);
  }

  /** Whether the endpoint failed while there was no set to serve, or none with the key. */
  mayBeUnavailable(kid: string, span: Span): boolean {
    if (!this.#isFailing(span)) return false;
    const surelyServed = this.#inUse(span).filter(({ kids }) => kids.includes(kid));
    return !surelyServed.some(({ askedAt, served: [from, to] }) => {
      return from + 2 * TOLERANCE <= span[0] && span[1] <= Math.min(to, askedAt + CEILING) - 2 * TOLERANCE;
    });
  }
}

export class Judge {
  readonly logs: readonly KeyLog[];
  readonly #storeFaults: readonly Span[];
  /** By agent, when it was revoked: somewhere in this span. */
  readonly revocations = new Map<string, Span>();

  constructor(deployments: number, storeFaults: readonly Span[]) {
    this.logs = Array.from({ length: deployments }, () => new KeyLog());
    this.#storeFaults = storeFaults;
  }

  isRight({ truth, outcome, identity, span }: Judged): boolean {
    if (truth.kind === "condemned") return outcome === truth.code;
    if (outcome === "accepted" && truth.kind !== "registration" && identity !== truth.agent) return false;
    if (truth.kind !== "token") return this.#isAssertionRight(truth, outcome, span);
    const { kid, isGenuine, isForbidden = false, goodUntil = Infinity, deployment } = truth;
    const log = this.logs[deployment];
    if (outcome === "token_expired") return span[1] > goodUntil - TOLERANCE;
    if (!log || span[0] > goodUntil + TOLERANCE) return false;
    if (outcome === "key_untrusted") return log.mayDistrust(kid, span);
    if (outcome === "keys_unavailable") return log.mayBeUnavailable(kid, span);
    const right = !isGenuine ? "signature_invalid" : isForbidden ? "workspace_not_allowed" : "accepted";
    return outcome === right && log.serves(kid, span);
  }

  #isAssertionRight(truth: Truth & { agent: string; flaw?: string }, outcome: string, span: Span): boolean {
    const faults = this.#storeFaults.filter((fault) => overlap(fault, span));
    if (outcome === "directory_unavailable") return faults.length > 0;
    // While the store is down nobody can have looked it up.
    if (faults.some(([from, to]) => from <= span[0] && span[1] <= to)) return false;
    const revoked = this.revocations.get(truth.agent) ?? [Infinity, Infinity];
    if (outcome === "accepted") return truth.flaw === undefined && span[0] <= revoked[1];
    return outcome === truth.flaw || (outcome === "assertion_invalid" && span[1] >= revoked[0]);
  }
}
