/** The agent record: the form without a signature in which newer Codex clients keep an agent in `auth.json`. */

import type { AgentIdentity } from "../protocol/agent-identity.js";
import { isAssertionId } from "../protocol/agent-assertion.js";
import { agentClaimsAreWellFormed, canonicalPlanType, type AgentClaims } from "../protocol/claims.js";
import type { JsonObject } from "../protocol/encoding.js";

/** Members as Codex writes them. */
export type AgentRecord = AgentClaims & { task_id?: string | null };

/** `undefined` unless each member of a record is there and of its type. */
export function parseAgentRecord(value: JsonObject): AgentRecord | undefined {
  const { task_id: taskId } = value;
  const hasGoodTask = taskId === undefined || taskId === null || (typeof taskId === "string" && isAssertionId(taskId));
  return hasGoodTask && agentClaimsAreWellFormed(value) ? (value as unknown as AgentRecord) : undefined;
}

export function identityFromRecord(record: AgentRecord): Omit<AgentIdentity, "issuedAt" | "expiresAt"> {
  return Object.freeze({
    agentRuntimeId: record.agent_runtime_id,
    accountId: record.account_id,
    chatgptUserId: record.chatgpt_user_id,
    email: record.email ?? null,
    planType: canonicalPlanType(record.plan_type),
    chatgptAccountIsFedramp: record.chatgpt_account_is_fedramp,
  });
}
