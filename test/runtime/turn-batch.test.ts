import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { agentIdentityAuth, createVerifier } from "../../src/index.js";
import { nextBatch } from "../../src/runtime/turn-batch.js";
import { mint, signingKey } from "../support/agents.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
import { watchSignatureJobs } from "../support/signature-jobs.js";

test("callers of one turn of the event loop go on together; later callers wait for the next turn", async () => {
  const order: string[] = [];
  const wait = async (name: string) => {
    await nextBatch();
    order.push(name);
  };
  const first = wait("first");
  // What is read from a socket in the same turn: long after the microtasks of the first.
  const last = new Promise((resolve) => {
    process.nextTick(resolve);
  }).then(() => wait("of the same turn"));
  const between = nextTurn().then(() => order.push("whatever else was due"));
  await Promise.all([first, last, between]);
  expect(order).toEqual(["first", "of the same turn", "whatever else was due"]);
  await wait("of a later turn");
  expect(order.at(-1)).toBe("of a later turn");
});

const ids = ["agent-1", "agent-2", "agent-3"];
const keySet = { keys: [signingKey.jwk] };
const agents = ids.map((id) => createAgent(id));
const assertions = createDirectory(...agents);
const tokens = ids.map((id) => `Bearer ${mint({ agent_runtime_id: id })}`);
const envelopes = agents.map((agent, i) => assertion(agent, `task-${String(i + 1)}`));

test.each([
  ["tokens", tokens],
  ["assertions", envelopes],
])("the thread pool gets the signatures of one turn together: %s", async (_, credentials) => {
  const middleware = agentIdentityAuth("https://chatgpt.com", { jwks: { keySet }, directory: assertions });
  const jobs = watchSignatureJobs();
  const identities: Promise<unknown>[] = [];
  for (const authorization of credentials) {
    identities.push(middleware.authenticate({ headers: { authorization } }));
    await new Promise((resolve) => {
      process.nextTick(resolve);
    });
  }
  expect(jobs).toEqual({ started: 0, calledBack: 0 });
  await nextTurn();
  expect(jobs.started).toBe(3);
  expect(await Promise.all(identities)).toMatchObject(ids.map((id) => ({ agentRuntimeId: id })));
  expect(jobs.calledBack).toBe(3);
});

test("fake timers stop no verification", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const verifier = createVerifier("https://chatgpt.com", { jwks: { keySet } });
  expect(await verifier.verify(mint({ agent_runtime_id: "agent-7" }))).toMatchObject({ agentRuntimeId: "agent-7" });
});
