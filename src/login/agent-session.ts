/** Being signed in as an agent: who one is, and the headers that prove it to the backend. */

import { hash, sign, type KeyObject } from "node:crypto";
import { assertionMessage, assertionTimestamp, encodeAssertion } from "../protocol/agent-assertion.js";
import type { AgentIdentity } from "../protocol/agent-identity.js";
import { importAgentKey } from "./agent-key.js";
import { LoginError } from "./login-error.js";
import { locateAuthApi, registerTask } from "./task-registration.js";

interface Registration {
  taskId?: string;
  /** The request that is under way. */
  pending?: Promise<string> | undefined;
}

/** One per process for each token and place, by the place and the SHA-256 of the token. */
const registrations = new Map<string, Registration>();

/** Options of `registerTask`. */
export interface RegisterTaskOptions {
  /** Registers anew although there is a task: tasks live for a day. Default `false`. */
  renew?: boolean | undefined;
}

/** What proves an agent to the backend; for `fetch` and `node:http` alike. */
export type AuthorizationHeaders = Record<"Authorization" | "ChatGPT-Account-ID", string> &
  Partial<Record<"X-OpenAI-Fedramp", string>>;

/** Signed in as an agent. The token, and with it the private key, is in private fields: no inspection and no serialisation shows it. */
export class AgentSession {
  /** As in `auth.json`. */
  readonly mode = "agentIdentity";
  /** Who one is, verified. */
  readonly identity: AgentIdentity;
  readonly #token: string;
  readonly #locateAuthApi: () => string;
  #importedKey: KeyObject | undefined;

  /** @param token already verified */
  constructor(identity: AgentIdentity, token: string, normalizedBaseUrl: string, authApiBaseUrl: string | undefined) {
    this.identity = identity;
    this.#token = token;
    this.#locateAuthApi = () => locateAuthApi(normalizedBaseUrl, authApiBaseUrl);
  }

  /**
   * Registers this agent's task with the backend: once per process, in one request for all who call meanwhile.
   * Up to 3 tries on 429, 5xx and network failures, of 30 s each.
   * @throws {LoginError} `agent_key_invalid`, `auth_api_unknown`, `task_registration_failed`
   */
  async registerTask({ renew = false }: RegisterTaskOptions = {}): Promise<void> {
    const privateKey = this.#privateKey();
    const registration = this.#registration();
    if (registration.taskId !== undefined && !renew) return;
    registration.pending ??= registerTask(this.#locateAuthApi(), this.identity.agentRuntimeId, privateKey).finally(
      () => (registration.pending = undefined),
    );
    registration.taskId = await registration.pending;
  }

  /**
   * For one request, or several within the same few minutes: the time is signed, method, URL and body are not.
   * @throws {LoginError} `task_not_registered`
   */
  authorizationHeaders(): AuthorizationHeaders {
    const { taskId } = this.#registration();
    if (taskId === undefined) throw new LoginError("task_not_registered", "call registerTask() first");
    const { agentRuntimeId, accountId, chatgptAccountIsFedramp } = this.identity;
    const timestamp = assertionTimestamp();
    const signature = sign(null, assertionMessage(agentRuntimeId, taskId, timestamp), this.#privateKey());
    const assertion = encodeAssertion({
      agent_runtime_id: agentRuntimeId,
      signature: signature.toString("base64"),
      task_id: taskId,
      timestamp,
    });
    return {
      Authorization: `AgentAssertion ${assertion}`,
      "ChatGPT-Account-ID": accountId,
      ...(chatgptAccountIsFedramp && { "X-OpenAI-Fedramp": "true" }),
    };
  }

  #registration(): Registration {
    const name = `${this.#locateAuthApi()} ${hash("sha256", this.#token)}`;
    const registration = registrations.get(name) ?? {};
    registrations.set(name, registration);
    return registration;
  }

  #privateKey(): KeyObject {
    this.#importedKey ??= importAgentKey(this.#token);
    return this.#importedKey;
  }
}
