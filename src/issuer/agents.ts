/** The agents and tasks of a backend of one's own, and the directory that the middleware looks them up in. */

import { hash } from "node:crypto";
import type { JWK } from "jose";
import { nowInSeconds } from "../runtime/clock.js";
import type { AgentDirectory, DirectoryAgent, DirectoryTask } from "../verify/assertions/agent-directory.js";
import type { IssuerStore } from "./issuer-store.js";

/** As it is stored: the public half of the agent's key only. */
export type AgentRecord = DirectoryAgent & { readonly publicKey: JWK; readonly expiresAt: number };

/** Seconds. */
const TASK_LIFETIME = 24 * 3600;

const agentEntry = (agentRuntimeId: string) => `agent-identity-auth:issuer:agent:${agentRuntimeId}`;
const taskEntry = (taskId: string) => `agent-identity-auth:issuer:task:${taskId}`;

export class Agents implements AgentDirectory {
  readonly #store: IssuerStore;

  constructor(store: IssuerStore) {
    this.#store = store;
  }

  async findAgent(agentRuntimeId: string): Promise<AgentRecord | undefined> {
    return (await this.#store.get(agentEntry(agentRuntimeId))) as AgentRecord | undefined;
  }

  async findTask(taskId: string): Promise<DirectoryTask | undefined> {
    return (await this.#store.get(taskEntry(taskId))) as DirectoryTask | undefined;
  }

  async add(agentRuntimeId: string, agent: AgentRecord): Promise<void> {
    await this.#store.set(agentEntry(agentRuntimeId), agent, millisecondsUntil(agent.expiresAt));
  }

  async revoke(agentRuntimeId: string): Promise<void> {
    await this.#store.delete(agentEntry(agentRuntimeId));
  }

  /**
   * The task of a verified registration. The same registration has the same task, which ends at the same time, whoever
   * sends it again: nothing has to be remembered of it, and no two processes can disagree.
   * @param registeredAt the signed time, in seconds since the epoch
   */
  async registerTask(agentRuntimeId: string, registeredAt: number): Promise<string> {
    const taskId = `task-${hash("sha256", `${agentRuntimeId}:${registeredAt}`, "base64url")}`;
    const task: DirectoryTask = { agentRuntimeId, expiresAt: registeredAt + TASK_LIFETIME };
    await this.#store.set(taskEntry(taskId), task, millisecondsUntil(task.expiresAt));
    return taskId;
  }
}

/** At least a moment: a store may take 0 for "for ever". */
function millisecondsUntil(time: number): number {
  return Math.max(time - nowInSeconds(), 1) * 1000;
}
