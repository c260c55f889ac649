import type { AgentIdentity } from "../protocol/agent-identity.js";
import { Refusal, type ErrorFactory } from "./errors.js";

export type Outcome = AgentIdentity | Refusal;

/** @throws {AgentIdentityError} */
export function identityOrThrow(outcome: Outcome, toError: ErrorFactory): AgentIdentity {
  if (outcome instanceof Refusal) throw toError(outcome);
  return outcome;
}
