/** One call of the middleware without a framework and without HTTP, and the memory of the cache. */

import { hash } from "node:crypto";
import { Bench } from "tinybench";
import { agentIdentityAuth, createVerifier } from "../dist/index.js";
import { directoryOf } from "./contestants/by-hand.js";
import { answerParent, cpuTime, heldBytes } from "./processes.js";
import { createRequest } from "./request.js";

/** Calls of one sample: one call is too short for the clock. */
const BATCH = 100;

answerParent(async (question) => {
  const memory = await measureMemory(question);
  return { version: process.version, calls: await measureCalls(question), memory };
});

/** @returns CPU µs of one call, by name */
async function measureCalls({ trust, hotTokens, badTokens, assertions, time }) {
  const agents = agentIdentityAuth(trust.baseUrl);
  const withDirectory = agentIdentityAuth(trust.baseUrl, { directory: directoryOf(trust) });
  const bearer = (token) => `Bearer ${token}`;
  const call = (middleware, request) => new Promise((resolve) => middleware(request, {}, resolve));

  // By the CPU's time, because other programs on the machine stretch the wall clock's.
  const now = () => cpuTime() / 1000;
  const bench = new Bench({ now, time, warmupTime: time, throws: true });
  /** The requests of a sample are made before its time begins. */
  const add = (name, texts, act, code) => {
    let requests = [];
    const beforeEach = () => {
      requests = Array.from({ length: BATCH }, (_, i) => createRequest(texts[i % texts.length]));
    };
    const run = async () => {
      for (const request of requests) {
        const outcome = await act(request);
        if (outcome?.code !== code) throw new Error(`${name}: ${outcome?.code}`);
      }
    };
    bench.add(name, run, { beforeEach });
  };
  const hot = hotTokens.map(bearer);
  const signed = assertions.map((text) => `AgentAssertion ${text}`);
  const ask = (request) => call(agents, request);
  add("SHA-256 of the token, for scale", hot, ({ headers }) => void hash("sha256", headers.authorization));
  add("hot bearer token", hot, ask);
  add("repeated AgentAssertion", signed, (request) => call(withDirectory, request));
  add("refused: malformed", [bearer(badTokens.malformed)], ask, "token_malformed");
  add("refused: expired", [bearer(badTokens.expired)], ask, "token_expired");
  add("refused: unknown key", [bearer(badTokens.unknownKid)], ask, "key_untrusted");
  await bench.run();
  return Object.fromEntries(bench.tasks.map(({ name, result }) => [name, (result.latency.p50 / BATCH) * 1000]));
}

/** @returns bytes that a remembered token holds, and bytes that each further token adds to a full cache */
async function measureMemory({ trust, newTokens }) {
  const verifyAll = async (verifier, tokens) => {
    for (const token of tokens) await verifier.verify(token);
    return heldBytes();
  };
  const max = Math.floor(newTokens.length / 2);
  // Compiled code, the key set and jose's key must be there before.
  const before = await verifyAll(createVerifier(trust.baseUrl, { tokenCache: false }), newTokens);
  const verifier = createVerifier(trust.baseUrl, { tokenCache: { max } });
  const full = await verifyAll(verifier, newTokens.slice(0, max));
  const flooded = await verifyAll(verifier, newTokens.slice(max));
  return { perToken: (full - before) / max, growth: (flooded - full) / max };
}
