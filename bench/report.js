/** RESULTS.md. */

import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import { format } from "prettier";
import { median, pairedRatio } from "./statistics.js";
import { HOT_TOKENS, workloads } from "./workloads.js";

/** @param results one for each Node release */
export async function renderReport(plan, results) {
  const rounds = plan.generations * plan.rounds;
  const nodes = results.map(({ version }) => `Node ${version.slice(1)}`);
  const [{ model }] = os.cpus();
  const machine = `${model}, ${os.cpus().length} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} (${os.arch()})`;
  const markdown = `
# Results

Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}, on ${machine}. Absolute figures are those of this machine. Compare the ratios.
The load average was ${plan.load.toFixed(1)} when the run began; above 1, other programs disturbed it.

## Over HTTP

Each server runs in a process of its own, and autocannon (40 connections) in another. Only one server is under load at a time. In each of
${rounds} rounds (generations of servers: ${plan.generations}; rounds with each: ${plan.rounds}) every contestant has a turn, in an order that changes. All figures are medians. _CPU µs_ is what the server
process used for one request, with its garbage collector and thread pool. _Ratio_ is that of the requests per second of two turns of the
same round: the contestant's to those of the contestant whose ratio is 1.00. _By CPU_ is the ratio of the CPU times, and above 1 is cheaper: it
counts where the load generator is slower than the servers.

Each package is set up as its own README says. Before a contestant is measured, it has refused a missing, a malformed, a forged and an expired
token, a token of another issuer and a token for another audience. Contestants in italics verify nothing: they are yardsticks. The floor reads
the header, takes its SHA-256, hides the token and sets a property. There are ${HOT_TOKENS} hot tokens. A first-seen token is sent once to a
server. ${HOT_TOKENS} agents repeat an AgentAssertion each, and their directory is in memory.

${plan.frameworks.map((framework) => `### ${framework[0].toUpperCase()}${framework.slice(1)}\n\n${trafficTable(framework, results, nodes)}`).join("\n\n")}

## Inside the process

${table(
  ["CPU µs of one call of the middleware", ...nodes],
  Object.keys(results[0].calls).map((name) => [name, ...results.map(({ calls }) => calls[name].toFixed(2))]),
)}

## Memory

${table(
  ["bytes", ...nodes],
  [
    ["one remembered token, whatever its length", ...results.map(({ memory }) => `${Math.round(memory.perToken)}`)],
    ["one token more, once the cache is full", ...results.map(({ memory }) => `${Math.round(memory.growth)}`)],
  ],
)}

## Versions

${versions()}
`;
  return format(markdown, { parser: "markdown", printWidth: 120 });
}

/** The releases stand beside each other. */
function trafficTable(framework, results, nodes) {
  const [{ http }] = results;
  const rows = Object.entries(http[framework]).flatMap(([workload, contestants]) => {
    const all = Object.entries(contestants);
    const [reference] = workloads[workload].references.flatMap((role) =>
      all.filter(([, { roles }]) => roles.includes(role)),
    );
    return all.map(([name, { title }], i) => [
      i === 0 ? workloads[workload].title : "",
      title,
      ...results.flatMap((result) => {
        const { turns } = result.http[framework][workload][name];
        const to = result.http[framework][workload][reference[0]].turns;
        const [rates, cpus] = ["rate", "cpu"].map((what) => turns.map((turn) => turn[what]));
        const [toRates, toCpus] = ["rate", "cpu"].map((what) => to.map((turn) => turn[what]));
        const ratios = [pairedRatio(rates, toRates), pairedRatio(toCpus, cpus)];
        return [`${Math.round(median(rates))}`, median(cpus).toFixed(1), ...ratios.map((ratio) => ratio.toFixed(2))];
      }),
    ]);
  });
  return table(["", "", ...nodes.flatMap((node) => [`${node}: requests/s`, "CPU µs", "ratio", "by CPU"])], rows);
}

export function table(head, rows, align = "--:") {
  const alignment = head.map((text, column) => (text === "" || column === 0 ? "---" : align));
  return [head, alignment, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Of everything that takes part: what bench/ installs, and what it borrows from the root. */
export function versions() {
  const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
  const own = Object.keys(dependencies).filter((name) => !/^(node\d+|autocannon|selfsigned|tinybench)$/.test(name));
  return [...own, "express", "fastify", "hono", "jose", "koa"].map((name) => `${name} ${versionOf(name)}`).join(", ");
}

function versionOf(name) {
  const files = ["", "../"].map((at) => `${import.meta.dirname}/${at}node_modules/${name}/package.json`);
  return JSON.parse(readFileSync(files.find(existsSync), "utf8")).version;
}
