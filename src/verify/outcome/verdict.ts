/** The outcome of a verification, and the only code that lets a request go on. Refusal is the default. */

import type { AgentIdentity } from "../../protocol/agent-identity.js";
import { isThenable } from "../../runtime/thenable.js";
import { Refusal, type AgentIdentityError, type ErrorFactory } from "./errors.js";
import { isVerifiedIdentity } from "./verified-identity.js";

export type Outcome = AgentIdentity | Refusal;

/** The request has no credentials, and none are required. */
export const ANONYMOUS = Symbol("anonymous");

export type Verdict = Outcome | typeof ANONYMOUS;

/** The request may go on. Only `admit` gives this value. Any other value in its place is an error. */
export const ADMITTED = Symbol("admitted");

export type Admission = typeof ADMITTED | Error;

/** The object that gets the identity: the request, or the state of the context in Koa. */
export interface IdentityCarrier {
  agentIdentity?: AgentIdentity | undefined;
}

/** Decides on a request and sets its identity. It returns errors, and never throws or rejects. */
export function admit<Request>(
  authenticate: (request: Request) => unknown,
  request: Request,
  carrier: IdentityCarrier,
  toError: ErrorFactory,
): Admission | Promise<Admission> {
  try {
    const verdict = authenticate(request);
    if (isSettled(verdict)) return setIdentity(verdict, carrier);
    if (verdict instanceof Refusal) return toError(verdict);
    return isThenable(verdict) ? admitLater(verdict, carrier, toError) : noVerdict();
  } catch (error) {
    return errorOf(error);
  }
}

async function admitLater(
  pending: PromiseLike<unknown>,
  carrier: IdentityCarrier,
  toError: ErrorFactory,
): Promise<Admission> {
  try {
    const verdict = await pending;
    if (isSettled(verdict)) return setIdentity(verdict, carrier);
    return verdict instanceof Refusal ? toError(verdict) : noVerdict();
  } catch (error) {
    return errorOf(error);
  }
}

/** @throws what a setter of the request throws */
function setIdentity(verdict: AgentIdentity | typeof ANONYMOUS, carrier: IdentityCarrier): Admission {
  const identity = verdict === ANONYMOUS ? undefined : verdict;
  carrier.agentIdentity = identity;
  if (carrier.agentIdentity !== identity) throw new Error("agentIdentity cannot be set: other code has defined it");
  return ADMITTED;
}

function isSettled(verdict: unknown): verdict is AgentIdentity | typeof ANONYMOUS {
  return isVerifiedIdentity(verdict) || verdict === ANONYMOUS;
}

/** @throws {AgentIdentityError} for a refusal */
export function identityOrThrow(outcome: unknown, toError: (refusal: Refusal) => AgentIdentityError): AgentIdentity {
  if (isVerifiedIdentity(outcome)) return outcome;
  throw outcome instanceof Refusal ? toError(outcome) : noVerdict();
}

function noVerdict(): Error {
  return new Error("the verification of a request gave no verdict: this is a fault of agent-identity-auth");
}

/**
 * An error for the framework. Other thrown values are wrapped: Express takes `undefined` for success and `"route"` for a
 * command, Koa ignores `null`, and a promise would be awaited.
 */
export function errorOf(thrown: unknown): Error {
  let isError = false;
  try {
    isError = typeof thrown === "object" && thrown !== null && !isThenable(thrown);
  } catch {
    // Reading the value throws.
  }
  return isError ? (thrown as Error) : new Error("something was thrown that is not an error", { cause: thrown });
}
