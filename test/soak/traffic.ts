/** What is sent, and the truth about it, for the oracle to judge by. */

export const BEARER_CLASSES = [
  "hot token",
  "first-seen token",
  "token of a new key",
  "token of a revoked key",
  "token on the restricted mount",
  "token of another workspace",
  "token about to expire",
  "token of another deployment",
  "tampered token",
  "expired token",
  "token of another issuer",
  "token for another audience",
  "token with wrong claims",
  "token of another algorithm",
  "malformed header",
] as const;

export const FLOOD_CLASSES = ["junk key id", "key of a refused answer", "revoked key in a flood"] as const;

export const ASSERTION_CLASSES = [
  "assertion",
  "repeated assertion",
  "assertion of a revocable agent",
  "assertion with a bad signature",
  "assertion of an unknown agent",
  "assertion for another account",
  "assertion with an unknown task",
  "assertion with another agent's task",
  "stale assertion",
  "malformed assertion",
  "task registration",
  "forged task registration",
] as const;

export const TRAFFIC_CLASSES = [...BEARER_CLASSES, ...FLOOD_CLASSES, ...ASSERTION_CLASSES];
export type TrafficClass = (typeof TRAFFIC_CLASSES)[number];

export type Truth = CondemnedTruth | TokenTruth | AssertionTruth;

/** Refused at sight with this code, whatever state keys and directory are in. */
export interface CondemnedTruth {
  readonly kind: "condemned";
  readonly code: string;
}

export interface TokenTruth {
  readonly kind: "token";
  readonly deployment: number;
  readonly kid: string;
  /** Whether the deployment's key of that id signed it, as it is. */
  readonly isGenuine: boolean;
  readonly agent: string;
  /** The mount does not let its workspace in. */
  readonly isForbidden?: boolean;
  /** ms since the epoch: from then on it is refused, tolerance included. Left out, it outlives the run. */
  readonly goodUntil?: number;
}

/** An AgentAssertion, or the registration of a task. */
export interface AssertionTruth {
  readonly kind: "assertion" | "registration";
  readonly agent: string;
  /** What is wrong with it once it is looked up. */
  readonly flaw?: "assertion_invalid" | "task_invalid";
  /** Which of those that are revoked in the course of the run. */
  readonly revocation?: number;
}

export interface Shot {
  readonly what: TrafficClass;
  readonly truth: Truth;
  readonly path: string;
  readonly headers: Record<string, string | string[]>;
  /** Makes it a POST. */
  readonly body?: string;
}
