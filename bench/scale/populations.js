/** Many mounts, and many agents. Run as a child, it measures. */

import { promisify } from "node:util";
import { sign } from "node:crypto";
import { agentIdentityAuth } from "../../dist/index.js";
import { createClaims, startBackend } from "../backend.js";
import { answerParent, cpuTime, heldBytes, startChild } from "../processes.js";
import { createRequest } from "../request.js";
import { median } from "../statistics.js";

const CALLERS = 10_000;
const BATCH = 1_000;

/** @returns rows of both tables */
export async function measurePopulations(node, sizes) {
  const rows = { mounts: [], populations: [] };
  for (const size of sizes) {
    const child = startChild("scale/populations.js", { node, execArgv: ["--expose-gc", "--max-old-space-size=8000"] });
    try {
      // The question may take minutes, so it is asked in parts.
      await child.ask({ start: size });
      for (let known = 0; known < size;) known = await child.ask({ verify: 20_000 });
      const { bytes, micros, mounts } = await child.ask({ measure: true });
      rows.populations.push([String(size), bytes.toFixed(0), micros.toFixed(2)]);
      rows.mounts = mounts.map(([count, cost]) => [String(count), cost.toFixed(2)]);
      console.error(`${size} agents: ${bytes.toFixed(0)} bytes, ${micros.toFixed(2)} µs`);
    } finally {
      await child.stop();
    }
  }
  return rows;
}

const signInThreadPool = promisify(sign);
let state;

if (process.send) {
  answerParent(async ({ start, verify }) => {
    if (start !== undefined) state = await createState(start);
    else if (verify !== undefined) return verifyNext(verify);
    else return measure();
  });
}

async function createState(size) {
  const backend = await startBackend();
  const agents = agentIdentityAuth(backend.trust.baseUrl, { tokenCache: { max: size } });
  await agents.verifier.verify(await createToken(backend.key)); // compiled code and the key set are no part of a token
  return { backend, agents, size, known: 0, callers: [], heldBefore: await heldBytes() };
}

/** jose's `SignJWT` takes three times as long, and a million tokens are many minutes anyway. */
async function createToken({ kid, privateKey }) {
  const parts = [{ typ: "JWT", alg: "RS256", kid }, createClaims()];
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${text}.${(await signInThreadPool("sha256", Buffer.from(text), privateKey)).toString("base64url")}`;
}

async function verifyNext(count) {
  const { backend, agents, size, callers } = state;
  const goal = Math.min(state.known + count, size);
  while (state.known < goal) {
    const batch = Math.min(BATCH, goal - state.known);
    const tokens = await Promise.all(Array.from({ length: batch }, () => createToken(backend.key)));
    await Promise.all(tokens.map((token) => agents.verifier.verify(token)));
    state.known += batch;
    // Spread over all agents.
    for (let i = 0; i < batch; i += Math.max(1, Math.floor(size / CALLERS))) callers.push(`Bearer ${tokens[i]}`);
  }
  return state.known;
}

async function measure() {
  const { backend, agents, size, callers, heldBefore } = state;
  const bytes = ((await heldBytes()) - heldBefore - callers.join("").length) / size;
  const cost = (mounts) => measureCalls(callers, agents, mounts);
  const micros = cost(1);
  const mounts = [1, 2, 4, 8, 16].map((count) => [count, cost(count)]);
  backend.stop();
  return { bytes, micros, mounts };
}

/** @returns CPU µs of one request */
function measureCalls(callers, agents, mounts) {
  const samples = [];
  for (let sample = 0; sample < 11; sample++) {
    const requests = callers.map(createRequest);
    const startedAt = cpuTime();
    for (const request of requests) {
      for (let mount = 0; mount < mounts; mount++) {
        agents(request, {}, (error) => {
          if (error) throw error;
        });
      }
      if (request.agentIdentity === undefined) throw new Error("a token was not remembered");
    }
    samples.push((cpuTime() - startedAt) / requests.length);
  }
  return median(samples);
}
