/** Whatever is in an `AgentAssertion`, only what its agent has signed just now is accepted; and a directory may answer anything. */

import { verify } from "node:crypto";
import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { agentIdentityAuth, type AgentIdentity, type AgentIdentityMiddleware } from "../../src/index.js";
import { now, signingKey } from "../support/agents.js";
import {
  createAgent,
  createDirectory,
  encodeEnvelope,
  signEnvelope,
  timestamp,
  type Envelope,
} from "../support/assertions.js";
import { expectRefusal, sentWith } from "../support/refusals.js";
import { fuzz, settled } from "./budget.js";
import { json, mutated, nextMonth, oneOf, text, usually } from "./values.js";

const jwks = { keySet: { keys: [signingKey.jwk] } };
const ours = createAgent("agent-1");
const other = createAgent("é".repeat(128), { accountId: "acct-2" });
const expired = createAgent("expired", { expiresAt: now() - 3_600 });
const stranger = createAgent("stranger");
const agents = [ours, other, expired];
const directory = createDirectory(...agents);
directory.tasks.set("over", { agentRuntimeId: ours.id, expiresAt: now() - 1 });

/** The code of the refusal, or the identity. */
async function ask(middleware: AgentIdentityMiddleware, envelope: string, account?: string): Promise<unknown> {
  const headers = { authorization: `AgentAssertion ${envelope}`, "chatgpt-account-id": account };
  const outcome = await settled(middleware.authenticate({ headers }));
  return outcome instanceof Error ? expectRefusal(outcome, sentWith(envelope)) : outcome;
}

const noId = fc.oneof(oneOf("", "x".repeat(129), "😀".repeat(128), "a:b", "a b", "a\0b", "a\u00a0b", "a/b"), text);
const id = usually(8, oneOf(...agents.map((agent) => agent.id), ours.id, ours.id), noId);
const task = usually(8, oneOf("task-1", "task-1", "task-2", "task-3", "over", "nothing"), noId);
const time = usually(
  8,
  fc.constantFrom(0, 0, 0, -299, -301, 299, 301, -86_400).map(timestamp),
  oneOf("2023-02-29T00:00:00Z", "2026-01-01T24:00:00Z", timestamp().replace("Z", ".0Z"), ` ${timestamp()}`),
  text,
);
const signed = fc
  .tuple(usually(6, fc.constant(undefined), fc.constantFrom(...agents, stranger)), id, task, time)
  .map(([signer, id, task, time]) =>
    signEnvelope({ ...(signer ?? agents.find((a) => a.id === id) ?? stranger), id }, task, time),
  );
/** Changed after it was signed; a member that is `undefined` is left out. */
const edited = fc
  .tuple(
    signed,
    usually(
      2,
      fc.constant({}),
      fc.dictionary(oneOf(...Object.keys(signEnvelope(ours)), "extra"), json, { maxKeys: 1 }),
    ),
  )
  .map(([envelope, edit]): object => ({ ...envelope, ...edit }));
const envelope: Arbitrary<string> = fc.oneof(
  { weight: 12, arbitrary: edited.map(encodeEnvelope) },
  // With spaces behind the JSON, at and beyond 4096 characters.
  {
    weight: 1,
    arbitrary: fc.constantFrom(3_072, 3_073).map((n) => encodeEnvelope(JSON.stringify(signEnvelope(ours)).padEnd(n))),
  },
  { weight: 3, arbitrary: mutated(signed.map(encodeEnvelope)) },
  { weight: 1, arbitrary: fc.oneof(json, text).map(encodeEnvelope) },
);

test("an assertion is accepted only if its agent has signed it, for its own task, within five minutes", async () => {
  const middleware = agentIdentityAuth("https://gw.example", { jwks, directory });
  const account = fc.constantFrom(undefined, undefined, "acct-1", "acct-2", "");
  const endings = {
    accepted: 0.05,
    assertion_malformed: 0.1,
    assertion_stale: 0.03,
    assertion_invalid: 0.1,
    task_invalid: 0.02,
  };
  await fuzz(300, endings, fc.record({ envelope, account }), async ({ envelope, account }) => {
    const outcomes = [await ask(middleware, envelope, account), await ask(middleware, envelope, account)];
    expect(outcomes[1]).toEqual(outcomes[0]);
    const [outcome] = outcomes as [string | AgentIdentity];
    if (typeof outcome === "string") return outcome;
    const sent = JSON.parse(Buffer.from(envelope, "base64url").toString()) as Envelope;
    const { id, publicKey, entry } = agents.find((agent) => agent.id === sent.agent_runtime_id) ?? expect.fail();
    const message = Buffer.from(`${id}:${sent.task_id}:${sent.timestamp}`);
    expect(verify(null, message, publicKey, Buffer.from(sent.signature, "base64"))).toBe(true);
    expect(Math.abs(Date.parse(sent.timestamp) / 1000 - now())).toBeLessThan(303);
    expect(directory.tasks.get(sent.task_id)).toMatchObject({ agentRuntimeId: id });
    expect(account ?? entry.accountId).toBe(entry.accountId);
    expect(outcome).toMatchObject({ agentRuntimeId: id, accountId: entry.accountId, taskId: sent.task_id });
    expect(id).not.toBe(expired.id);
    return "accepted";
  });
});

test("a directory may answer whatever it likes", async () => {
  const WAYS = [
    (value: unknown) => value,
    (value: unknown) => Promise.resolve(value),
    (value: unknown) => {
      throw value;
    },
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- somebody else's code does
    (value: unknown) => Promise.reject(value),
  ];
  const goodTask = { agentRuntimeId: ours.id, expiresAt: nextMonth };
  const wrongTime = fc.constantFrom(NaN, null, -1, 0, now() - 1, "", "soon", [], {});
  const answer = (good: object, ...bad: Arbitrary<unknown>[]) =>
    fc.tuple(
      usually(4, fc.constantFrom(0, 1), fc.constantFrom(2, 3)),
      usually(2, fc.constant(good), fc.anything(), ...bad),
    );
  const agent = answer(
    ours.entry,
    fc
      .oneof(
        fc.anything(),
        text.map((x) => ({ kty: "OKP", crv: "Ed25519", x })),
      )
      .map((publicKey) => ({ ...ours.entry, publicKey })),
    wrongTime.map((expiresAt) => ({ ...ours.entry, expiresAt })),
  );
  const task = answer(
    goodTask,
    wrongTime.map((expiresAt) => ({ ...goodTask, expiresAt })),
    fc.anything().map((agentRuntimeId) => ({ ...goodTask, agentRuntimeId })),
  );
  let answers: { agent: [number, unknown]; task: [number, unknown] };
  const give = ([way, value]: [number, unknown]) => WAYS[way]?.(value) as never;
  const middleware = agentIdentityAuth("https://gw.example", {
    jwks,
    directory: { findAgent: () => give(answers.agent), findTask: () => give(answers.task) },
  });
  const endings = { accepted: 0.1, directory_unavailable: 0.1 };
  await fuzz(250, endings, fc.record({ agent, task }), async (each) => {
    answers = each;
    const outcome = await ask(middleware, encodeEnvelope(signEnvelope(ours)));
    const [[agentWay, entry], [taskWay, found]] = [each.agent, each.task];
    if (entry === ours.entry && found === goodTask && agentWay < 2 && taskWay < 2) {
      expect(outcome).toMatchObject({ agentRuntimeId: ours.id });
      return "accepted";
    }
    // A null time is no time, which an agent may have.
    if (typeof outcome === "object" && agentWay < 2 && taskWay < 2) {
      expect([entry, found]).toEqual([{ ...ours.entry, expiresAt: null }, goodTask]);
      return "accepted";
    }
    expect(outcome).toBeOneOf(["assertion_invalid", "task_invalid", "directory_unavailable"]);
    return String(outcome);
  });
});
