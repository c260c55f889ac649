/** Where AgentAssertions are looked up: two questions that people answer from their own database. */

import type { KeyObject } from "node:crypto";
import type { JWK } from "jose";
import { hasMethods, type OptionCheck } from "../../protocol/options.js";

/** An agent as the directory knows it. */
export interface DirectoryAgent {
  /** The agent's Ed25519 public key. */
  readonly publicKey: JWK | KeyObject;
  /** The ChatGPT account (workspace) that it belongs to. */
  readonly accountId: string;
  /** Whose agent it is. */
  readonly chatgptUserId: string;
  /** Of that user. Default `null`. */
  readonly email?: string | null | undefined;
  /** As the claim `plan_type`. */
  readonly planType: string;
  /** Whether the account is under FedRAMP. */
  readonly chatgptAccountIsFedramp: boolean;
  /** Seconds since the epoch. Default: never. */
  readonly expiresAt?: number | undefined;
}

/** A registered task as the directory knows it. */
export interface DirectoryTask {
  /** The agent that registered it: no other may use it. */
  readonly agentRuntimeId: string;
  /** Seconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * Both are asked on every request, so that revocation is immediate. An answer is waited for 2 s; a failure is a 503.
 * Ids have 1–128 characters without `: / ? # %`, spaces or control characters.
 */
export interface AgentDirectory {
  /** `undefined` for an agent that is unknown or revoked. */
  findAgent(agentRuntimeId: string): DirectoryAgent | undefined | Promise<DirectoryAgent | undefined>;
  /** `undefined` for a task that is unknown. */
  findTask(taskId: string): DirectoryTask | undefined | Promise<DirectoryTask | undefined>;
}

export const anAgentDirectory: OptionCheck = {
  expected: "a directory with findAgent() and findTask()",
  accepts: hasMethods("findAgent", "findTask"),
};

/** An optional member, own or of the agent's class, but not of a polluted `Object.prototype`. */
export function memberOf<Name extends "email" | "expiresAt">(agent: DirectoryAgent, name: Name): DirectoryAgent[Name] {
  return name in Object.prototype && !Object.hasOwn(agent, name) ? undefined : agent[name];
}
