/** Task registration: an agent signs the time with its key, and gets the id of its task. */

import {
  hasOnlyStringMembers,
  isAssertionId,
  isWithinWindow,
  parseTimestamp,
  registrationMessage,
} from "../protocol/agent-assertion.js";
import { IntrinsicPromise } from "../runtime/captured-globals.js";
import { nowInSeconds } from "../runtime/clock.js";
import { decodeSignature, DUMMY_KEY, importAgentKey, isSigned } from "../verify/assertions/agent-keys.js";
import { Refusal } from "../verify/outcome/errors.js";
import type { Agents } from "./agents.js";

export class TaskRegistrar {
  readonly #agents: Agents;

  constructor(agents: Agents) {
    this.#agents = agents;
  }

  /**
   * @param body the parsed JSON of the request
   * @returns the id of the task
   */
  async register(agentRuntimeId: string, body: unknown): Promise<{ taskId: string } | Refusal> {
    if (!hasOnlyStringMembers(body, ["timestamp", "signature"])) return new Refusal("assertion_malformed");
    const { timestamp, signature } = body;
    const issuedAt = parseTimestamp(timestamp);
    if (!isAssertionId(agentRuntimeId) || issuedAt === undefined) return new Refusal("assertion_malformed");
    if (!isWithinWindow(issuedAt, nowInSeconds())) return new Refusal("assertion_stale");
    const message = registrationMessage(agentRuntimeId, timestamp);
    const agents = await this.#agents.withKeys(agentRuntimeId);
    // An unknown agent costs as much as a known one, so that callers do not learn which agents exist.
    const keys =
      agents.length > 0 ? agents.map(({ publicKey }) => importAgentKey(publicKey) ?? DUMMY_KEY) : [DUMMY_KEY];
    const bytes = decodeSignature(signature);
    const verdicts = bytes && (await IntrinsicPromise.all(keys.map((key) => isSigned(message, bytes, key))));
    const signer = agents.find((_, i) => verdicts?.[i] === true);
    if (signer === undefined) return new Refusal("assertion_invalid");
    return { taskId: await this.#agents.registerTask(agentRuntimeId, signer) };
  }
}
