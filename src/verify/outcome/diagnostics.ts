/** The channels of `node:diagnostics_channel`. An event is built only where somebody subscribes. */

import { channel } from "node:diagnostics_channel";
import type { AgentIdentity } from "../../protocol/agent-identity.js";
import { monotonicNow } from "../../runtime/captured-globals.js";
import { whenSettled } from "../../runtime/thenable.js";
import { Refusal, type AgentIdentityErrorCode } from "./errors.js";
import type { Outcome } from "./verdict.js";
import { isVerifiedIdentity } from "./verified-identity.js";

const verifyChannel = channel("agent-identity-auth:verify");
const fetchChannel = channel("agent-identity-auth:jwks.fetch");

/** The message of the channel `agent-identity-auth:verify`: a verification has ended. It holds no token and no key. */
export interface VerifyEvent {
  /** The scheme of the `Authorization` header. */
  readonly scheme: "Bearer" | "AgentAssertion";
  /** Whether the caller was verified. */
  readonly outcome: "success" | "failure";
  /** Why not. Only with a failure. */
  readonly code?: AgentIdentityErrorCode;
  /** The caller. Only with a success. */
  readonly identity?: AgentIdentity;
  /** Whether the cache of verified tokens gave the answer. */
  readonly cached: boolean;
  /** ms, including the wait for keys and directory. */
  readonly durationMs: number;
}

/** The message of the channel `agent-identity-auth:jwks.fetch`: an attempt to fetch a key set has ended. */
export interface JwksFetchEvent {
  /** The JWKS URL. */
  readonly url: string;
  /** Whether the answer held a usable key set. */
  readonly outcome: "success" | "failure";
  /** The HTTP status, where there was an answer. */
  readonly status?: number;
  /** The ids of the usable keys; empty with a failure. */
  readonly kids: readonly string[];
  /** ms to the last byte. */
  readonly durationMs: number;
  /** What was wrong, in this package's words. Only with a failure. */
  readonly error?: string;
}

type Verify<Detail> = (credentials: string, detail: Detail) => Outcome | Promise<Outcome>;

/**
 * A verification that publishes its event.
 * @param findCached gives the identity that the cache holds for these credentials
 */
export function published<Detail>(
  scheme: VerifyEvent["scheme"],
  verify: Verify<Detail>,
  findCached: (credentials: string, detail: Detail) => AgentIdentity | undefined,
): Verify<Detail> {
  const verifyAndPublish: Verify<Detail> = (credentials, detail) => {
    const cached = findCached(credentials, detail);
    const startedAt = monotonicNow();
    return whenSettled(verify(credentials, detail), (outcome) => publish(scheme, outcome, cached, startedAt));
  };
  return (credentials, detail) =>
    verifyChannel.hasSubscribers ? verifyAndPublish(credentials, detail) : verify(credentials, detail);
}

function publish(
  scheme: VerifyEvent["scheme"],
  outcome: Outcome,
  cached: AgentIdentity | undefined,
  startedAt: number,
): Outcome {
  const event: VerifyEvent = {
    scheme,
    ...(isVerifiedIdentity(outcome) ? { outcome: "success", identity: outcome } : { outcome: "failure" }),
    ...(outcome instanceof Refusal && { code: outcome.code }),
    cached: outcome === cached,
    durationMs: monotonicNow() - startedAt,
  };
  verifyChannel.publish(event);
  return outcome;
}

export function publishJwksFetch(event: () => JwksFetchEvent): void {
  if (fetchChannel.hasSubscribers) fetchChannel.publish(event());
}
