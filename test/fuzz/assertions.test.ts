/** Whatever is in an `AgentAssertion`, the verdict is the contract's, in its order. */

import { verify } from "node:crypto";
import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { agentIdentityAuth, type AgentIdentityMiddleware } from "../../src/index.js";
import { now, signingKey } from "../support/agents.js";
import { createAgent, createDirectory, encodeEnvelope, signEnvelope, timestamp } from "../support/assertions.js";
import { fuzz } from "./budget.js";
import { expectRefusal } from "./refusal.js";
import { mutated } from "./token-mutations.js";
import { bytesOf, jsonObjectOf } from "./token-oracle.js";
import { json, nextMonth, text, usually } from "./values.js";

const base = "https://gw.example";
const jwks = { keySet: { keys: [signingKey.jwk] } };

const ours = createAgent("agent-1");
const expired = createAgent("expired", { expiresAt: now() - 3_600 });
const longest = createAgent("é".repeat(128), { accountId: "acct-2", email: "a@example.com", expiresAt: nextMonth });
const stranger = createAgent("stranger");
const known = [ours, expired, longest];

const directory = createDirectory(...known);
const LONGEST_TASK = "t".repeat(128);
for (const [id, agentRuntimeId, expiresAt] of [
  ["task-1", ours.id, nextMonth],
  ["task-2", expired.id, nextMonth],
  ["task-3", longest.id, nextMonth],
  ["over", ours.id, now() - 1],
  [LONGEST_TASK, ours.id, nextMonth],
] as const) {
  directory.tasks.set(id, { agentRuntimeId, expiresAt });
}

const oneOf = (...texts: string[]) => fc.constantFrom(...texts);

/** Signed as it stands, whatever stands there. */
const NAMES = ["agent_runtime_id", "signature", "task_id", "timestamp"];

const noId = fc.oneof(
  oneOf(...Array.from(":/?#% \t\0", (character) => `a${character}b`), "a\u00a0b", "a\u200bb", "a\ud800b"),
  oneOf("", "x".repeat(129), "😀".repeat(128), "😀".repeat(129)),
  text,
);
const id = usually(8, oneOf(...known.map((agent) => agent.id), ours.id, ours.id, ours.id), noId);
const task = usually(8, oneOf("task-1", "task-1", "task-1", LONGEST_TASK, "task-3", "over", "nothing"), noId);
const time = usually(
  12,
  fc.constantFrom(0, 0, 0, 0, -1, 60, -299, -300, -301, 299, 300, 301, -86_400, 86_400).map(timestamp),
  oneOf("0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z"),
  oneOf("2026-01-01T24:00:00Z", "2026-13-01T00:00:00Z", "2026-00-10T00:00:00Z", "2026-04-31T00:00:00Z"),
  oneOf(
    timestamp().toLowerCase(),
    timestamp().replace("Z", ".0Z"),
    timestamp().replace("Z", "+00:00"),
    ` ${timestamp()}`,
  ),
  text,
);
/** Of a signature that is good; the first leaves it as it is. */
const SPELLINGS: ((base64: string) => string)[] = [
  (base64) => base64,
  (base64) => base64.slice(0, -2),
  (base64) => `${base64}=`,
  (base64) => `${base64}\n`,
  (base64) => base64.replace("==", "AA"),
  (base64) => base64.replaceAll("+", "-").replaceAll("/", "_"),
  (base64) => base64.replace(/[AQgw]==$/, (end) => `${String.fromCharCode(end.charCodeAt(0) + 1)}==`),
  (base64) => Buffer.from(base64, "base64").subarray(1).toString("base64"),
];
const spelling = usually(12, fc.constant(SPELLINGS[0]), fc.constantFrom(...SPELLINGS));
const signed = fc
  .tuple(usually(8, fc.constant(undefined), fc.constantFrom(...known, stranger)), id, task, time, spelling)
  .map(([other, id, task, time, spell]) => {
    const signer = other ?? known.find((agent) => agent.id === id) ?? stranger;
    const envelope = signEnvelope({ ...signer, id }, task, time);
    return { ...envelope, signature: spell?.(envelope.signature) ?? "" };
  });

/** Changed after it was signed; a member that is `undefined` is left out. */
const edited = fc
  .tuple(
    signed,
    usually(
      2,
      fc.constant({}),
      fc
        .tuple(oneOf(...NAMES, "extra"), fc.oneof(text, json, fc.constant(undefined)))
        .map(([name, value]) => ({ [name]: value })),
      task.map((task_id) => ({ task_id })),
      id.map((agent_runtime_id) => ({ agent_runtime_id })),
    ),
  )
  .map(([envelope, edit]): object => ({ ...envelope, ...edit }));

/** Space around the JSON, which makes it as long as one likes: 3072 bytes are 4096 characters. */
const spaced = fc
  .tuple(edited, fc.constantFrom(0, 3_071, 3_072, 3_073))
  .map(([envelope, length]) => JSON.stringify(envelope).padEnd(length));

const envelope: Arbitrary<string> = fc.oneof(
  { weight: 12, arbitrary: edited.map(encodeEnvelope) },
  { weight: 2, arbitrary: spaced.map(encodeEnvelope) },
  {
    weight: 2,
    arbitrary: mutated(signed.map(encodeEnvelope)),
  },
  { weight: 1, arbitrary: fc.oneof(json, text).map(encodeEnvelope) },
);
const account = usually(
  6,
  oneOf("acct-1", "acct-2").map((each): string | undefined => each),
  text,
).chain((each) => fc.constantFrom(undefined, undefined, undefined, each));

function isId(id: string): boolean {
  const characters = Array.from(id);
  const isFine = (each: string) => !":/?#%".includes(each) && !/[\s\p{C}]/u.test(each);
  return characters.length >= 1 && characters.length <= 128 && characters.every(isFine);
}

/** Seconds since the epoch. */
function secondsOf(timestamp: string): number | undefined {
  const digits = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z$/.exec(timestamp);
  if (!digits) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = digits.slice(1).map(Number);
  const isLeapYear = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = [31, isLeapYear ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
  if (days === undefined || day < 1 || day > days || hour > 23 || minute > 59 || second > 59) return undefined;
  return new Date(0).setUTCFullYear(year, month - 1, day) / 1000 + hour * 3_600 + minute * 60 + second;
}

function judge(envelope: string, account: string | undefined, at: number): string {
  if (!/^[A-Za-z0-9\-._~+/]+=*$/.test(envelope)) return "request_malformed";
  const members = envelope.length > 4_096 ? undefined : jsonObjectOf(bytesOf(envelope));
  if (
    Object.keys(members ?? {})
      .sort()
      .join() !== NAMES.join()
  )
    return "assertion_malformed";
  if (!Object.values(members ?? {}).every((member) => typeof member === "string")) return "assertion_malformed";
  const {
    agent_runtime_id: id = "",
    signature = "",
    task_id: task = "",
    timestamp = "",
  } = members as Record<string, string>;
  const signedAt = secondsOf(timestamp);
  if (!isId(id) || !isId(task) || signedAt === undefined) return "assertion_malformed";
  if (signedAt < at - 300 || signedAt > at + 300) return "assertion_stale";

  const agent = known.find((each) => each.id === id);
  // Standard base64 of 64 bytes: one spelling.
  const isSigned =
    agent !== undefined &&
    /^[A-Za-z0-9+/]{85}[AQgw]==$/.test(signature) &&
    verify(null, Buffer.from([id, task, timestamp].join(":")), agent.publicKey, Buffer.from(signature, "base64"));
  const { accountId, expiresAt } = agent?.entry ?? {};
  if (!isSigned || (expiresAt ?? Infinity) <= at || (account ?? accountId) !== accountId) return "assertion_invalid";
  const { agentRuntimeId, expiresAt: end = 0 } = directory.tasks.get(task) ?? {};
  return agentRuntimeId === id && end > at ? "accepted" : "task_invalid";
}

function identityOf(envelope: string): object {
  const { agent_runtime_id: id, task_id: task, timestamp } = jsonObjectOf(bytesOf(envelope)) as Record<string, string>;
  const { accountId, email = null } = known.find((agent) => agent.id === id)?.entry ?? {};
  return {
    agentRuntimeId: id,
    accountId,
    chatgptUserId: "user-1",
    email,
    planType: "enterprise",
    chatgptAccountIsFedramp: false,
    issuedAt: secondsOf(timestamp ?? ""),
    expiresAt: nextMonth,
    taskId: task,
  };
}

/** The code of the refusal, or the identity. */
async function ask(agents: AgentIdentityMiddleware, envelope: string, account?: string): Promise<unknown> {
  const headers = { authorization: `AgentAssertion ${envelope}`, "chatgpt-account-id": account };
  const outcome: unknown = await agents.authenticate({ headers }).catch((error: unknown) => error);
  const texts = [envelope, bytesOf(envelope)?.toString() ?? ""];
  return outcome instanceof Error ? expectRefusal(outcome, { texts }) : outcome;
}

test("an assertion is judged by the contract, whatever is in it", async () => {
  const shares = {
    accepted: 0.08,
    request_malformed: 0.002,
    assertion_malformed: 0.1,
    assertion_stale: 0.05,
    assertion_invalid: 0.1,
    task_invalid: 0.02,
  };
  const agents = agentIdentityAuth(base, { jwks, directory: directory });
  await fuzz({ runs: 400, shares }, fc.record({ envelope, account }), async ({ envelope, account }) => {
    const before = judge(envelope, account, now());
    const outcomes = [await ask(agents, envelope, account), await ask(agents, envelope, account)];
    const after = judge(envelope, account, now());
    for (const outcome of outcomes) {
      expect([before, after]).toContain(typeof outcome === "string" ? outcome : "accepted");
      if (typeof outcome !== "string") expect(outcome).toEqual(identityOf(envelope));
    }
    return before;
  });
});

/** A directory's answer: at once, later, thrown or rejected. */
type Answer = readonly [way: "returns" | "resolves" | "throws" | "rejects", value: unknown];
const WAYS = {
  returns: (value: unknown) => value,
  resolves: (value: unknown) => Promise.resolve(value),
  throws(value: unknown) {
    throw value;
  },
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- somebody else's code does
  rejects: (value: unknown) => Promise.reject(value),
};
const answer = (good: unknown, ...bad: Arbitrary<unknown>[]): Arbitrary<Answer> =>
  fc.tuple(
    usually(3, fc.constantFrom<Answer[0][]>("returns", "resolves"), fc.constantFrom<Answer[0][]>("throws", "rejects")),
    usually(2, fc.constant(good), fc.anything(), ...bad),
  );

const goodTask = { agentRuntimeId: ours.id, expiresAt: nextMonth };
const noTime = fc.constantFrom(NaN, null, -1, 0, now() - 1, "", "soon", [], {});
const findAgent = answer(
  ours.entry,
  fc.anything().map((publicKey) => ({ ...ours.entry, publicKey })),
  fc.oneof(fc.anything(), text).map((x) => ({ ...ours.entry, publicKey: { kty: "OKP", crv: "Ed25519", x } })),
  noTime.map((expiresAt) => ({ ...ours.entry, expiresAt })),
);
const findTask = answer(
  goodTask,
  noTime.map((expiresAt) => ({ ...goodTask, expiresAt })),
  fc.anything().map((agentRuntimeId) => ({ ...goodTask, agentRuntimeId })),
);

const isGiven = ([way]: Answer): boolean => way === "returns" || way === "resolves";

test("a directory may answer whatever it likes", async () => {
  let answers: { agent: Answer; task: Answer };
  const give = ([way, value]: Answer) => WAYS[way](value) as never;
  const assertions = { findAgent: () => give(answers.agent), findTask: () => give(answers.task) };
  const agents = agentIdentityAuth(base, { jwks, directory: assertions });
  const shares = { accepted: 0.1, directory_unavailable: 0.1 };
  await fuzz({ runs: 250, shares }, fc.record({ agent: findAgent, task: findTask }), async (each) => {
    answers = each;
    const [agent, task] = [each.agent[1], each.task[1]] as [Partial<typeof ours.entry>, Partial<typeof goodTask>];
    const isGood = isGiven(each.agent) && isGiven(each.task) && agent === ours.entry && task === goodTask;
    const outcome = await ask(agents, encodeEnvelope(signEnvelope(ours)));
    if (typeof outcome === "string") {
      expect(["assertion_invalid", "task_invalid", "directory_unavailable"]).toContain(outcome);
      expect(isGood).toBe(false);
      return outcome;
    }
    expect(outcome).toMatchObject({ agentRuntimeId: ours.id, expiresAt: nextMonth });
    expect([agent.publicKey, agent.expiresAt ?? null]).toEqual([
      ours.entry.publicKey,
      isGood ? (ours.entry.expiresAt ?? null) : null,
    ]);
    expect(task).toBe(goodTask);
    return "accepted";
  });
});
