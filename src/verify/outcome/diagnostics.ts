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

/** @param findCached gives the identity that the cache holds for these credentials */
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
      ...(isVerifiedIdentity(outcome) ? { outcome: "success", identity: outcome } : { outcome: "failure" }),
      ...(outcome instanceof Refusal && { code: outcome.code }),
      cached: outcome === cached,
      durationMs: monotonicNow() - startedAt,
    };
    verifyChannel.publish(event);
    return outcome;
  };
  return whenSettled(verify(), publish);
}

export function publishJwksFetch(event: () => JwksFetchEvent): void {
  if (fetchChannel.hasSubscribers) fetchChannel.publish(event());
}
