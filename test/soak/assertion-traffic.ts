/** What Codex clients send, and what others make of it: AgentAssertions and the registration of tasks. */

import { createPrivateKey, createPublicKey, randomUUID, sign } from "node:crypto";
import type { AgentIdentityClaims } from "../../src/protocol/claims.js";
import { assertion, encodeEnvelope, signEnvelope, timestamp, type SigningAgent } from "../support/assertions.js";
import type { Random } from "./random.js";
import { ALLOWED_ACCOUNT, OTHER_ACCOUNT } from "./settings.js";
import type { AssertionTruth, CondemnedTruth, Shot, TrafficClass, Truth } from "./traffic.js";

/** An agent with the task that it has registered. */
export interface RegisteredAgent {
  readonly agent: SigningAgent;
  readonly taskId: string;
}

/** ms for which an assertion is repeated. */
const REPEATED_FOR = 3_000;

export class AssertionTraffic {
  readonly #lasting: readonly RegisteredAgent[];
  readonly #revocable: readonly RegisteredAgent[];
  readonly #stranger: SigningAgent;
  readonly #deployments: number;
  #repeated: { shot: Shot; renewAt: number } | undefined;

  /** @param revocable in the order in which they are revoked */
  constructor(
    lasting: readonly RegisteredAgent[],
    revocable: readonly RegisteredAgent[],
    stranger: SigningAgent,
    deployments: number,
  ) {
    this.#lasting = lasting;
    this.#revocable = revocable;
    this.#stranger = stranger;
    this.#deployments = deployments;
  }

  next(random: Random, at: number): Shot {
    const [{ agent, taskId }, other] = random.shuffle(this.#lasting) as [RegisteredAgent, RegisteredAgent];
    const impostor = { ...other.agent, id: agent.id };
    const good: AssertionTruth = { kind: "assertion", agent: agent.id };
    const invalid: AssertionTruth = { ...good, flaw: "assertion_invalid" };
    const wrongTask: AssertionTruth = { ...good, flaw: "task_invalid" };
    const stale: CondemnedTruth = { kind: "condemned", code: "assertion_stale" };
    const malformed: CondemnedTruth = { kind: "condemned", code: "assertion_malformed" };
    const shot = (what: TrafficClass, truth: Truth, authorization: string, account?: string): Shot => ({
      what,
      truth,
      path: `/d${Math.floor(random.fraction() * this.#deployments)}/both`,
      headers: { authorization, ...(account !== undefined && { "ChatGPT-Account-ID": account }) },
    });
    return random.pickWeighted<() => Shot>([
      [30, () => shot("assertion", good, assertion(agent, taskId), random.pick([undefined, ALLOWED_ACCOUNT]))],
      [15, () => this.#repeat(at, () => shot("repeated assertion", good, assertion(agent, taskId)))],
      [20, () => this.#revocableShot(random, shot)],
      [6, () => shot("assertion with a bad signature", invalid, assertion(impostor, taskId))],
      [6, () => shot("assertion of an unknown agent", invalid, assertion(this.#stranger, taskId))],
      [6, () => shot("assertion for another account", invalid, assertion(agent, taskId), OTHER_ACCOUNT)],
      [6, () => shot("assertion with an unknown task", wrongTask, assertion(agent, `task-${randomUUID()}`))],
      [6, () => shot("assertion with another agent's task", wrongTask, assertion(agent, other.taskId))],
      [4, () => shot("stale assertion", stale, assertion(agent, taskId, timestamp(random.pick([-310, 310]))))],
      [4, () => shot("malformed assertion", malformed, malformedAssertion(random, agent, taskId))],
      [4, () => registration("task registration", agent)],
      [3, () => registration("forged task registration", impostor, "assertion_invalid")],
    ])();
  }

  /** As real clients do: the same one for seconds. */
  #repeat(at: number, create: () => Shot): Shot {
    if (!this.#repeated || at > this.#repeated.renewAt) {
      this.#repeated = { shot: create(), renewAt: at + REPEATED_FOR };
    }
    return this.#repeated.shot;
  }

  #revocableShot(random: Random, shot: (what: TrafficClass, truth: Truth, authorization: string) => Shot): Shot {
    const { agent, taskId } = random.pick(this.#revocable);
    const revocation = this.#revocable.findIndex((revocable) => revocable.agent === agent);
    const truth: AssertionTruth = { kind: "assertion", agent: agent.id, revocation };
    return shot("assertion of a revocable agent", truth, assertion(agent, taskId));
  }
}

function malformedAssertion(random: Random, agent: SigningAgent, taskId: string): string {
  const good = signEnvelope(agent, taskId);
  const envelope = random.pick<unknown>([
    { ...good, more: "" },
    { ...good, task_id: "" },
    { ...good, agent_runtime_id: "a:b" },
    { ...good, timestamp: "2026-01-01T00:00:00.000Z" },
    { ...good, signature: 7 },
    [good],
    "{",
  ]);
  return `AgentAssertion ${encodeEnvelope(envelope)}`;
}

/** @param signer signs for its `id`, rightly or not */
export function registration(what: TrafficClass, signer: SigningAgent, flaw?: AssertionTruth["flaw"]): Shot {
  const time = timestamp();
  const signature = sign(null, Buffer.from(`${signer.id}:${time}`), signer.privateKey).toString("base64");
  return {
    what,
    truth: { kind: "registration", agent: signer.id, ...(flaw && { flaw }) },
    path: `/v1/agent/${signer.id}/task/register`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ timestamp: time, signature }),
  };
}

/** An agent that signs for itself, with the key that is in its token. */
export function agentOfToken(token: string): SigningAgent {
  const payload = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
  const claims = JSON.parse(payload) as AgentIdentityClaims;
  const der = Buffer.from(claims.agent_private_key, "base64");
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(privateKey);
  return {
    id: claims.agent_runtime_id,
    privateKey,
    publicKey,
    entry: {
      publicKey,
      accountId: claims.account_id,
      chatgptUserId: claims.chatgpt_user_id,
      planType: claims.plan_type,
      chatgptAccountIsFedramp: claims.chatgpt_account_is_fedramp,
    },
  };
}
