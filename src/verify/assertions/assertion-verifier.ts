/** Verifies AgentAssertions against a directory. */

import { createLRU } from "lru.min";
import { decodeAssertion, isWithinWindow, type UnverifiedAssertion } from "../../protocol/agent-assertion.js";
import { canonicalPlanType } from "../../protocol/claims.js";
import { ownProperties } from "../../protocol/options.js";
import { nowInSeconds } from "../../runtime/clock.js";
import { whenSettled } from "../../runtime/thenable.js";
import { Refusal } from "../outcome/errors.js";
import type { Outcome } from "../outcome/verdict.js";
import { verifiedIdentity } from "../outcome/verified-identity.js";
import type { AgentDirectory } from "./agent-directory.js";
import { decodeSignature, DUMMY_KEY, isSigned, type AgentKey } from "./agent-keys.js";
import { DirectoryLookUps, type Found, type FoundAgent, type FoundTask } from "./directory-look-ups.js";

/** Assertions whose signature was good, because real clients repeat them. */
const REMEMBERED = 10_000;

interface SignedAssertion extends UnverifiedAssertion {
  /** The key that verified the signature. */
  readonly key: AgentKey;
}

export class AssertionVerifier {
  readonly #lookUps: DirectoryLookUps;
  /** By envelope. It holds no secret. */
  readonly #signed = createLRU<string, SignedAssertion>(ownProperties({ max: REMEMBERED }));

  constructor(directory: AgentDirectory) {
    this.#lookUps = new DirectoryLookUps(directory);
  }

  /**
   * Without a promise where the directory answers without one and the signature is remembered.
   * @param accountId the `ChatGPT-Account-ID` header, where it was sent
   */
  verify(envelope: string, accountId: string | string[] | undefined): Outcome | Promise<Outcome> {
    const signed = this.#signed.get(envelope);
    const assertion = signed ?? decodeAssertion(envelope);
    if (assertion === undefined) return new Refusal("assertion_malformed");
    const { agentRuntimeId, taskId } = assertion;
    if (!isWithinWindow(assertion.issuedAt, nowInSeconds())) return new Refusal("assertion_stale");

    return whenSettled<Found | Refusal, Outcome>(this.#lookUps.find(agentRuntimeId, taskId), (found) => {
      if (found instanceof Refusal) return found;
      const { agent } = found;
      // An unknown agent costs as much as a known one, so that callers do not learn which agents exist.
      const key = agent?.key ?? DUMMY_KEY;
      const isGood = signed?.key.bytes.equals(key.bytes) === true || this.#isSigned(envelope, assertion, key);
      return whenSettled<boolean, Outcome>(isGood, (isGood) => {
        // Stryker disable next-line ConditionalExpression: no signature is good for an agent that does not exist
        if (!isGood || agent === undefined || !isCurrent(agent, accountId)) return new Refusal("assertion_invalid");
        return whenSettled<FoundTask, Outcome>(found.task(), (task) => identify(agent, task, assertion));
      });
    });
  }

  #isSigned(envelope: string, assertion: UnverifiedAssertion, key: AgentKey): boolean | Promise<boolean> {
    const signature = decodeSignature(assertion.signature);
    return signature !== undefined && this.#verifySignature(envelope, assertion, signature, key);
  }

  async #verifySignature(
    envelope: string,
    assertion: UnverifiedAssertion,
    signature: Buffer,
    key: AgentKey,
  ): Promise<boolean> {
    const isGood = await isSigned(assertion.message, signature, key);
    if (isGood) this.#signed.set(envelope, { ...assertion, key });
    return isGood;
  }
}

function isCurrent(agent: FoundAgent, accountId: string | string[] | undefined): boolean {
  return agent.expiresAt > nowInSeconds() && (accountId === undefined || accountId === agent.accountId);
}

function identify(
  { agentRuntimeId, accountId, chatgptUserId, email, planType, chatgptAccountIsFedramp }: FoundAgent,
  task: FoundTask,
  { taskId, issuedAt }: UnverifiedAssertion,
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
