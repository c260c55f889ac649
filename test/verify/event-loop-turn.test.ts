import { createHook } from "node:async_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { createVerifier } from "../../src/index.js";
import { endOfTurn } from "../../src/verify/event-loop-turn.js";
import { mint, signingKey } from "../support/agents.js";

test("whoever waits in one turn of the event loop goes on at once; whoever comes later waits for the next", async () => {
  const order: string[] = [];
  const wait = async (name: string) => {
    await endOfTurn();
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

test("the thread pool gets the signatures of one turn together", async () => {
  const verifier = createVerifier("https://chatgpt.com", { jwks: { keySet: { keys: [signingKey.jwk] } } });
  const tokens = ["agent-1", "agent-2", "agent-3"].map((id) => mint({ agent_runtime_id: id }));
  let jobs = 0;
  const hook = createHook({ init: (_id, type) => void (jobs += type === "SIGNREQUEST" ? 1 : 0) }).enable();
  onTestFinished(() => void hook.disable());
  const verifications: Promise<unknown>[] = [];
  for (const token of tokens) {
    verifications.push(verifier.verify(token));
    await new Promise((resolve) => {
      process.nextTick(resolve);
    });
  }
  expect(jobs).toBe(0);
  await nextTurn();
  expect(jobs).toBe(3);
  await Promise.all(verifications);
});

test("fake timers stop no verification", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const verifier = createVerifier("https://chatgpt.com", { jwks: { keySet: { keys: [signingKey.jwk] } } });
  expect(await verifier.verify(mint({ agent_runtime_id: "agent-7" }))).toMatchObject({ agentRuntimeId: "agent-7" });
});
