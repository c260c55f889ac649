/** Your database of agents and tasks, as AgentAssertions need it. */

import type { JWK, KeyObject } from "jose"; // its `KeyObject` needs no types of Node
import { hasMethods, type OptionCheck } from "../../protocol/options.js";

/** An agent in the directory. Times are seconds since the epoch; a `Date` or milliseconds are refused. */
export interface DirectoryAgent {
  /** The agent. Where it is given and differs from the id that was asked for, the agent counts as unknown. */
  readonly agentRuntimeId?: string | undefined;
  /** The agent's Ed25519 public key. */
  readonly publicKey: JWK | KeyObject;
  /** The ChatGPT account (workspace) of the agent. */
  readonly accountId: string;
  /** The agent's user. */
  readonly chatgptUserId: string;
  /** The user's email. Default `null`. */
  readonly email?: string | null | undefined;
  /** As in the claim `plan_type`. */
  readonly planType: string;
  /** Whether the account is under FedRAMP. */
  readonly chatgptAccountIsFedramp: boolean;
  /** When the agent ends. Default, and for `null`: never. */
  readonly expiresAt?: number | null | undefined;
}

/** A registered task in the directory. */
export interface DirectoryTask {
  /** The agent that registered it. No other agent may use it. */
  readonly agentRuntimeId: string;
  /** When the task ends, in seconds since the epoch. */
  readonly expiresAt: number;
}

/**
 * Look-ups of agents and tasks. They run for every request, so that a revocation counts at once. Each may take 2 s; a failure,
 * a longer wait or an answer of a wrong type is a 503. Ids have 1–128 characters without `: / ? # %`, spaces or control
 * characters.
 */
export interface AgentDirectory {
  /** @returns `undefined` for an agent that is unknown or revoked */
  findAgent(agentRuntimeId: string): DirectoryAgent | undefined | Promise<DirectoryAgent | undefined>;
  /** @returns `undefined` for an unknown task */
  findTask(taskId: string): DirectoryTask | undefined | Promise<DirectoryTask | undefined>;
  /** Both in one round trip. Where it is there, assertions use it in place of the other two. */
  find?(agentRuntimeId: string, taskId: string): DirectoryEntry | Promise<DirectoryEntry>;
}

/** The answer of `find`. */
export interface DirectoryEntry {
  /** `undefined` for an agent that is unknown or revoked. */
  readonly agent?: DirectoryAgent | undefined;
  /** `undefined` for an unknown task. */
  readonly task?: DirectoryTask | undefined;
}

export const anAgentDirectory: OptionCheck = {
  expected: "a directory with findAgent() and findTask()",
  accepts: hasMethods("findAgent", "findTask"),
};
