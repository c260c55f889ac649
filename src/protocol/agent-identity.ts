import { canonicalPlanType, type AgentIdentityClaims } from "./claims.js";

/** Who is calling. Frozen; it holds neither the token nor the agent's private key, which is in the token. */
export interface AgentIdentity {
  /** The agent. */
  readonly agentRuntimeId: string;
  /** The ChatGPT account (workspace) that the agent belongs to. */
  readonly accountId: string;
  /** Whose agent it is. */
  readonly chatgptUserId: string;
  /** Of that user; `null` if the backend does not say. */
  readonly email: string | null;
  /** `free`, `go`, `plus`, `pro`, `team`, `business`, `enterprise`, `edu`, …; plans not known here are kept as they are. */
  readonly planType: string;
  /** Whether the account is under FedRAMP. */
  readonly chatgptAccountIsFedramp: boolean;
  /** Seconds since the epoch: of the token, or of the assertion. */
  readonly issuedAt: number;
  /** Seconds since the epoch: of the token, or of the task. */
  readonly expiresAt: number;
  /** Only with an AgentAssertion: the task that it was made for. */
  readonly taskId?: string;
}

/** The members alone: see `verifiedIdentity` for what makes an identity of them. */
export function identityFromClaims(claims: AgentIdentityClaims): AgentIdentity {
  return {
    agentRuntimeId: claims.agent_runtime_id,
    accountId: claims.account_id,
    chatgptUserId: claims.chatgpt_user_id,
    email: claims.email ?? null,
    planType: canonicalPlanType(claims.plan_type),
    chatgptAccountIsFedramp: claims.chatgpt_account_is_fedramp,
    issuedAt: claims.iat,
    expiresAt: claims.exp,
  };
}
