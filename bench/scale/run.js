/** `npm run bench:scale -- [--agents 10000,100000] [--node 24]`: floods, mounts, many agents, a fleet. Writes SCALE.md. */

import { writeFileSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";
import { format } from "prettier";
import { nodeOf } from "../processes.js";
import { table } from "../report.js";
import { measureFleets } from "./fleet.js";
import { measureFloods } from "./floods.js";
import { measurePopulations } from "./populations.js";

const { values: given } = parseArgs({
  options: { agents: { type: "string", default: "10000,100000" }, node: { type: "string", default: "24" } },
});
const node = nodeOf(given.node);
const load = os.loadavg()[0].toFixed(1);

const floods = await measureFloods(node);
const { mounts, populations } = await measurePopulations(node, given.agents.split(",").map(Number));
const fleets = await measureFleets(node);

const markdown = `
# Scale

Written by \`npm run bench:scale\` on ${new Date().toISOString().slice(0, 10)}, with Node ${given.node}, on ${os.cpus()[0].model}, ${os.cpus().length} cores. The
load average was ${load} when the run began.

## What an agent notices of a flood

An agent whose token is remembered asks once at a time, while 40 connections send the same bad request as fast as the server answers.
The server has one core. Times are those of the agent: the median of five runs each. jose by hand is Express with \`jwtVerify\`; it knows no
AgentAssertions. A bare server answers everything with 200.

${table(["flood", "server", "refused a second", "agent p50 ms", "agent p99 ms"], floods)}

## Mounts on one route

CPU time of all mounts together, for one request with a remembered token.

${table(["mounts of one factory", "CPU µs"], mounts)}

## Many agents

One token of each agent is remembered. Then 10 000 of the agents call by turns.

${table(["agents", "bytes for each", "CPU µs of a call"], populations)}

## A fleet with one Redis

Processes of \`node:cluster\` share a port and a Redis, in which their key set is. The load generator and Redis use the same two cores, so two
processes cannot be twice as fast here. \`cacheMaxAge\` is 4 s, and the endpoint takes 50 ms.

${table(["processes", "requests a second", "CPU µs a request", "fetches in each cacheMaxAge, all together", "MiB for each process"], fleets)}
`;
writeFileSync(new URL("../SCALE.md", import.meta.url), await format(markdown, { parser: "markdown", printWidth: 120 }));
