/** `agent-identity-auth:verify` on `node:diagnostics_channel`; costs one check while nobody listens. */

import { channel } from "node:diagnostics_channel";
import type { AgentIdentity } from "../protocol/agent-identity.js";
import { Refusal } from "./errors.js";
import type { Outcome } from "./outcome.js";

const verifyChannel = channel("agent-identity-auth:verify");

/** @param findCached the identity that a cache holds for these credentials */
export function traceVerification(
  scheme: "Bearer" | "AgentAssertion",
  verify: () => Outcome | Promise<Outcome>,
  findCached: () => AgentIdentity | undefined = () => undefined,
): Outcome | Promise<Outcome> {
  if (!verifyChannel.hasSubscribers) return verify();
  const cached = findCached();
  const startedAt = performance.now();
  const publish = (outcome: Outcome): Outcome => {
    const refused = outcome instanceof Refusal;
    verifyChannel.publish({
      scheme,
      outcome: refused ? "failure" : "success",
      ...(refused && { code: outcome.code }),
      cached: outcome === cached,
      durationMs: performance.now() - startedAt,
    });
    return outcome;
  };
  const outcome = verify();
  return outcome instanceof Promise ? outcome.then(publish) : publish(outcome);
}
