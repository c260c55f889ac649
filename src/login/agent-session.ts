/** Being signed in as an agent: who the agent is, and the headers that prove it to the backend. */

import { hash, type KeyObject } from "node:crypto";
import { createLRU } from "lru.min";
import { assertionMessage, assertionTimestamp, encodeAssertion } from "../protocol/agent-assertion.js";
import type { AgentIdentity } from "../protocol/agent-identity.js";
import { ownProperties } from "../protocol/options.js";
import type { Fetch } from "../runtime/fetch.js";
import { importAgentPrivateKey, signMessage } from "./agent-key.js";
import { LoginError } from "./login-error.js";
import { locateAuthApi, registerTask } from "./task-registration.js";

/** A task, or the request that registers one. All sessions of one token share it. */
interface SharedTask {
  taskId?: string | undefined;
  pending?: Promise<string> | undefined;
}

/**
 * By the place of registration and the SHA-256 of the credential. A session keeps its own, so a process that signs in as
 * more agents than this registers again only for new sessions.
 */
const sharedTasks = createLRU<string, SharedTask>(ownProperties({ max: 1_000 }));

/** Options of `registerTask`. */
export interface RegisterTaskOptions {
  /** Registers another task although there is one, for a backend that has lost it. Default `false`. */
  renew?: boolean | undefined;
}

/** What proves an agent to the backend; for `fetch` and `node:http` alike. */
export type AuthorizationHeaders = Record<"Authorization" | "ChatGPT-Account-ID", string> &
  Partial<Record<"X-OpenAI-Fedramp", string>>;

/** Who a session's agent is. `issuedAt` and `expiresAt` are absent for an agent record, which does not say them. */
export type SessionIdentity = Omit<AgentIdentity, "issuedAt" | "expiresAt" | "taskId"> &
  Partial<Pick<AgentIdentity, "issuedAt" | "expiresAt">>;

export interface SessionSettings {
  readonly identity: SessionIdentity;
  /** The token or the private key: what the session is shared by. */
  readonly credential: string;
  /** As in the token: base64 of PKCS#8. */
  readonly agentPrivateKey: string;
  /** A task that is registered already. */
  readonly taskId?: string | null | undefined;
  readonly normalizedBaseUrl: string;
  readonly authApiBaseUrl: string | undefined;
  readonly fetch: Fetch | undefined;
}

/**
 * Signed in as an agent; made by `loadAuth`. The token and the private key are in private fields: no inspection and no
 * serialisation shows them.
 * @example
 * const auth = await loadAuth(config);
 * if (auth?.mode !== "agentIdentity") throw new Error("sign in first");
 * await auth.registerTask();
 * await fetch(`${config.chatgptBaseUrl}/tasks`, { headers: auth.authorizationHeaders() });
 */
export class AgentSession {
  /** As in `auth.json`. */
  readonly mode = "agentIdentity";
  /** Who the agent is. Verified, unless `acceptUnsignedRecord` let an agent record in. */
  readonly identity: SessionIdentity;
  readonly #settings: SessionSettings;
  #importedKey: KeyObject | undefined;
  #sharedTask: SharedTask | undefined;

  constructor(settings: SessionSettings) {
    this.identity = settings.identity;
    this.#settings = settings;
  }

  /**
   * Registers this agent's task with the backend: once in a process, in one request for all callers. It tries up to 3 times
   * on 429, 5xx and network failures, and waits for as long as `Retry-After` says, up to 30 s. Each try has 30 s.
   * @throws {LoginError} `agent_key_invalid`, `auth_api_unknown`, `task_registration_failed`
   * @example
   * await auth.registerTask({ renew: true }); // after a 401 with the code invalid_task_id
   */
  async registerTask({ renew = false }: RegisterTaskOptions = {}): Promise<void> {
    const privateKey = this.#privateKey();
    const task = this.#task();
    if (task.taskId !== undefined && !renew) return;
    const { identity, fetch } = this.#settings;
    task.pending ??= registerTask(this.#authApi(), identity.agentRuntimeId, privateKey, fetch).finally(
      () => (task.pending = undefined),
    );
    task.taskId = await task.pending;
  }

  /**
   * For one request, or several within the same few minutes: the time is signed, method, URL and body are not.
   * @throws {LoginError} `task_not_registered`
   * @example
   * await fetch("https://api.example.com/tasks", { headers: auth.authorizationHeaders() });
   */
  authorizationHeaders(): AuthorizationHeaders {
    const { taskId } = this.#task();
    if (taskId === undefined) throw new LoginError("task_not_registered", "call registerTask() first");
    const { agentRuntimeId, accountId, chatgptAccountIsFedramp } = this.identity;
    const timestamp = assertionTimestamp();
    const signature = signMessage(assertionMessage(agentRuntimeId, taskId, timestamp), this.#privateKey());
    const assertion = encodeAssertion({ agent_runtime_id: agentRuntimeId, signature, task_id: taskId, timestamp });
    return {
      Authorization: `AgentAssertion ${assertion}`,
      "ChatGPT-Account-ID": accountId,
      ...(chatgptAccountIsFedramp && { "X-OpenAI-Fedramp": "true" }),
    };
  }

  #task(): SharedTask {
    if (this.#sharedTask !== undefined) return this.#sharedTask;
    const { credential, taskId } = this.#settings;
    // A task of the credentials needs no registration, so where that would be does not matter.
    const name = `${typeof taskId === "string" ? "" : this.#authApi()} ${hash("sha256", credential)}`;
    this.#sharedTask = sharedTasks.get(name) ?? { taskId: taskId ?? undefined };
    sharedTasks.set(name, this.#sharedTask);
    return this.#sharedTask;
  }

  #authApi(): string {
    return locateAuthApi(this.#settings.normalizedBaseUrl, this.#settings.authApiBaseUrl);
  }

  #privateKey(): KeyObject {
    this.#importedKey ??= importAgentPrivateKey(this.#settings.agentPrivateKey);
    return this.#importedKey;
  }
}
