/** An agent that is known, while others flood the server with requests that are refused. */

import { Agent, get } from "node:http";
import { randomBytes, randomUUID } from "node:crypto";
import { createBadTokens, createSigningAgents, signToken, startBackend } from "../backend.js";
import { startChild } from "../processes.js";
import { median } from "../statistics.js";

const RUNS = 5;
const FLOOD_SECONDS = 1;

const servers = { bare: "bare Express", jose: "jose by hand", directory: "**agent-identity-auth**" };

/** @returns rows of the table */
export async function measureFloods(node) {
  const backend = await startBackend();
  const bad = await createBadTokens(backend.key);
  const strangers = createSigningAgents(100).signAssertions();
  const floods = {
    none: undefined,
    junk: ["Bearer not-a-jwt"],
    "unknown key id": [`Bearer ${bad.unknownKid}`],
    "forged signature": forgeries(bad.forged).map((token) => `Bearer ${token}`),
    "made-up AgentAssertion": strangers.map((text) => `AgentAssertion ${text}`),
  };
  const token = await signToken(backend.key);
  const load = startChild("load.js");
  await load.ask({ keep: Object.fromEntries(Object.entries(floods).filter(([, list]) => list)) });
  const rows = [];
  try {
    for (const flood of Object.keys(floods)) {
      for (const [name, title] of Object.entries(servers)) {
        if (name === "jose" && flood.includes("Assertion")) continue;
        const server = startChild("server.js", { node });
        const trust = { ...backend.trust, agents: [[randomUUID(), undefined]] };
        const url = await server.ask({ listen: { framework: "express", name, trust } });
        const send = floods[flood] && { url, list: flood, accepted: name === "bare" };
        const runs = await measureRuns(load, send, url, token);
        await server.stop();
        const of = (what, digits) => median(runs.map((run) => run[what])).toFixed(digits);
        rows.push([flood, title, send ? of("rate", 0) : "", of("p50", 2), of("p99", 2)]);
        console.error(rows.at(-1).join("  "));
      }
    }
  } finally {
    await load.stop();
    backend.stop();
  }
  return rows;
}

/** All different, because equal tokens that come together are verified once. */
function forgeries(token) {
  const end = token.slice(-4); // its last character has bits that must be 0
  return Array.from({ length: 1_000 }, () => token.slice(0, -40) + randomBytes(27).toString("base64url") + end);
}

async function measureRuns(load, send, url, token) {
  await probe(url, token, sleep(1_000)); // its code is compiled, and the token is remembered
  let rate = send ? await load.ask({ send: { ...send, amount: 4_000 } }) : 0;
  const runs = [];
  for (let run = 0; run < RUNS; run++) {
    const amount = Math.ceil(rate * FLOOD_SECONDS);
    const flood = send ? load.ask({ send: { ...send, amount } }) : sleep(FLOOD_SECONDS * 1_000);
    const times = await probe(url, token, flood);
    if (send) rate = await flood;
    const at = (share) => times[Math.floor(times.length * share)];
    runs.push({ rate, p50: at(0.5), p99: at(0.99) });
  }
  return runs;
}

const sleep = (duration) => new Promise((resolve) => setTimeout(resolve, duration));

/** Asks again and again until `end`. @returns ms of each answer, sorted */
async function probe(url, token, end) {
  let isOver = false;
  void end.then(() => (isOver = true));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const times = [];
  while (!isOver) {
    const startedAt = performance.now();
    await ask(url, { agent, headers: { authorization: `Bearer ${token}` } });
    times.push(performance.now() - startedAt);
    await sleep(1);
  }
  agent.destroy();
  return times.sort((a, b) => a - b);
}

function ask(url, options) {
  return new Promise((resolve, reject) => {
    get(url, options, (res) => {
      if (res.statusCode !== 200) reject(new Error(`a known agent got ${res.statusCode}`));
      res.resume().once("end", resolve);
    }).once("error", reject);
  });
}
