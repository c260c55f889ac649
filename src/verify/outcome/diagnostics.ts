/** `agent-identity-auth:verify` on `node:diagnostics_channel`; costs one check while nobody listens. */

import { channel } from "node:diagnostics_channel";
import type { AgentIdentity } from "../../protocol/agent-identity.js";
import { monotonicNow } from "../../runtime/captured-globals.js";
import { whenSettled } from "../../runtime/thenable.js";
import { Refusal, type AgentIdentityErrorCode } from "./errors.js";
import type { Outcome } from "./verdict.js";
import { isVerifiedIdentity } from "./verified-identity.js";

const verifyChannel = channel("agent-identity-auth:verify");

/** What `agent-identity-auth:verify` publishes when a verification has ended. No token and no claim is in it. */
export interface VerifyEvent {
  /** Of the `Authorization` header. */
  readonly scheme: "Bearer" | "AgentAssertion";
  /** Whether it was verified. */
  readonly outcome: "success" | "failure";
  /** Only of a failure. */
  readonly code?: AgentIdentityErrorCode;
  /** Whether a remembered token was the answer. */
  readonly cached: boolean;
  /** ms, of the verification and of what it waited for. */
  readonly durationMs: number;
}

/** @param findCached the identity that a cache holds for these credentials */
export function publishVerification(
  scheme: VerifyEvent["scheme"],
  verify: () => Outcome | Promise<Outcome>,
  findCached: () => AgentIdentity | undefined,
): Outcome | Promise<Outcome> {
  if (!verifyChannel.hasSubscribers) return verify();
  const cached = findCached();
  const startedAt = monotonicNow();
  const publish = (outcome: Outcome): Outcome => {
    const event: VerifyEvent = {
      scheme,
      outcome: isVerifiedIdentity(outcome) ? "success" : "failure",
      ...(outcome instanceof Refusal && { code: outcome.code }),
      cached: outcome === cached,
      durationMs: monotonicNow() - startedAt,
    };
    verifyChannel.publish(event);
    return outcome;
  };
  return whenSettled(verify(), publish);
}
