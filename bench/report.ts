/** RESULTS.md. */

import { format } from "prettier";
import type { AssertionTraffic } from "./assertion-traffic.js";
import type { Contestant, ContestantName } from "./contestants.js";
import type { ImportTimes } from "./import-time.js";
import type { InProcessResult } from "./in-process.js";
import { describeMachine, versionOf } from "./machine.js";
import type { MemorySample } from "./memory.js";
import type { Counts, MountsResult } from "./mounts.js";
import { CONNECTIONS, type Plan } from "./plan.js";
import { HOT_TOKENS, WARM_UP_TOKENS } from "./tokens.js";
import type { ContestResults, TrafficResult, TrafficResults } from "./traffic.js";

export interface Results {
  plan: Plan;
  contestants: Record<ContestantName, Contestant>;
  traffic: TrafficResults;
  inProcess: InProcessResult;
  memory: MemorySample[];
  assertions: AssertionTraffic;
  importTimes: ImportTimes;
  mounts: MountsResult;
}

const CACHE_SIZE = 10_000;

export async function renderReport(results: Results): Promise<string> {
  const { plan, traffic, assertions, inProcess, memory, importTimes, mounts } = results;
  const turns = plan.generations * plan.rounds;
  const markdown = `
# Results

Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}; \`npm run bench -- --quick\` is a smoke run that writes nothing. Absolute figures are
those of the machine: ${describeMachine()}. Compare the ratios.

![Requests per second, as a fraction of bare Express](results.svg)

## Over HTTP

Express ${versionOf("express")} with one route; each server in a process of its own, the load (${CONNECTIONS} connections, one request at a time on each) in another,
everything on loopback, and only one server under load at a time. Each contestant is set up as its own README says for
RS256 and a JWKS (fast-jwt with get-jwks), and checks signature, issuer, audience and expiry: before it was measured, it
refused a missing, a malformed, a forged and an expired token, one of another issuer and one for another audience.
Every measured request was answered with 200 and an agent's id.

Medians of ${turns} turns of each kind (generations of servers: ${plan.generations}, because one process of the same code can be luckier than the
next; rounds with each: ${plan.rounds}, in which everybody has a turn, of ${integer(plan.hotRequests.express)} requests with hot tokens). As many requests as all
turns with hot tokens, and ${integer(WARM_UP_TOKENS)} other tokens before the first-seen ones, warm each server up. A ratio is that of two turns of the
same round, so that a machine that is slower for a while does not spoil it, and the median of these ratios is not the ratio of
the medians. The _middle half_ of them lay in the range beside it: a wide one, if the machine had other things to do. _CPU_ is what the server
process used, garbage collector and thread pool included. _JWKS fetches_ are the most that one server made in its life,
with its cold start under the same load.

Two contestants, in italics, verify nothing: they show where the floor is. One sets a property of the request and goes on. The
other also reads the header and takes its SHA-256, without which no token can be looked up unless it is kept itself.

### Hot: ${HOT_TOKENS} tokens, again and again

${trafficTable(traffic.express.hot, { "of bare": "bare" }, results)}

### First-seen: ${integer(plan.firstSeenTokens)} tokens, each sent once

Each once to a server: the next generation starts with none of them.

${trafficTable(traffic.express.firstSeen, { "of bare": "bare", "of jose": "jose" }, results)}

### On Koa

Koa ${versionOf("koa")} without a router, in the same run and in the same way, but ${integer(plan.hotRequests.koa)} requests a turn with hot tokens. This package is there with its error handler, through which every
request goes on Koa, and without; the floor is of two handlers, as with it.

The same ${HOT_TOKENS} tokens, again and again:

${trafficTable(traffic.koa.hot, { "of bare": "bare-koa" }, results)}

${integer(plan.firstSeenTokens)} tokens, each sent once:

${trafficTable(traffic.koa.firstSeen, { "of bare": "bare-koa" }, results)}

### AgentAssertion, beside a bearer token

Another server, whose route takes both schemes; medians of the ratios of ${plan.assertions.rounds} interleaved rounds. Behind each assertion are
two look-ups in a directory (here: in memory), on every request.

${table(
  ["", "of bare"],
  [
    ["bearer token, of 100 again and again", ratio(assertions.bearer)],
    ["assertion, of 100 again and again: its signature is remembered", ratio(assertions.repeated)],
    ["assertion, each sent once: its signature is verified", ratio(assertions.firstSeen)],
  ],
)}

## Inside the process

µs for one call of the middleware, as Express calls it; medians of ${plan.batches} batches. A hit and the refusals of the first two
kinds end before the call returns. First-seen tokens are verified ${CONNECTIONS} at a time, by turns with \`jwtVerify\` by hand.

${table(
  ["", "µs"],
  [
    ["hit", decimal(inProcess.hit, 2)],
    ["SHA-256 of the token alone, for scale", decimal(inProcess.sha256, 2)],
    ["first-seen", decimal(inProcess.miss, 1)],
    ["first-seen, `jwtVerify` of `jose` by hand", decimal(inProcess.joseByHand, 1)],
    ["refused: malformed", decimal(inProcess.malformed, 2)],
    ["refused: expired", decimal(inProcess.expired, 2)],
    ["refused: unknown key, within the cooldown", decimal(inProcess.unknownKey, 2)],
  ],
)}

## Memory

Held (heap and external, after garbage collection) after so many distinct valid tokens through one verifier with the
default cache of ${integer(CACHE_SIZE)} tokens:

${table(
  ["distinct tokens", "MiB"],
  memory.map(({ tokens, bytes }) => [integer(tokens), decimal(mebibytes(bytes), 2)]),
)}

${memoryArithmetic(memory)}

## Import

${table(
  ["", `ms, median of ${plan.imports} fresh processes`],
  Object.entries(importTimes).map(([name, time]) => [`\`${name}\``, decimal(time, 1)]),
)}

\`agent-identity-auth\` includes the import of \`jose\`.

## Mounts and stampede

${table(
  ["", "JWKS fetches", "signatures verified", "from the cache"],
  [
    [
      `one request through ${integer(plan.mounts)} \`agentIdentityAuth(baseUrl)\` on one app`,
      ...countCells(mounts.mounts),
    ],
    [
      `${integer(plan.coldRequests)} cold requests at once, each with its own token`,
      ...countCells(mounts.coldRequests),
    ],
  ],
)}

## Versions

${versions(results)}
`;
  return format(markdown, { parser: "markdown", printWidth: 120 });
}

/** @param yardsticks what each ratio is to, by the head of its column; the first one ranks */
function trafficTable<Name extends ContestantName>(
  of: ContestResults<Name>,
  yardsticks: Record<string, Name>,
  { contestants }: Results,
): string {
  const columns = Object.entries(yardsticks);
  const ranking = ({ ratioTo }: TrafficResult<Name>) =>
    columns.map(([, yardstick]) => ratioTo[yardstick].median)[0] ?? 0;
  const ranked = (Object.entries(of) as [Name, TrafficResult<Name>][]).sort(([, a], [, b]) => ranking(b) - ranking(a));
  return table(
    [
      "",
      "requests/s",
      ...columns.flatMap(([head]) => [head, "middle half"]),
      "p99 ms",
      "CPU µs/request",
      "JWKS fetches",
    ],
    ranked.map(([name, result]) => {
      const { title, packages } = contestants[name];
      return [
        packages.includes("agent-identity-auth") ? `**${title}**` : title,
        integer(result.requestsPerSecond),
        ...columns.flatMap(([, yardstick]) => {
          const { median, middleHalf } = result.ratioTo[yardstick];
          return [ratio(median), yardstick === name ? "" : middleHalf.map(ratio).join(" – ")];
        }),
        decimal(result.p99, 1),
        integer(result.cpuPerRequest),
        integer(result.jwksFetches),
      ];
    }),
  );
}

function memoryArithmetic(memory: readonly MemorySample[]): string {
  const full = memory.find(({ tokens }) => tokens === CACHE_SIZE);
  const last = memory.at(-1);
  if (!full || !last || last === full) throw new Error("the flood must fill the cache and go on");
  const perToken = full.bytes / full.tokens;
  const growth = (last.bytes - full.bytes) / (last.tokens - full.tokens);
  const unbounded = mebibytes(perToken * 1e6);
  return `A cached token holds ${integer(perToken)} bytes, whatever its length: it is kept as its SHA-256 and the verified identity. Once the
cache is full, another ${integer(last.tokens - full.tokens)} tokens changed what is held by ${decimal(growth, 1)} bytes each. A million distinct tokens are therefore
${integer(CACHE_SIZE)} × ${integer(perToken)} bytes = ${decimal(mebibytes(CACHE_SIZE * perToken), 1)} MiB, as ${integer(CACHE_SIZE)} are; a cache without a bound would hold ${integer(unbounded)} MiB.`;
}

function versions({ contestants }: Results): string {
  const packages = new Set(Object.values(contestants).flatMap(({ packages }) => packages));
  return [...packages].map((name) => `${name} ${versionOf(name)}`).join(", ");
}

function countCells({ jwksFetches, verified, fromCache }: Counts): string[] {
  return [jwksFetches, verified, fromCache].map(integer);
}

/** The first column is text; all others are figures. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const alignment = head.map((_, column) => (column === 0 ? "---" : "--:"));
  return [head, alignment, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function integer(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, " ");
}

function decimal(value: number, digits: number): string {
  return value.toFixed(digits);
}

function ratio(value: number): string {
  return value.toFixed(2);
}

function mebibytes(bytes: number): number {
  return bytes / 2 ** 20;
}
