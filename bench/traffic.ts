/**
 * HTTP load on every contestant. All servers run, each in its own process, but only one of them is under load at a
 * time, and turns are short: whatever else the machine does then hits everybody alike. Many generations of servers,
 * because one process of the same code can be luckier than the next by a tenth.
 */

import type { Trust } from "./backend.js";
import { inBalancedOrder } from "./balanced-order.js";
import {
  expressNames,
  koaNames,
  letEverybodyThrough,
  type ContestantName,
  type ExpressName,
  type KoaName,
} from "./contestants.js";
import type { LoadOrder, LoadResult } from "./load.js";
import type { Plan } from "./plan.js";
import { startChild, type Child } from "./processes.js";
import { median, pairedRatio, percentile, type PairedRatio } from "./statistics.js";
import { FIRST_SEEN_FROM, HOT_TOKENS, WARM_UP_TOKENS, type RefusedTokens } from "./tokens.js";

export type TrafficKind = "hot" | "firstSeen";

/** Medians of all turns. */
export interface TrafficResult<Name extends ContestantName> {
  requestsPerSecond: number;
  /** Of requests per second, turn by turn, to everybody in the same contest. */
  ratioTo: Record<Name, PairedRatio>;
  /** ms. */
  p99: number;
  /** µs of the server process, with its garbage collector and its thread pool, for one request. */
  cpuPerRequest: number;
  /** Not a median: the most that one server made in its life, cold start included. */
  jwksFetches: number;
}

export type ContestResults<Name extends ContestantName> = Record<Name, TrafficResult<Name>>;

export interface TrafficResults {
  express: Record<TrafficKind, ContestResults<ExpressName>>;
  koa: Record<TrafficKind, ContestResults<KoaName>>;
}

export interface TrafficSetting {
  readonly plan: Plan;
  readonly trust: Trust;
  readonly takeFetchCount: () => number;
  readonly tokenFile: string;
  readonly refusedTokens: RefusedTokens;
  readonly log: (line: string) => void;
}

export async function measureTraffic(setting: TrafficSetting): Promise<TrafficResults> {
  const { plan, tokenFile, log } = setting;
  const express: Contest<ExpressName>[] = [];
  const koa: Contest<KoaName>[] = [];
  const load = startChild("load.ts");
  try {
    await load.ask({ read: { tokenFile, count: FIRST_SEEN_FROM + plan.firstSeenTokens } });
    for (let generation = 1; generation <= plan.generations; generation++) {
      log(`HTTP, generation ${generation} of ${plan.generations}, Express`);
      express.push(await holdContest(expressNames, plan.hotRequests.express, generation, load, setting));
      log(`HTTP, generation ${generation} of ${plan.generations}, Koa`);
      koa.push(await holdContest(koaNames, plan.hotRequests.koa, generation, load, setting));
    }
  } finally {
    await load.stop();
  }
  return {
    express: { hot: summarize(expressNames, "hot", express), firstSeen: summarize(expressNames, "firstSeen", express) },
    koa: { hot: summarize(koaNames, "hot", koa), firstSeen: summarize(koaNames, "firstSeen", koa) },
  };
}

interface Turn {
  requestsPerSecond: number;
  p99: number;
  cpuPerRequest: number;
}

/** What one generation of servers did: each had a turn in each round, and they are here in the order of the rounds. */
type Contest<Name extends ContestantName> = Record<Name, { turns: Record<TrafficKind, Turn[]>; jwksFetches: number }>;

async function holdContest<Name extends ContestantName>(
  names: readonly Name[],
  hotRequests: number,
  generation: number,
  load: Child,
  setting: TrafficSetting,
): Promise<Contest<Name>> {
  const { plan, trust, takeFetchCount, refusedTokens } = setting;
  const { rounds } = plan;
  const servers = names.map((name) => ({ name, process: startChild("server.ts"), url: "" }));
  const contest: Contest<Name> = mapNames(names, () => ({ turns: { hot: [], firstSeen: [] }, jwksFetches: 0 }));
  const hot = { from: 0, count: HOT_TOKENS };
  const tokensOfTurn = Math.floor(plan.firstSeenTokens / rounds);
  const orders = {
    hot: { warmUp: { ...hot, requests: rounds * hotRequests }, ofRound: () => ({ ...hot, requests: hotRequests }) },
    firstSeen: {
      warmUp: { from: HOT_TOKENS, count: WARM_UP_TOKENS },
      ofRound: (round: number) => ({ from: FIRST_SEEN_FROM + round * tokensOfTurn, count: tokensOfTurn }),
    },
  };
  try {
    takeFetchCount();
    for (const server of servers) {
      server.url = (await server.process.ask({ listen: { name: server.name, trust } })) as string;
      const { name, url } = server;
      // The first requests meet a cold server, many at once: whoever fetches the keys for each of them is found out.
      await send(load, { url, ...hot });
      if (!letEverybodyThrough.has(name)) await expectRefusals(name, url, refusedTokens);
      contest[name].jwksFetches += takeFetchCount();
    }
    // The hot tokens first: those that are seen once would push them out of a small cache.
    for (const kind of ["hot", "firstSeen"] as const) {
      const { warmUp, ofRound } = orders[kind];
      for (const { name, url } of servers) {
        await send(load, { url, ...warmUp });
        contest[name].jwksFetches += takeFetchCount();
      }
      for (let round = 0; round < rounds; round++) {
        for (const { name, process, url } of inBalancedOrder(servers, generation * rounds + round)) {
          contest[name].turns[kind].push(await takeTurn(process, load, { url, ...ofRound(round) }));
          contest[name].jwksFetches += takeFetchCount();
        }
      }
    }
  } finally {
    await Promise.all(servers.map(({ process }) => process.stop()));
  }
  return contest;
}

async function takeTurn(server: Child, load: Child, order: LoadOrder): Promise<Turn> {
  const cpuTime = async () => (await server.ask({ cpuTime: true })) as number;
  const cpuBefore = await cpuTime();
  const { latencies, duration } = await send(load, order);
  return {
    requestsPerSecond: latencies.length / (duration / 1000),
    p99: percentile(latencies, 0.99),
    cpuPerRequest: ((await cpuTime()) - cpuBefore) / latencies.length,
  };
}

async function send(load: Child, order: LoadOrder): Promise<LoadResult> {
  return (await load.ask({ send: order })) as LoadResult;
}

/**
 * A contestant that lets these through is fast for the wrong reason. Not among them: a token of an unknown key, which
 * makes some fetch the keys again; the fetches that are counted are for good tokens.
 */
async function expectRefusals(name: ContestantName, url: string, refusedTokens: RefusedTokens): Promise<void> {
  for (const flaw of ["missing", "malformed", "expired", "ofAnotherIssuer", "forAnotherAudience", "forged"] as const) {
    const token = flaw === "missing" ? undefined : refusedTokens[flaw];
    const response = await fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
    await response.body?.cancel();
    if (response.status !== 401) throw new Error(`${name} answers ${response.status} to a token that is ${flaw}`);
  }
}

function summarize<Name extends ContestantName>(
  names: readonly Name[],
  kind: TrafficKind,
  generations: readonly Contest<Name>[],
): ContestResults<Name> {
  const turnsOf = (name: Name, member: keyof Turn) =>
    generations.flatMap((contest) => contest[name].turns[kind].map((turn) => turn[member]));
  return mapNames(names, (name) => {
    const rates = turnsOf(name, "requestsPerSecond");
    return {
      requestsPerSecond: median(rates),
      ratioTo: mapNames(names, (other) => pairedRatio(rates, turnsOf(other, "requestsPerSecond"))),
      p99: median(turnsOf(name, "p99")),
      cpuPerRequest: median(turnsOf(name, "cpuPerRequest")),
      jwksFetches: Math.max(...generations.map((contest) => contest[name].jwksFetches)),
    };
  });
}

function mapNames<Name extends ContestantName, T>(names: readonly Name[], map: (name: Name) => T): Record<Name, T> {
  return Object.fromEntries(names.map((name) => [name, map(name)])) as Record<Name, T>;
}
