/** Judges every request of a run, from what was sent and from what the endpoint, the store and the schedule did meanwhile. */

import type { JwksFetchRecord } from "./backend.js";
import { KeyOracle, TOLERANCE } from "./key-oracle.js";
import type { RequestRecord } from "./load.js";
import type { Schedule } from "./schedule.js";
import { contains, overlap, type Span } from "./spans.js";
import type { AssertionTruth, TokenTruth } from "./traffic.js";

/** Why an answer was right. Every run has to have each of these, but for the last. */
export const REASONS = [
  "accepted: valid",
  "accepted: first second of a new key, no flood",
  "accepted: stale set, its endpoint failing",
  "accepted: key revoked, the set with it still serving",
  "accepted: about to expire",
  "refused at sight",
  "refused: signature",
  "refused: workspace",
  "refused: key revoked",
  "refused: key never trusted",
  "refused: expired meanwhile",
  "refused: assertion",
  "refused: task",
  "refused: agent revoked",
  "503: no key set within its ceiling",
  "503: unknown key id, its refresh failed",
  "503: directory hanging",
  "503: directory failing",
  "refused: new key in the window of another unknown one",
] as const;
export type Reason = (typeof REASONS)[number];

/** The exception that is named in SECURITY.md: it needs bad luck. */
export const NOT_SURE_TO_HAPPEN: readonly Reason[] = ["refused: new key in the window of another unknown one"];

export interface Evidence {
  readonly schedule: Schedule;
  /** ms since the epoch at the start of the run. */
  readonly startedAt: number;
  /** By deployment. */
  readonly fetches: readonly (readonly JwksFetchRecord[])[];
  /** When each revocable agent was revoked; nothing for those that were not. */
  readonly revocations: readonly (Span | null | undefined)[];
  readonly requests: readonly RequestRecord[];
}

const POSSIBLE_OUTCOMES = [
  "accepted",
  "keys_unavailable",
  "directory_unavailable",
  "key_untrusted",
  "signature_invalid",
  "workspace_not_allowed",
  "token_expired",
  "assertion_invalid",
  "task_invalid",
];

/** ms for which a key is new. */
const NEW_FOR = 1_000;

export class Oracle {
  readonly keys: readonly KeyOracle[];
  readonly #evidence: Evidence;

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
    const { schedule, fetches, requests } = evidence;
    this.keys = schedule.deployments.map((_, deployment) => {
      const keys = new KeyOracle(fetches[deployment] ?? []);
      const ofUnknownKids = requests.flatMap(({ truth, sentAt, answeredAt }): Span[] => {
        if (truth.kind !== "token" || truth.deployment !== deployment) return [];
        const span: Span = [sentAt, answeredAt];
        return keys.mayLack(truth.kid, span) ? [span] : [];
      });
      keys.noteUnknownKids(ofUnknownKids);
      return keys;
    });
  }

  /** Why the answer was right; `undefined` if it was wrong. */
  judge({ truth, outcome, identity, sentAt, answeredAt }: RequestRecord): Reason | undefined {
    const span: Span = [sentAt, answeredAt];
    if (truth.kind === "condemned") return outcome === truth.code ? "refused at sight" : undefined;
    if (outcome === "accepted" && truth.kind !== "registration" && identity !== truth.agent) return undefined;
    return truth.kind === "token" ? this.#judgeToken(truth, outcome, span) : this.#judgeAssertion(truth, outcome, span);
  }

  /** What would have been right. */
  possibleOutcomes({ truth, ...request }: RequestRecord): string[] {
    if (truth.kind === "condemned") return [truth.code];
    return POSSIBLE_OUTCOMES.filter(
      (outcome) => this.judge({ ...request, truth, outcome, identity: truth.agent }) !== undefined,
    );
  }

  #judgeToken(truth: TokenTruth, outcome: string, span: Span): Reason | undefined {
    const { kid, isGenuine, isForbidden = false, goodUntil } = truth;
    const keys = this.keys[truth.deployment];
    if (!keys) return undefined;
    const expiry = goodUntil === undefined ? Infinity : goodUntil - this.#evidence.startedAt;
    if (outcome === "token_expired") return span[1] > expiry - TOLERANCE ? "refused: expired meanwhile" : undefined;
    if (span[0] > expiry + TOLERANCE) return undefined;
    switch (outcome) {
      case "accepted":
        return isGenuine && !isForbidden ? this.#whyAccepted(truth, keys, span) : undefined;
      case "workspace_not_allowed":
        return isGenuine && isForbidden && keys.serves(kid, span) ? "refused: workspace" : undefined;
      case "signature_invalid":
        return !isGenuine && keys.serves(kid, span) ? "refused: signature" : undefined;
      case "key_untrusted":
        return keys.mayDistrust(kid, span) ? this.#whyUntrusted(truth, span) : undefined;
      case "keys_unavailable":
        if (keys.mayBeWithoutSet(span)) return "503: no key set within its ceiling";
        return keys.mayFailToFind(kid, span) ? "503: unknown key id, its refresh failed" : undefined;
      default:
        return undefined;
    }
  }

  #whyAccepted(truth: TokenTruth, keys: KeyOracle, span: Span): Reason | undefined {
    const freshness = keys.serves(truth.kid, span);
    if (freshness === undefined) return undefined;
    const [from, to] = this.#publication(truth) ?? [Infinity, Infinity];
    if (to < span[0]) return "accepted: key revoked, the set with it still serving";
    if (freshness === "stale") return "accepted: stale set, its endpoint failing";
    if (truth.goodUntil !== undefined) return "accepted: about to expire";
    const floods = this.#evidence.schedule.deployments[truth.deployment]?.floods ?? [];
    const isNew = span[0] < from + NEW_FOR && !floods.some((flood) => overlap(flood, span));
    return isNew ? "accepted: first second of a new key, no flood" : "accepted: valid";
  }

  #whyUntrusted(truth: TokenTruth, span: Span): Reason {
    const publication = this.#publication(truth);
    if (!publication) return "refused: key never trusted";
    return publication[1] < span[1] ? "refused: key revoked" : "refused: new key in the window of another unknown one";
  }

  #publication({ deployment, kid }: TokenTruth): Span | undefined {
    return this.#evidence.schedule.deployments[deployment]?.keys.find((key) => key.kid === kid)?.published;
  }

  /** Two look-ups, somewhere in the span. */
  #judgeAssertion({ flaw, revocation }: AssertionTruth, outcome: string, span: Span): Reason | undefined {
    const faults = this.#evidence.schedule.storeFaults.filter((fault) => overlap(fault.span, span));
    if (outcome === "directory_unavailable") return faults[0] && `503: directory ${faults[0].kind}`;
    if (faults.some((fault) => contains(fault.span, span))) return undefined; // nobody can have looked it up
    const revoked = revocation === undefined ? undefined : this.#evidence.revocations[revocation];
    switch (outcome) {
      case "accepted":
        return flaw === undefined && !(revoked && span[0] > revoked[1]) ? "accepted: valid" : undefined;
      case "assertion_invalid":
        if (flaw === outcome) return "refused: assertion";
        return revoked && span[1] >= revoked[0] ? "refused: agent revoked" : undefined;
      case "task_invalid":
        return flaw === outcome ? "refused: task" : undefined;
      default:
        return undefined;
    }
  }
}
