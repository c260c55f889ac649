/** The claims of an Agent Identity JWT: their names, their types and what counts as wrong. */

/** The backend signs this issuer whatever the deployment: it does not follow the base URL. */
export const CODEX_ISSUER = "https://chatgpt.com/codex-backend/agent-identity";
export const CODEX_AUDIENCE = "codex-app-server";

/** Claims that say who the agent is. `agent_private_key` is a secret: verification checks it here and reads it nowhere else. */
export interface AgentClaims {
  agent_runtime_id: string;
  agent_private_key: string;
  account_id: string;
  chatgpt_user_id: string;
  email?: string | null;
  plan_type: string;
  chatgpt_account_is_fedramp: boolean;
}

/** Claims as they stand in the JWT. */
export interface AgentIdentityClaims extends AgentClaims {
  iss: string;
  aud: string;
  iat: number;
  exp: number;
  nbf?: number;
  /** Not used; but what Codex refuses for it is refused here. */
  sub?: string | number | boolean | null;
}

export type ClaimFailure =
  "issuer_invalid" | "audience_invalid" | "claims_invalid" | "token_expired" | "token_not_yet_valid";

export interface ClaimExpectations {
  issuer: string;
  audience: string;
  /** Seconds. */
  clockTolerance: number;
  /** Seconds since `iat`; `undefined` for no bound but `exp`. */
  maxTokenAge: number | undefined;
}

const isString = (value: unknown): boolean => typeof value === "string";
const isId = (value: unknown): boolean => typeof value === "string" && value !== "";
const isTimestamp = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

type Checks<Name extends string> = Record<Name, (value: unknown) => boolean>;

const AGENT_CLAIM_CHECKS: Checks<keyof AgentClaims> = {
  agent_runtime_id: isId,
  agent_private_key: isString,
  account_id: isId,
  chatgpt_user_id: isId,
  email: (value) => value === undefined || value === null || isString(value),
  plan_type: isString,
  chatgpt_account_is_fedramp: (value) => typeof value === "boolean",
};

const CLAIM_CHECKS: Checks<Exclude<keyof AgentIdentityClaims, "iss" | "aud">> = {
  iat: isTimestamp,
  exp: isTimestamp,
  nbf: (value) => value === undefined || isTimestamp(value),
  sub: (value) => typeof value !== "object" || value === null,
  ...AGENT_CLAIM_CHECKS,
};

const AGENT_CLAIM_CHECK_LIST = Object.entries(AGENT_CLAIM_CHECKS);
const CLAIM_CHECK_LIST = Object.entries(CLAIM_CHECKS);

/** Whether every claim that says who the agent is is there and of its type. */
export function agentClaimsAreWellFormed(claims: Record<string, unknown>): boolean {
  return AGENT_CLAIM_CHECK_LIST.every(([name, isValid]) => isValid(claims[name]));
}

/** The names of the claims, but `iss` and `aud`, that are missing or of a wrong type. */
export function malformedClaims(payload: Record<string, unknown>): string[] {
  return CLAIM_CHECK_LIST.filter(([name, isValid]) => !isValid(payload[name])).map(([name]) => name);
}

/** Whether every claim but `iss` and `aud` is there and of its type. */
export function claimsAreWellFormed(payload: Record<string, unknown>): boolean {
  return CLAIM_CHECK_LIST.every(([name, isValid]) => isValid(payload[name]));
}

/** The first thing wrong with a payload, or `undefined`. `now` is in whole seconds since the epoch. */
export function findClaimFailure(
  payload: Record<string, unknown>,
  expected: ClaimExpectations,
  now: number,
): ClaimFailure | undefined {
  if (payload["iss"] !== expected.issuer) return "issuer_invalid";
  if (payload["aud"] !== expected.audience) return "audience_invalid";
  if (!claimsAreWellFormed(payload)) return "claims_invalid";
  const { iat, exp, nbf = 0 } = payload as unknown as AgentIdentityClaims;
  if (hasExpired(exp, expected.clockTolerance, now)) return "token_expired";
  if (isInFuture(nbf, expected.clockTolerance, now)) return "token_not_yet_valid";
  if (expected.maxTokenAge !== undefined) {
    if (isInFuture(iat, expected.clockTolerance, now)) return "token_not_yet_valid";
    if (isTooOld(iat, expected, now)) return "token_expired";
  }
  return undefined;
}

/** Of a token issued at `iat`: whether `maxTokenAge` has gone by since, with the tolerance added. All in seconds. */
export function isTooOld(
  iat: number,
  { maxTokenAge = Infinity, clockTolerance }: ClaimExpectations,
  now: number,
): boolean {
  return now - iat > maxTokenAge + clockTolerance;
}

/** RFC 7519 §4.1.4: not accepted "on or after" `exp`, here with the tolerance added. All in seconds. */
export function hasExpired(exp: number, clockTolerance: number, now: number): boolean {
  return exp <= now - clockTolerance;
}

/** Whether a time lies in the future by more than the tolerance. All in seconds. */
export function isInFuture(time: number, clockTolerance: number, now: number): boolean {
  return time > now + clockTolerance;
}

const PLAN_TYPE_ALIASES = new Map([
  ["hc", "enterprise"],
  ["education", "edu"],
]);

/** Codex's alias for a plan mapped to its name; a plan not known here is kept as it is. */
export function canonicalPlanType(planType: string): string {
  return PLAN_TYPE_ALIASES.get(planType) ?? planType;
}
