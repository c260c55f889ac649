/** What a run comes to: the figures, and the checks that it passed or failed. */

import { percentile } from "../support/percentile.js";
import { countFetches, MOST_IN_COOLDOWN, type FetchCount } from "./fetch-bounds.js";
import type { RequestRecord } from "./load.js";
import { NOT_SURE_TO_HAPPEN, Oracle, REASONS, type Evidence, type Reason } from "./oracle.js";
import { FAULT_KINDS } from "./schedule.js";
import type { ServerReport } from "./server.js";
import type { Span } from "./spans.js";
import { TRAFFIC_CLASSES } from "./traffic.js";
import { countWaiting, type Waiting } from "./waiting.js";

export interface Report {
  readonly lines: readonly string[];
  readonly passed: number;
  readonly failed: number;
}

/** Bytes that the server may hold after a run beyond what it held before it. Its caches are full then. */
const MOST_HEAP_GROWTH = 16 * 2 ** 20;
/** Of those sent beside a fetch that hangs: the machine may be slow, but if they wait, it is all of them. */
const LEAST_ANSWERED_MEANWHILE = 0.5;
const ENOUGH_TO_TELL = 10;
const MOST_SHOWN = 20;

export function createReport(evidence: Evidence, server: ServerReport): Report {
  const findings = find(evidence, server);
  const checks = listChecks(findings);
  const passed = checks.filter(([, problems]) => problems.length === 0).length;
  return {
    lines: [
      ...listFigures(findings).map(([name, value]) => `${name.padEnd(56)}${value}`),
      "",
      ...checks.flatMap(([name, problems]) => [
        `${problems.length === 0 ? "passed" : "FAILED"}  ${name}`,
        ...problems.slice(0, MOST_SHOWN).map((problem) => `        ${problem}`),
        ...(problems.length > MOST_SHOWN ? [`        and ${problems.length - MOST_SHOWN} more`] : []),
      ]),
    ],
    passed,
    failed: checks.length - passed,
  };
}

interface Findings {
  readonly evidence: Evidence;
  readonly server: ServerReport;
  readonly oracle: Oracle;
  readonly reasons: ReadonlyMap<Reason, number>;
  readonly wrongAccepts: readonly RequestRecord[];
  readonly wrongRefusals: readonly RequestRecord[];
  /** By deployment. */
  readonly fetchCounts: readonly FetchCount[];
  readonly waiting: Waiting;
  readonly faultsMet: ReadonlyMap<string, number>;
}

function find(evidence: Evidence, server: ServerReport): Findings {
  const oracle = new Oracle(evidence);
  const reasons = new Map<Reason, number>();
  const wrong: RequestRecord[] = [];
  for (const request of evidence.requests) {
    const reason = oracle.judge(request);
    if (reason === undefined) wrong.push(request);
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const deployments = oracle.keys.map(({ startedByUnknownKid }, deployment) => ({
    fetches: evidence.fetches[deployment] ?? [],
    startedByUnknownKid,
    served: evidence.requests.flatMap(({ truth, outcome, sentAt, answeredAt }): Span[] =>
      truth.kind === "token" && truth.deployment === deployment && outcome === "accepted" ? [[sentAt, answeredAt]] : [],
    ),
  }));
  const waiting = deployments.map(({ fetches, served }) => countWaiting(fetches, served));
  return {
    evidence,
    server,
    oracle,
    reasons,
    wrongAccepts: wrong.filter(({ outcome }) => outcome === "accepted"),
    wrongRefusals: wrong.filter(({ outcome }) => outcome !== "accepted"),
    fetchCounts: deployments.map(countFetches),
    waiting: {
      sent: sum(waiting.map(({ sent }) => sent)),
      answeredMeanwhile: sum(waiting.map(({ answeredMeanwhile }) => answeredMeanwhile)),
    },
    faultsMet: countBy(evidence.fetches.flat().flatMap(({ fault }) => fault ?? [])),
  };
}

function listChecks(findings: Findings): [name: string, problems: readonly string[]][] {
  const { evidence, server, oracle, reasons, waiting } = findings;
  const { sent, answeredMeanwhile } = waiting;
  const theyWaited = sent >= ENOUGH_TO_TELL && answeredMeanwhile < sent * LEAST_ANSWERED_MEANWHILE;
  const growth = heapGrowth(server);
  return [
    ["nobody was wrongly accepted", findings.wrongAccepts.map((request) => describe(request, oracle))],
    ["nobody was wrongly refused", findings.wrongRefusals.map((request) => describe(request, oracle))],
    [
      "nobody who could be served waited for a fetch",
      theyWaited ? [`of ${sent} sent beside one that hung, ${answeredMeanwhile} were answered meanwhile`] : [],
    ],
    [
      "the key endpoints were asked neither too often nor too late",
      findings.fetchCounts.flatMap(({ excesses }) => excesses),
    ],
    [
      `the server holds at most ${mebibytes(MOST_HEAP_GROWTH)} more than before`,
      growth > MOST_HEAP_GROWTH ? [`it holds ${mebibytes(growth)} more`] : [],
    ],
    ["every class of traffic was sent", missing(TRAFFIC_CLASSES, countBy(evidence.requests.map(({ what }) => what)))],
    ["every kind of fault was met by a fetch", missing(FAULT_KINDS, findings.faultsMet)],
    ["every situation was lived through", missing(SURE_TO_HAPPEN, reasons)],
  ];
}

const SURE_TO_HAPPEN = REASONS.filter((reason) => !NOT_SURE_TO_HAPPEN.includes(reason));

function listFigures(findings: Findings): [name: string, value: string][] {
  const { evidence, server, reasons, fetchCounts, waiting } = findings;
  const { schedule, requests } = evidence;
  const { deployments, duration } = schedule;
  const seconds = duration / 1_000;
  const durationOf = ({ sentAt, answeredAt }: RequestRecord) => answeredAt - sentAt;
  const latency = (of: readonly RequestRecord[]) =>
    [0.5, 0.99].map((rank) => `p${rank * 100} ${ms(percentile(of.map(durationOf), rank))}`).join(", ");
  const isWithin = (at: number) => at >= 0 && at < duration;
  const keys = deployments.flatMap((deployment) => deployment.keys.map(({ published }) => published));
  const livedThrough: [count: number, what: string][] = [
    [keys.filter(([from]) => isWithin(from)).length, "rotations"],
    [keys.filter(([, to]) => isWithin(to)).length, "keys revoked"],
    [server.revocations.length, "agents revoked"],
    [deployments.flatMap(({ faults }) => faults).filter(({ span }) => isWithin(span[0])).length, "endpoint failures"],
    [deployments.flatMap(({ floods }) => floods).filter(([from]) => isWithin(from)).length, "floods"],
    [schedule.storeFaults.filter(({ span }) => isWithin(span[0])).length, "store failures"],
  ];
  const perDeployment = fetchCounts.map(({ total, failed }, i) => `/d${i} ${total}, ${failed} of them failed`);
  const [heapBefore, heapAfter] = server.heap;
  return [
    ["requests", `${requests.length} in ${seconds} s, ${(requests.length / seconds).toFixed()} a second`],
    ["wrong accepts", String(findings.wrongAccepts.length)],
    ["wrong refusals", String(findings.wrongRefusals.length)],
    ...REASONS.map((reason): [string, string] => [reason, String(reasons.get(reason) ?? 0)]),
    ["503s in all", String(sum(REASONS.map((reason) => (reason.startsWith("503") ? (reasons.get(reason) ?? 0) : 0))))],
    ["lived through", livedThrough.map(([count, what]) => `${count} ${what}`).join(", ")],
    ["faults met", Array.from(findings.faultsMet, ([kind, count]) => `${kind} ${count}`).join(", ")],
    ["JWKS fetches", perDeployment.join("; ")],
    ["given up, or so late that one cannot tell", String(sum(fetchCounts.map(({ unclear }) => unclear)))],
    ["most in one cooldown", `${Math.max(...fetchCounts.map((c) => c.mostInCooldown))} (bound ${MOST_IN_COOLDOWN})`],
    ["accepted beside a fetch that hung", `${waiting.sent}, ${waiting.answeredMeanwhile} of them while it hung`],
    ["latency", latency(requests)],
    ["latency, hot tokens", latency(requests.filter(({ what }) => what === "hot token"))],
    [
      "server's memory",
      `peak ${mebibytes(server.peakMemory)}; heap ${mebibytes(heapBefore)} before, ${mebibytes(heapAfter)} after`,
    ],
    ["server's event loop", `delayed by p99 ${ms(server.eventLoopDelay.p99)}, max ${ms(server.eventLoopDelay.max)}`],
  ];
}

function describe(request: RequestRecord, oracle: Oracle): string {
  const { what, path, sentAt, answeredAt, outcome, identity, truth } = request;
  const span = `${(sentAt / 1000).toFixed(3)}–${(answeredAt / 1000).toFixed(3)} s`;
  const kid = truth.kind === "token" ? ` (${truth.kid})` : "";
  const right = oracle.possibleOutcomes(request);
  const got = right.includes(outcome) ? `${outcome} as ${identity ?? "nobody"}` : outcome;
  return `${span} ${path}: ${what}${kid}: ${got}; right: ${right.join(" or ") || "nothing that is known"}`;
}

function missing(names: readonly string[], counts: ReadonlyMap<string, number>): string[] {
  return names.filter((name) => !counts.has(name)).map((name) => `never: ${name}`);
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function heapGrowth({ heap: [before, after] }: ServerReport): number {
  return after - before;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
const ms = (duration: number) => `${duration.toFixed(1)} ms`;
const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
