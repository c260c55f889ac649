/**
 * HTTP load on every contestant. All servers run, each in its own process, but only one of them is under load at a
 * time, in short turns: whatever else the machine does then hits everybody alike. Several generations of servers,
 * because one process may be luckier than the next.
 */

import type { Trust } from "./backend.js";
import { contestantNames, type ContestantName } from "./contestants.js";
import type { LoadOrder, LoadResult } from "./load.js";
import type { Plan } from "./plan.js";
import { startChild, type Child } from "./processes.js";
import { median, percentile } from "./statistics.js";
import { FIRST_SEEN_FROM, HOT_TOKENS, WARM_UP_TOKENS, type RefusedTokens } from "./tokens.js";

export type TrafficKind = "hot" | "firstSeen";

/** Medians of all turns. */
export interface TrafficResult {
  requestsPerSecond: number;
  /** Between which two rates the middle half of the turns lay: wide apart, if the machine was not quiet. */
  middleHalf: [number, number];
  /** Of the medians of requests per second. */
  ratioToBare: number;
  /** ms. */
  p99: number;
  /** µs of the server process, with its garbage collector and its thread pool, for one request. */
  cpuPerRequest: number;
  /** Not a median: the most that one server made in its life, cold start included. */
  jwksFetches: number;
}

export type TrafficResults = Record<TrafficKind, Record<ContestantName, TrafficResult>>;

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
  const generations: Record<TrafficKind, Contest[]> = { hot: [], firstSeen: [] };
  const load = startChild("load.ts");
  try {
    await load.ask({ read: { tokenFile, count: FIRST_SEEN_FROM + plan.firstSeenTokens } });
    for (let generation = 1; generation <= plan.generations; generation++) {
      for (const kind of ["hot", "firstSeen"] as const) {
        log(`HTTP, ${kind}, generation ${generation} of ${plan.generations}`);
        generations[kind].push(await holdContest(kind, load, setting));
      }
    }
  } finally {
    await load.stop();
  }
  return { hot: summarize(generations.hot), firstSeen: summarize(generations.firstSeen) };
}

type Turn = Pick<TrafficResult, "requestsPerSecond" | "p99" | "cpuPerRequest">;

/** What one generation of servers did. */
type Contest = Record<ContestantName, { turns: Turn[]; jwksFetches: number }>;

async function holdContest(kind: TrafficKind, load: Child, setting: TrafficSetting): Promise<Contest> {
  const { plan, trust, takeFetchCount, refusedTokens } = setting;
  const servers = contestantNames.map((name) => ({ name, process: startChild("server.ts"), url: "" }));
  const contest = Object.fromEntries(
    contestantNames.map((name) => [name, { turns: [], jwksFetches: 0 }]),
  ) as unknown as Contest;
  try {
    for (const server of servers) {
      server.url = (await server.process.ask({ listen: { name: server.name, trust } })) as string;
    }
    takeFetchCount();
    for (const { name, url } of servers) {
      // The first requests meet a cold server, many at once: whoever fetches the keys for each of them is found out.
      await send(load, { url, from: HOT_TOKENS, count: WARM_UP_TOKENS });
      if (kind === "hot") await send(load, { url, from: 0, count: HOT_TOKENS, seconds: plan.hotSeconds });
      if (name !== "bare") await expectRefusals(name, url, refusedTokens);
      contest[name].jwksFetches += takeFetchCount();
    }
    for (let round = 0; round < plan.rounds; round++) {
      for (const { name, process, url } of inBalancedOrder(servers, round)) {
        const tokens = Math.floor(plan.firstSeenTokens / plan.rounds);
        const order =
          kind === "hot"
            ? { url, from: 0, count: HOT_TOKENS, seconds: plan.hotSeconds }
            : { url, from: FIRST_SEEN_FROM + round * tokens, count: tokens };
        contest[name].turns.push(await takeTurn(process, load, order));
        contest[name].jwksFetches += takeFetchCount();
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
  const { requests, requestsPerSecond, p99 } = await send(load, order);
  return { requestsPerSecond, p99, cpuPerRequest: ((await cpuTime()) - cpuBefore) / requests };
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

function summarize(generations: readonly Contest[]): Record<ContestantName, TrafficResult> {
  const turnsOf = (name: ContestantName) => generations.flatMap((contest) => contest[name].turns);
  const medianOf = (name: ContestantName, member: keyof Turn) => median(turnsOf(name).map((turn) => turn[member]));
  const bare = medianOf("bare", "requestsPerSecond");
  const results = contestantNames.map((name): [ContestantName, TrafficResult] => {
    const rates = turnsOf(name).map(({ requestsPerSecond }) => requestsPerSecond);
    const requestsPerSecond = median(rates);
    return [
      name,
      {
        requestsPerSecond,
        middleHalf: [percentile(rates, 0.25), percentile(rates, 0.75)],
        ratioToBare: requestsPerSecond / bare,
        p99: medianOf(name, "p99"),
        cpuPerRequest: medianOf(name, "cpuPerRequest"),
        jwksFetches: Math.max(...generations.map((contest) => contest[name].jwksFetches)),
      },
    ];
  });
  return Object.fromEntries(results) as Record<ContestantName, TrafficResult>;
}

/**
 * A Williams design: with an even number of contestants, in as many rounds everybody has had every place once, and has
 * followed everybody else once. What one leaves behind for the next (a busy kernel, a warm core) then favours nobody.
 */
function inBalancedOrder<T>(list: readonly T[], round: number): T[] {
  return list.flatMap((_, place) => {
    const step = place % 2 === 0 ? list.length - place / 2 : (place + 1) / 2;
    const item = list[(step + round) % list.length];
    return item === undefined ? [] : [item];
  });
}
