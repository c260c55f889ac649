/** `npm run bench`: see HELP. */

import { writeFileSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";
import { decodeJwt } from "jose";
import { renderChart } from "./chart.js";
import { createBadTokens, createSigningAgents, signTokens, startBackend } from "./backend.js";
import { nodeOf, startChild } from "./processes.js";
import { renderReport } from "./report.js";
import { inChangingOrder } from "./statistics.js";
import { frameworks, HOT_TOKENS, loadContestants, workloads } from "./workloads.js";

const HELP = `npm run bench -- [options]

Measures this package beside others, and writes bench/RESULTS.md.
  --node 20,24,26        Node releases: the running one, or one with an alias in bench/package.json. Default: the running one
  --framework express,…  of ${frameworks.join(", ")}. Default: all
  --workload hot,…       of ${Object.keys(workloads).join(", ")}. Default: all
  --generations 10       how often all servers are started again: one process of the same code can be luckier than the next
  --rounds 4             of each generation and workload: every contestant has a turn in each
  --quick                one generation, two short rounds; prints the report and writes nothing`;

const list = { type: "string" };
const { values: given } = parseArgs({
  options: {
    node: { ...list, default: process.versions.node.split(".")[0] },
    framework: { ...list, default: frameworks.join() },
    workload: { ...list, default: Object.keys(workloads).join() },
    generations: list,
    rounds: list,
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (given.help) {
  console.log(HELP);
  process.exit();
}

const plan = {
  load: os.loadavg()[0],
  nodes: given.node.split(",").map((major) => ({ major, executable: nodeOf(major) })),
  frameworks: chosen(given.framework, frameworks),
  workloads: chosen(given.workload, Object.keys(workloads)),
  generations: Number(given.generations ?? (given.quick ? 1 : 10)),
  rounds: Number(given.rounds ?? (given.quick ? 2 : 4)),
  // Seconds: `turn`, `firstWarmUp`. Requests: `warmUp`, `firstSeen` (of one turn). Milliseconds: `inProcessTime`.
  ...(given.quick
    ? { turn: 0.1, firstWarmUp: 0.1, warmUp: 400, firstSeen: 400, inProcessTime: 100 }
    : { turn: 0.3, firstWarmUp: 1.5, warmUp: 4_000, firstSeen: 2_000, inProcessTime: 1_000 }),
};

function chosen(names, known) {
  const unknown = names.split(",").filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`no such ${unknown}: there are ${known}`);
  return names.split(",");
}

const beganAt = performance.now();
const log = (line) => console.error(`${Math.round((performance.now() - beganAt) / 1000)} s  ${line}`);
if (plan.load > 1) log(`the machine is busy (load average ${plan.load.toFixed(1)}): do not keep the figures`);

const backend = await startBackend();
const badTokens = await createBadTokens(backend.key);
const agents = createSigningAgents(HOT_TOKENS);
const trust = { ...backend.trust, agents: await agents.publicKeys() };
log("signing tokens");
const hotTokens = await signTokens(backend.key, HOT_TOKENS);
const newTokens = await signTokens(backend.key, plan.warmUp + plan.rounds * plan.firstSeen);
const load = startChild("load.js");
try {
  const bearer = (token) => `Bearer ${token}`;
  const [malformed, expired, unknownKid] = [badTokens.malformed, badTokens.expired, badTokens.unknownKid].map(bearer);
  const refused = { none: [null], malformed: [malformed], expired: [expired], "unknown-kid": [unknownKid] };
  await load.ask({ keep: { hot: hotTokens.map(bearer), "first-seen": newTokens.map(bearer), ...refused } });

  const results = [];
  for (const { major, executable } of plan.nodes) {
    log(`Node ${major}: in the process`);
    const inProcess = startChild("in-process.js", { node: executable, execArgv: ["--expose-gc"] });
    const assertions = agents.signAssertions();
    const question = { trust, hotTokens, newTokens, badTokens, assertions, time: plan.inProcessTime };
    const result = { ...(await inProcess.ask(question)), http: {} };
    await inProcess.stop();
    for (const framework of plan.frameworks) {
      result.http[framework] = await measureFramework(framework, executable, `Node ${major}: ${framework}`);
    }
    results.push(result);
  }
  const report = await renderReport(plan, results);
  if (given.quick) console.log(report);
  else {
    writeFileSync(new URL("RESULTS.md", import.meta.url), report);
    writeFileSync(new URL("chart.svg", import.meta.url), renderChart(report));
  }
} finally {
  await load.stop();
  backend.stop();
}

/** @returns by workload and contestant: its turns, in the order of the rounds */
async function measureFramework(framework, node, label) {
  const contestants = await loadContestants(framework);
  const measured = {};
  for (let generation = 0; generation < plan.generations; generation++) {
    log(`${label}, servers ${generation + 1} of ${plan.generations}`);
    await load.ask({ keep: { assertions: agents.signAssertions().map((text) => `AgentAssertion ${text}`) } });
    const servers = [];
    try {
      for (const [name, { title, roles }] of Object.entries(contestants)) {
        const server = { name, title, roles, child: startChild("server.js", { node }) };
        servers.push(server);
        server.url = await server.child.ask({ listen: { framework, name, trust } });
        if (roles.some((role) => ["own", "keeping", "directory", "jose", "peer"].includes(role)))
          await expectRefusals(server);
      }
      for (const workload of workloadsOf(framework)) await measureWorkload(workload, servers, generation, measured);
    } finally {
      await Promise.all(servers.map(({ child }) => child.stop()));
    }
  }
  return measured;
}

function workloadsOf(framework) {
  return plan.workloads.filter((workload) => workloads[workload].on?.includes(framework) ?? true);
}

async function measureWorkload(workload, servers, generation, measured) {
  const { roles, once, refused } = workloads[workload];
  const takingPart = servers.filter((server) => server.roles.some((role) => roles.includes(role)));
  const turns = (measured[workload] ??= Object.fromEntries(
    takingPart.map(({ name, title, roles }) => [name, { title, roles, turns: [] }]),
  ));
  const amounts = {};
  const order = ({ url, name }) => ({ url, list: workload, accepted: !refused || name === "bare" });
  for (const server of takingPart) {
    const warmUp = once ? { from: 0, count: plan.warmUp } : {};
    let rate = await load.ask({ send: { ...order(server), ...warmUp, amount: plan.warmUp } });
    // In its first workload a server's code is still being compiled.
    if (!server.isWarm && !once) {
      const amount = Math.max(Math.ceil(rate * plan.firstWarmUp), HOT_TOKENS);
      rate = await load.ask({ send: { ...order(server), amount } });
      server.isWarm = true;
    }
    amounts[server.name] = Math.max(Math.ceil((rate * plan.turn) / HOT_TOKENS), 4) * HOT_TOKENS;
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (const server of inChangingOrder(takingPart, generation * plan.rounds + round)) {
      const fresh = { from: plan.warmUp + round * plan.firstSeen, count: plan.firstSeen, amount: plan.firstSeen };
      const send = { ...order(server), amount: amounts[server.name], ...(once ? fresh : {}) };
      const cpuBefore = await server.child.ask({ read: "cpu" });
      const rate = await load.ask({ send });
      const cpu = ((await server.child.ask({ read: "cpu" })) - cpuBefore) / send.amount;
      turns[server.name].turns.push({ rate, cpu });
    }
  }
}

/** A contestant that lets a bad token in would be fast for the wrong reason. */
async function expectRefusals({ name, url }) {
  // An unknown key makes some fetch the keys again, or hold back later fetches.
  const bad = Object.entries({ ...badTokens, missing: undefined }).filter(([fault]) => fault !== "unknownKid");
  for (const [fault, token] of bad) {
    const response = await fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
    await response.body?.cancel();
    if (response.status !== 401) throw new Error(`${name} answers ${response.status} to a token that is ${fault}`);
  }
  const accepted = await fetch(url, { headers: { authorization: `Bearer ${hotTokens[0]}` } });
  const { agent } = await accepted.json();
  if (agent !== decodeJwt(hotTokens[0]).agent_runtime_id)
    throw new Error(`${name} answers a good token with ${accepted.status}, agent ${agent}`);
}
