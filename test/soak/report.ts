/** What a run comes to: the figures, and the checks that it passed or failed. */

import { percentile } from "../../bench/statistics.js";
import { countFetches, MOST_IN_COOLDOWN } from "./fetch-bounds.js";
import type { RequestRecord } from "./load.js";
import { NOT_SURE_TO_HAPPEN, Oracle, REASONS, type Evidence, type Reason } from "./oracle.js";
import { FAULT_KINDS } from "./schedule.js";
import type { ServerReport } from "./server.js";
import type { Span } from "./spans.js";
import { TRAFFIC_CLASSES } from "./traffic.js";

export interface Report {
  readonly lines: readonly string[];
  readonly passed: number;
  readonly failed: number;
}

/** Bytes that the server may hold after a run beyond what it held before it. Its caches are full then. */
const MOST_HEAP_GROWTH = 64 * 2 ** 20;
const MOST_SHOWN = 20;

export function createReport(evidence: Evidence, server: ServerReport): Report {
  const { schedule, requests, fetches } = evidence;
  const oracle = new Oracle(evidence);
  const reasons = new Map<Reason, number>();
  const wrong: RequestRecord[] = [];
  for (const request of requests) {
    const reason = oracle.judge(request);
    if (reason === undefined) wrong.push(request);
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const wrongAccepts = wrong.filter(({ outcome }) => outcome === "accepted");
  const wrongRefusals = wrong.filter(({ outcome }) => outcome !== "accepted");
  const counts = oracle.keys.map((keys, deployment) =>
    countFetches({
      fetches: fetches.filter((fetch) => fetch.deployment === deployment),
      startedByUnknownKid: keys.startedByUnknownKid,
      served: requests
        .filter(
          ({ truth, outcome }) => truth.kind === "token" && truth.deployment === deployment && outcome === "accepted",
        )
        .map(({ sentAt, answeredAt }): Span => [sentAt, answeredAt]),
    }),
  );
  const excesses = counts.flatMap((count) => count.excesses);
  const sent = countBy(requests, ({ what }) => what);
  const met = countBy(fetches, ({ fault }) => fault ?? "none");
  const [heapBefore, heapAfter] = server.heap;

  const checks: [name: string, problems: readonly string[]][] = [
    ["nobody was wrongly accepted", wrongAccepts.map((request) => describe(request, oracle))],
    ["nobody was wrongly refused", wrongRefusals.map((request) => describe(request, oracle))],
    ["the key endpoints were asked neither too often nor too late", excesses],
    ["every class of traffic was sent", missing(TRAFFIC_CLASSES, sent)],
    ["every kind of fault was met by a fetch", missing(FAULT_KINDS, met)],
    [
      "every situation was lived through",
      missing(
        REASONS.filter((reason) => !NOT_SURE_TO_HAPPEN.includes(reason)),
        reasons,
      ),
    ],
    [
      `the server holds at most ${mebibytes(MOST_HEAP_GROWTH)} more than before`,
      heapAfter - heapBefore > MOST_HEAP_GROWTH ? [`it holds ${mebibytes(heapAfter - heapBefore)} more`] : [],
    ],
  ];

  const seconds = schedule.duration / 1_000;
  const durations = requests.map(({ sentAt, answeredAt }) => answeredAt - sentAt);
  const hot = requests.filter(({ what }) => what === "hot token").map((hot) => hot.answeredAt - hot.sentAt);
  const started = (spans: readonly { span: readonly [number, number] }[]) =>
    spans.filter(({ span: [from] }) => from < schedule.duration).length;
  const keys = schedule.deployments.flatMap((deployment) => deployment.keys.map(({ published }) => published));
  const within = (at: number) => at >= 0 && at < schedule.duration;
  const of503 = REASONS.filter((reason) => reason.startsWith("503"));
  const figures: [name: string, value: string][] = [
    ["requests", `${requests.length} in ${seconds} s, ${(requests.length / seconds).toFixed()} a second`],
    ["wrong accepts", String(wrongAccepts.length)],
    ["wrong refusals", String(wrongRefusals.length)],
    ...REASONS.map((reason): [string, string] => [reason, String(reasons.get(reason) ?? 0)]),
    ["503s in all", String(of503.reduce((sum, reason) => sum + (reasons.get(reason) ?? 0), 0))],
    [
      "lived through",
      [
        `${keys.filter(([from]) => within(from)).length} rotations`,
        `${keys.filter(([, to]) => within(to)).length} keys revoked`,
        `${server.revocations.length} agents revoked`,
        `${started(schedule.deployments.flatMap(({ faults }) => faults))} failures of a key endpoint`,
        `${schedule.deployments.flatMap(({ floods }) => floods).filter(([from]) => within(from)).length} floods`,
        `${started(schedule.storeFaults)} failures of the store`,
      ].join(", "),
    ],
    ["latency", `p50 ${ms(percentile(durations, 0.5))}, p99 ${ms(percentile(durations, 0.99))}`],
    ["latency, hot tokens", `p50 ${ms(percentile(hot, 0.5))}, p99 ${ms(percentile(hot, 0.99))}`],
    ["JWKS fetches", counts.map(({ total, failed }, i) => `/d${i} ${total}, ${failed} of them failed`).join("; ")],
    [
      "most in one cooldown",
      `${Math.max(...counts.map(({ mostInCooldown }) => mostInCooldown))} (bound ${MOST_IN_COOLDOWN})`,
    ],
    [
      "faults met",
      Array.from(met, ([kind, count]) => `${kind} ${count}`)
        .filter(isFault)
        .join(", "),
    ],
    [
      "server's memory",
      `peak ${mebibytes(server.peakMemory)}; heap ${mebibytes(heapBefore)} before, ${mebibytes(heapAfter)} after`,
    ],
    ["server's event loop", `delayed by p99 ${ms(server.eventLoopDelay.p99)}, max ${ms(server.eventLoopDelay.max)}`],
  ];

  const passed = checks.filter(([, problems]) => problems.length === 0).length;
  return {
    lines: [
      ...figures.map(([name, value]) => `${name.padEnd(56)}${value}`),
      "",
      ...checks.flatMap(([name, problems]) => [
        `${problems.length === 0 ? "passed" : "FAILED"}  ${name}`,
        ...shorten(problems),
      ]),
    ],
    passed,
    failed: checks.length - passed,
  };
}

function describe(request: RequestRecord, oracle: Oracle): string {
  const { what, path, sentAt, answeredAt, outcome, identity, truth } = request;
  const span = `${(sentAt / 1000).toFixed(3)}–${(answeredAt / 1000).toFixed(3)} s`;
  const kid = truth.kind === "token" ? ` (${truth.kid})` : "";
  const right = POSSIBLE_OUTCOMES.filter((possible) => oracle.judge(request, possible) !== undefined);
  const isMistaken = outcome === "accepted" && right.length === 0 && identity !== undefined;
  const got = isMistaken ? "accepted as somebody else" : outcome;
  return `${span} ${path}: ${what}${kid}: ${got}; right would have been: ${right.join(" or ")}`;
}

const POSSIBLE_OUTCOMES = [
  "accepted",
  "keys_unavailable",
  "directory_unavailable",
  "key_untrusted",
  "signature_invalid",
  "workspace_not_allowed",
  "token_expired",
  "assertion_invalid",
  "task_invalid",
];

function missing(names: readonly string[], counts: ReadonlyMap<string, number>): string[] {
  return names.filter((name) => !counts.has(name)).map((name) => `never: ${name}`);
}

function shorten(problems: readonly string[]): string[] {
  const shown = problems.slice(0, MOST_SHOWN).map((problem) => `        ${problem}`);
  return problems.length > MOST_SHOWN ? [...shown, `        and ${problems.length - MOST_SHOWN} more`] : shown;
}

function countBy<T>(list: readonly T[], nameOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of list) counts.set(nameOf(item), (counts.get(nameOf(item)) ?? 0) + 1);
  return counts;
}

const isFault = (line: string) => !line.startsWith("none ");
const ms = (duration: number) => `${duration.toFixed(1)} ms`;
const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
