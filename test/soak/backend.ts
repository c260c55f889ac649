/** The backends of all deployments, in a process of their own: key endpoints that fail as scheduled, and note each fetch. */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { answerParent } from "../support/processes.js";
import { createRunClock, type RunClock } from "./clock.js";
import { createRandom, type Random } from "./random.js";
import type { DeploymentSchedule, FaultKind, Schedule } from "./schedule.js";
import { ASKED_AT_HEADER, RETRY_AFTER } from "./settings.js";

type Jwk = Record<string, unknown>;

export interface BackendSetUp {
  readonly schedule: Schedule;
  /** The public half of every scheduled key, by deployment. */
  readonly publicKeys: readonly (readonly Jwk[])[];
  /** What answers that have to be refused are made of: a key that must never be trusted. */
  readonly refusedKey: Jwk;
}

export type BackendQuestion = { setUp: BackendSetUp } | { beginAt: number } | { report: true };

/** One fetch as the endpoint saw it; times in ms since the start of the run. */
export interface JwksFetchRecord {
  readonly deployment: number;
  /** When the server asked for it, by its own word: it writes the time into the request. */
  readonly askedAt: number;
  readonly arrivedAt: number;
  /** When the answer was about to be sent. */
  answeredAt: number | null;
  /** When the server had closed the connection: it had the answer then, or wanted it no more. */
  closedAt: number | null;
  /** Whether all of the answer was sent. */
  isComplete: boolean;
  /** What a good answer published; `null` if there was none. */
  readonly kids: readonly string[] | null;
  /** How it was answered, if not well. */
  readonly fault: FaultKind | null;
}

/** ms that a good answer may take. */
const LONGEST_LATENCY = 120;
const JWKS_PATH = /^\/d(\d+)\/backend-api\/wham\/agent-identities\/jwks$/;

const fetches: JwksFetchRecord[] = [];
let clock: RunClock = () => -1;

answerParent((question: BackendQuestion) => {
  if ("setUp" in question) return listen(question.setUp);
  if ("beginAt" in question) return void (clock = createRunClock(question.beginAt));
  return fetches;
});

async function listen({ schedule, publicKeys, refusedKey }: BackendSetUp): Promise<string> {
  const endpoints = schedule.deployments.map((deployment, index) => ({
    deployment,
    jwks: publicKeys[index] ?? [],
    random: createRandom(schedule.seed, "endpoint", index),
    faultsMet: new Map<object, number>(),
  }));
  const server = createServer((req, res) => {
    const index = Number(JWKS_PATH.exec(req.url ?? "")?.[1] ?? NaN);
    const endpoint = endpoints[index];
    const askedAt = Number(req.headers[ASKED_AT_HEADER] ?? NaN);
    res.setHeader("Connection", "keep-alive"); // or it would be closed by us, which says nothing of the server
    if (endpoint && askedAt >= 0) serveKeys(res, index, askedAt, endpoint, JSON.stringify({ keys: [refusedKey] }));
    else res.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Endpoint {
  readonly deployment: DeploymentSchedule;
  readonly jwks: readonly Jwk[];
  readonly random: Random;
  readonly faultsMet: Map<object, number>;
}

function serveKeys(res: ServerResponse, index: number, askedAt: number, endpoint: Endpoint, refusedSet: string): void {
  const arrivedAt = clock();
  const fault = nextFault(endpoint, arrivedAt);
  const published = endpoint.deployment.keys.flatMap(({ kid, published: [from, to] }, i) =>
    from <= arrivedAt && arrivedAt < to ? [{ kid, jwk: endpoint.jwks[i] }] : [],
  );
  const record: JwksFetchRecord = {
    deployment: index,
    askedAt,
    arrivedAt,
    answeredAt: null,
    closedAt: null,
    isComplete: false,
    kids: fault === null ? published.map(({ kid }) => kid) : null,
    fault,
  };
  fetches.push(record);
  res.socket?.once("close", () => {
    record.closedAt = clock();
    record.isComplete = res.writableFinished;
  });
  if (fault !== null) {
    FAULTS[fault](res, refusedSet);
    return;
  }
  // What is published is decided now; it may be old by the time that it arrives.
  const body = JSON.stringify({ keys: published.map(({ jwk }) => jwk) });
  setTimeout(
    () => {
      record.answeredAt = clock();
      res.setHeader("Content-Type", "application/json").end(body);
    },
    endpoint.random.between(0, LONGEST_LATENCY),
  );
}

function nextFault({ deployment, faultsMet }: Endpoint, at: number): FaultKind | null {
  const fault = deployment.faults.find(({ span: [from, to] }) => from <= at && at < to);
  if (!fault) return null;
  const met = faultsMet.get(fault) ?? 0;
  faultsMet.set(fault, met + 1);
  return fault.kinds[met % fault.kinds.length] ?? null;
}

/** @param refusedSet a key set that would be good, if the answer were */
const FAULTS: Record<FaultKind, (res: ServerResponse, refusedSet: string) => void> = {
  "status 500": (res, refusedSet) => void res.writeHead(500).end(refusedSet),
  "status 429": (res, refusedSet) => void res.writeHead(429, { "Retry-After": RETRY_AFTER }).end(refusedSet),
  garbage: (res) => void res.end("<html>Bad gateway</html>"),
  oversized: (res, refusedSet) => void res.end(refusedSet.padEnd(256 * 1024 + 1)),
  "no usable key": (res) => void res.end('{"keys":[]}'),
  "cut off": (res, refusedSet) => {
    res.writeHead(200, { "Content-Length": 9_999 }).write(refusedSet, () => res.destroy());
  },
  hanging: () => undefined,
  dripping: (res, refusedSet) => {
    const drip = (at: number) => {
      if (!res.destroyed && at < refusedSet.length)
        res.write(refusedSet.charAt(at), () => setTimeout(drip, 20, at + 1));
    };
    drip(0);
  },
};
