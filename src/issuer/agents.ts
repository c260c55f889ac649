/** The agents and tasks of an issuer, and the directory in which the middleware looks them up. */

import { hash } from "node:crypto";
import type { JWK } from "jose";
import { nowInSeconds } from "../runtime/clock.js";
import { whenSettled, type MaybePromise } from "../runtime/thenable.js";
import type {
  AgentDirectory,
  DirectoryAgent,
  DirectoryEntry,
  DirectoryTask,
} from "../verify/assertions/agent-directory.js";
import { publishIssuerEvent } from "./diagnostics.js";
import type { Documents } from "./documents.js";

/** What is known of an agent, apart from its keys. */
export type AgentProfile = Pick<
  DirectoryAgent,
  "accountId" | "chatgptUserId" | "planType" | "chatgptAccountIsFedramp"
> & { readonly email: string | null };

/** The public key of one token. */
export interface TokenKey {
  readonly publicKey: JWK;
  /** When the token ends, in seconds since the epoch. */
  readonly expiresAt: number;
}

interface AgentDocument extends AgentProfile {
  /** The newest first. A renewed token that never arrives must not lock out the agent, so older keys count as well. */
  readonly keys: readonly TokenKey[];
}

interface TaskDocument extends DirectoryTask {
  /** The key that registered the task: the member `x` of its JWK. */
  readonly x: string;
}

export type AgentWithKey = DirectoryAgent & { readonly publicKey: JWK; readonly expiresAt: number };

const MOST_KEYS = 8;

const agentDocument = (agentRuntimeId: string) => `agent:${agentRuntimeId}`;
const tombstone = (agentRuntimeId: string) => `revoked:${agentRuntimeId}`;
const taskDocument = (taskId: string) => `task:${taskId}`;

export class Agents implements AgentDirectory {
  readonly #documents: Documents;
  readonly #taskLifetime: number | undefined;

  /** @param taskLifetime seconds; `undefined`: as long as the agent's token */
  constructor(documents: Documents, taskLifetime: number | undefined) {
    this.#documents = documents;
    this.#taskLifetime = taskLifetime;
  }

  findAgent(agentRuntimeId: string): MaybePromise<DirectoryAgent | undefined> {
    return whenSettled(this.withKeys(agentRuntimeId), ([newest]) => newest);
  }

  findTask(taskId: string): MaybePromise<DirectoryTask | undefined> {
    return whenSettled(this.#documents.read<TaskDocument>([taskDocument(taskId)]), ([task]) => task);
  }

  /** The agent has the key to which the task belongs. */
  find(agentRuntimeId: string, taskId: string): MaybePromise<DirectoryEntry> {
    const names = [agentDocument(agentRuntimeId), tombstone(agentRuntimeId), taskDocument(taskId)];
    return whenSettled(this.#documents.read<object>(names), ([agent, revoked, found]) => {
      const task = found as TaskDocument | undefined;
      const agents = agentsOf(agentRuntimeId, agent, revoked);
      const owner = agents.find(({ publicKey }) => publicKey.x === task?.x);
      return owner === undefined ? { agent: agents[0] } : { agent: owner, task };
    });
  }

  /** The agent with each of its keys, the newest first; nothing for an agent that is unknown or revoked. */
  withKeys(agentRuntimeId: string): MaybePromise<AgentWithKey[]> {
    const names = [agentDocument(agentRuntimeId), tombstone(agentRuntimeId)];
    return whenSettled(this.#documents.read<object>(names), ([agent, revoked]) =>
      agentsOf(agentRuntimeId, agent, revoked),
    );
  }

  /**
   * Enters an agent, or another key of it.
   * @param isNew whether the id was made just now, so that no other process can know it
   * @param kid the signing key of its token, if it has one
   * @returns whether it was entered: not for a revoked agent
   */
  async enter(
    agentRuntimeId: string,
    profile: AgentProfile,
    key: TokenKey,
    isNew: boolean,
    kid?: string,
  ): Promise<boolean> {
    const name = agentDocument(agentRuntimeId);
    if (isNew) {
      await this.#documents.write(name, { ...profile, keys: [key] }, millisecondsUntil(key.expiresAt));
      publishMinted(agentRuntimeId, profile, key, kid);
      return true;
    }
    const isRevoked = async () => (await this.#documents.read([tombstone(agentRuntimeId)]))[0] !== undefined;
    if (await isRevoked()) return false;
    const decide = (known: AgentDocument | undefined): AgentDocument => {
      // A client that enrols again has the same key.
      const others = (known?.keys ?? []).filter(({ publicKey }) => publicKey.x !== key.publicKey.x);
      const keys = [key, ...others].filter(({ expiresAt }) => expiresAt > nowInSeconds());
      return { ...profile, keys: keys.slice(0, MOST_KEYS) };
    };
    const ttlOf = ({ keys }: AgentDocument) => millisecondsUntil(Math.max(...keys.map(({ expiresAt }) => expiresAt)));
    await this.#documents.change(name, decide, ttlOf);
    if (await isRevoked()) return false; // meanwhile: no token leaves once a revocation is stored
    publishMinted(agentRuntimeId, profile, key, kid);
    return true;
  }

  /** The tombstone is an entry of its own: an agent that is entered at the same time stays revoked. */
  async revoke(agentRuntimeId: string): Promise<void> {
    await this.#documents.write(tombstone(agentRuntimeId), { revokedAt: nowInSeconds() });
    publishIssuerEvent({ type: "agent.revoked", agentRuntimeId });
  }

  async reinstate(agentRuntimeId: string): Promise<void> {
    await this.#documents.remove(tombstone(agentRuntimeId));
    publishIssuerEvent({ type: "agent.reinstated", agentRuntimeId });
  }

  /** The task of a key: the same id whichever process is asked, and however often. */
  async registerTask(agentRuntimeId: string, { publicKey, expiresAt }: AgentWithKey): Promise<string> {
    const x = publicKey.x ?? "";
    const period = this.#taskLifetime && Math.floor(nowInSeconds() / this.#taskLifetime);
    const taskId = `task-${hash("sha256", `${agentRuntimeId}:${x}:${period ?? ""}`, "base64url")}`;
    const periodEnd = period === undefined ? Infinity : (period + 2) * (this.#taskLifetime ?? 0);
    const task: TaskDocument = { agentRuntimeId, x, expiresAt: Math.min(expiresAt, periodEnd) };
    await this.#documents.write(taskDocument(taskId), task, millisecondsUntil(task.expiresAt));
    publishIssuerEvent({ type: "task.registered", agentRuntimeId, taskId, expiresAt: task.expiresAt });
    return taskId;
  }
}

function publishMinted(agentRuntimeId: string, profile: AgentProfile, { expiresAt }: TokenKey, kid?: string): void {
  const { accountId, chatgptUserId } = profile;
  const signedBy = kid === undefined ? {} : { kid };
  publishIssuerEvent({ type: "agent.minted", agentRuntimeId, accountId, chatgptUserId, expiresAt, ...signedBy });
}

function agentsOf(agentRuntimeId: string, document: object | undefined, revoked: object | undefined): AgentWithKey[] {
  if (document === undefined || revoked !== undefined) return [];
  const { accountId, chatgptUserId, email, planType, chatgptAccountIsFedramp, keys } = document as AgentDocument;
  const profile = { agentRuntimeId, accountId, chatgptUserId, email, planType, chatgptAccountIsFedramp };
  return keys.filter(({ expiresAt }) => expiresAt > nowInSeconds()).map((key) => ({ ...profile, ...key }));
}

/** At least 1: a store may take 0 for no end. */
function millisecondsUntil(time: number): number {
  return Math.max(time - nowInSeconds(), 1) * 1000;
}
