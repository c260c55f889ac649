/** Verifies AgentAssertions against a directory. */

import { assertionMessage, decodeAssertion, isWithinWindow, parseTimestamp } from "../../protocol/agent-assertion.js";
import { canonicalPlanType } from "../../protocol/claims.js";
import { nowInSeconds } from "../../runtime/clock.js";
import { whenSettled } from "../../runtime/thenable.js";
import { Refusal } from "../outcome/errors.js";
import type { Outcome } from "../outcome/verdict.js";
import { verifiedIdentity } from "../outcome/verified-identity.js";
import type { AgentDirectory } from "./agent-directory.js";
import { AgentSignatures, DUMMY_KEY } from "./agent-keys.js";
import { DirectoryLookUps, type Found, type FoundAgent, type FoundTask } from "./directory-look-ups.js";

export class AssertionVerifier {
  readonly #lookUps: DirectoryLookUps;
  readonly #signatures = new AgentSignatures();

  constructor(directory: AgentDirectory) {
    this.#lookUps = new DirectoryLookUps(directory);
  }

  /**
   * Without a promise where the directory answers without one and the signature is remembered.
   * @param accountId the `ChatGPT-Account-ID` header, where it was sent
   */
  verify(envelope: string, accountId: string | string[] | undefined): Outcome | Promise<Outcome> {
    const assertion = decodeAssertion(envelope);
    if (assertion === undefined) return new Refusal("assertion_malformed");
    const { agent_runtime_id: agentRuntimeId, task_id: taskId, timestamp, signature } = assertion;
    const issuedAt = parseTimestamp(timestamp) ?? NaN;
    if (!isWithinWindow(issuedAt, nowInSeconds())) return new Refusal("assertion_stale");
    const message = assertionMessage(agentRuntimeId, taskId, timestamp);

    return whenSettled<Found | Refusal, Outcome>(this.#lookUps.find(agentRuntimeId, taskId), (found) => {
      if (found instanceof Refusal) return found;
      const { agent } = found;
      // An unknown agent costs as much as a known one, so that callers do not learn which agents exist.
      const isSigned = this.#signatures.isSigned(message, signature, agent?.key ?? DUMMY_KEY);
      return whenSettled<boolean, Outcome>(isSigned, (isGood) => {
        if (!isGood || agent === undefined || !isCurrent(agent, accountId)) return new Refusal("assertion_invalid");
        return whenSettled<FoundTask, Outcome>(found.task(), (task) => identify(agent, task, taskId, issuedAt));
      });
    });
  }
}

function isCurrent(agent: FoundAgent, accountId: string | string[] | undefined): boolean {
  return agent.expiresAt > nowInSeconds() && (accountId === undefined || accountId === agent.accountId);
}

function identify(
  { agentRuntimeId, accountId, chatgptUserId, email, planType, chatgptAccountIsFedramp }: FoundAgent,
  task: FoundTask,
  taskId: string,
  issuedAt: number,
): Outcome {
  if (task instanceof Refusal) return task;
  if (task?.agentRuntimeId !== agentRuntimeId || task.expiresAt <= nowInSeconds()) return new Refusal("task_invalid");
  return verifiedIdentity({
    agentRuntimeId,
    accountId,
    chatgptUserId,
    email,
    planType: canonicalPlanType(planType),
    chatgptAccountIsFedramp,
    issuedAt,
    expiresAt: task.expiresAt,
    taskId,
  });
}
