/** What an agent signs with its Ed25519 key, and the envelope that carries it in `Authorization: AgentAssertion …`. */

/** Members in the order in which Codex writes them. */
export interface AgentAssertion {
  agent_runtime_id: string;
  /** Standard base64 of the signature over `assertionMessage`. */
  signature: string;
  task_id: string;
  timestamp: string;
}

/** What is signed to register a task. */
export function registrationMessage(agentRuntimeId: string, timestamp: string): Buffer {
  return Buffer.from(`${agentRuntimeId}:${timestamp}`);
}

/** What is signed on each request after that. */
export function assertionMessage(agentRuntimeId: string, taskId: string, timestamp: string): Buffer {
  return Buffer.from(`${agentRuntimeId}:${taskId}:${timestamp}`);
}

export function encodeAssertion({ agent_runtime_id, signature, task_id, timestamp }: AgentAssertion): string {
  return Buffer.from(JSON.stringify({ agent_runtime_id, signature, task_id, timestamp })).toString("base64url");
}

/** RFC 3339 in UTC, whole seconds: `YYYY-MM-DDTHH:MM:SSZ`. */
export function assertionTimestamp(date = new Date()): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
