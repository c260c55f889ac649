/** The server under test, in a process of its own: Express, one key resolver for each deployment, and an issuer's directory. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import express, { type Request, type Response } from "express";
import { agentIdentityAuth, agentIdentityErrorHandler, createJwksResolver } from "../../src/index.js";
import { createIssuer, type Issuer } from "../../src/issuer.js";
import { answerParent } from "../support/processes.js";
import { createRunClock, type RunClock } from "./clock.js";
import { FaultyStore } from "./faulty-store.js";
import type { Schedule } from "./schedule.js";
import { ALLOWED_ACCOUNT, ASKED_AT_HEADER, JWKS_OPTIONS, LASTING_AGENTS } from "./settings.js";
import type { Span } from "./spans.js";

export interface ServerSetUp {
  readonly schedule: Schedule;
  /** Of the backends. */
  readonly backendUrl: string;
}

export type ServerQuestion = { setUp: ServerSetUp } | { beginAt: number } | { report: true };

export interface RunningServer {
  readonly url: string;
  /** Tokens as they were minted: first those of agents that last, then of those that are revoked, in this order. */
  readonly agentTokens: readonly string[];
}

/** Times in ms since the start of the run. */
export interface FetchAsked {
  readonly deployment: number;
  readonly askedAt: number;
}

export interface ServerReport {
  readonly fetchesAsked: readonly FetchAsked[];
  /** When each of the agents to be revoked was: somewhere in this span. */
  readonly revocations: readonly Span[];
  /** ms. */
  readonly eventLoopDelay: { readonly p99: number; readonly max: number };
  /** Bytes. */
  readonly peakMemory: number;
  /** Bytes after a collection, before the first request and after the last one. */
  readonly heap: readonly [before: number, after: number];
}

/** So few that tokens are forgotten, and verified again. */
const REMEMBERED_TOKENS = 1_000;

let clock: RunClock = () => -1;
let schedule: Schedule;
let issuer: Issuer;
let revocable: readonly string[];
let heapBefore = 0;
const revocations: Span[] = [];
const fetchesAsked: FetchAsked[] = [];
const loop = monitorEventLoopDelay({ resolution: 10 });

// Each fetch of keys says when it was asked for, and is noted: the age of a key set is counted from then, and on a slow
// machine a fetch may be given up before it arrives anywhere. Nothing else is changed.
const fetchFromNetwork = globalThis.fetch;
globalThis.fetch = (url, init) => {
  const askedAt = clock();
  const deployment = /\/d(\d+)\//.exec(url as string)?.[1];
  if (deployment !== undefined) fetchesAsked.push({ deployment: Number(deployment), askedAt });
  const headers = { ...(init?.headers as Record<string, string>), [ASKED_AT_HEADER]: String(askedAt) };
  return fetchFromNetwork(url, { ...init, headers });
};

answerParent((question: ServerQuestion) => {
  if ("setUp" in question) return setUp(question.setUp);
  if ("beginAt" in question) return begin(question.beginAt);
  return report();
});

async function setUp({ schedule: given, backendUrl }: ServerSetUp): Promise<RunningServer> {
  schedule = given;
  issuer = await createIssuer({ store: new FaultyStore(schedule.storeFaults, () => clock()) });
  const agents = [];
  for (let i = 0; i < LASTING_AGENTS + schedule.agentRevocations.length; i++) {
    agents.push(await issuer.mint({ accountId: ALLOWED_ACCOUNT, chatgptUserId: "user-1", planType: "pro" }));
  }
  revocable = agents.slice(LASTING_AGENTS).map(({ agentRuntimeId }) => agentRuntimeId);

  const app = express();
  const sayWho = (req: Request, res: Response) => void res.json(req.agentIdentity);
  schedule.deployments.forEach((_, i) => {
    const baseUrl = `${backendUrl}/d${i}/backend-api`;
    const options = { jwks: createJwksResolver(baseUrl, JWKS_OPTIONS), tokenCache: { max: REMEMBERED_TOKENS } };
    const bearer = agentIdentityAuth(baseUrl, options);
    app.get(`/d${i}/bearer`, bearer, sayWho);
    app.get(`/d${i}/restricted`, bearer.restrictTo({ forcedChatgptWorkspaceId: ALLOWED_ACCOUNT }), sayWho);
    app.get(`/d${i}/both`, agentIdentityAuth(baseUrl, { ...options, directory: issuer.directory }), sayWho);
  });
  await fetch(backendUrl); // Node loads its `fetch` when it is first called, which is no part of the first fetch of keys
  app.use(issuer.router());
  app.use(agentIdentityErrorHandler());
  const server = createServer(app);
  server.keepAliveTimeout = 0; // connections stay: to close one under a request would be a failure of ours
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, agentTokens: agents.map(({ token }) => token) };
}

async function begin(beginAt: number): Promise<void> {
  heapBefore = await heldBytes();
  clock = createRunClock(beginAt);
  schedule.agentRevocations.forEach((at, i) => {
    setTimeout(() => void revoke(i), at - clock()).unref();
  });
  loop.enable();
}

async function revoke(index: number): Promise<void> {
  const from = clock();
  await issuer.revokeAgent(revocable[index] ?? "");
  revocations[index] = [from, clock()];
}

async function report(): Promise<ServerReport> {
  loop.disable();
  return {
    fetchesAsked,
    revocations,
    eventLoopDelay: { p99: loop.percentile(99) / 1e6, max: loop.max / 1e6 },
    peakMemory: process.resourceUsage().maxRSS * 1024,
    heap: [heapBefore, await heldBytes()],
  };
}

async function heldBytes(): Promise<number> {
  if (!globalThis.gc) throw new Error("this process needs --expose-gc");
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await delay(20); // what finalizers let go of goes with the next collection
  }
  return process.memoryUsage().heapUsed;
}
