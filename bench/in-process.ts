/** What one verification costs inside the process: the middleware called as Express calls it, without Express. */

import { hash } from "node:crypto";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { agentIdentityAuth } from "../dist/index.js";
import type { Trust } from "./backend.js";
import { CONNECTIONS } from "./plan.js";
import { answerParent } from "./processes.js";
import { median } from "./statistics.js";
import { FIRST_SEEN_FROM, HOT_TOKENS, readTokens, type RefusedTokens } from "./tokens.js";

export interface InProcessQuestion {
  trust: Trust;
  tokenFile: string;
  refusedTokens: RefusedTokens;
  batches: number;
}

/** µs for one, as the median of batches. */
export interface InProcessResult {
  sha256: number;
  hit: number;
  miss: number;
  joseByHand: number;
  malformed: number;
  expired: number;
  unknownKey: number;
}

const SYNCHRONOUS_BATCH = 2_000;
const MISS_BATCH = 100;

answerParent(async ({ trust, tokenFile, refusedTokens, batches }: InProcessQuestion): Promise<InProcessResult> => {
  const middleware = agentIdentityAuth(trust.baseUrl) as unknown as PlainMiddleware;
  const response = {};
  const call = (request: PlainRequest) =>
    new Promise<unknown>((resolve) => {
      middleware(request, response, resolve);
    });

  const hotTokens = await readTokens(tokenFile, 0, HOT_TOKENS);
  for (const token of hotTokens) expectCode(await call(createRequest(token)), undefined);

  /** For calls that end before they return. */
  const measureSynchronous = async (tokens: readonly string[], code: string | undefined) => {
    let calledBack = 0;
    let outcome: unknown;
    const next = (error?: unknown) => {
      calledBack++;
      outcome = error;
    };
    return measure(batches, () => {
      const requests = createRequests(tokens, SYNCHRONOUS_BATCH);
      calledBack = 0;
      return () => {
        for (const request of requests) middleware(request, response, next);
        if (calledBack !== requests.length) throw new Error("a call that should be synchronous is not");
        expectCode(outcome, code);
        return requests.length;
      };
    });
  };

  const sha256 = await measure(batches, () => {
    const requests = createRequests(hotTokens, SYNCHRONOUS_BATCH).map(({ headers }) => headers.authorization);
    return () => {
      for (const authorization of requests) hash("sha256", authorization, "base64url");
      return requests.length;
    };
  });
  const hit = await measureSynchronous(hotTokens, undefined);
  const malformed = await measureSynchronous([refusedTokens.malformed], "token_malformed");
  const expired = await measureSynchronous([refusedTokens.expired], "token_expired");

  // One after another and not all at once, as a flood of them would be.
  const unknownKey = await measure(batches, () => {
    const requests = createRequests([refusedTokens.ofUnknownKey], MISS_BATCH);
    return async () => {
      for (const request of requests) expectCode(await call(request), "key_untrusted");
      return requests.length;
    };
  });

  // The same tokens by turns: first this package, which has not seen them, then jose, which never remembers.
  const jwks = createRemoteJWKSet(new URL(trust.jwksUrl));
  const joseOptions = { algorithms: ["RS256"], issuer: trust.issuer, audience: trust.audience };
  const newTokens = await readTokens(tokenFile, FIRST_SEEN_FROM, batches * MISS_BATCH);
  const samples: { miss: number[]; joseByHand: number[] } = { miss: [], joseByHand: [] };
  for (let from = 0; from < newTokens.length; from += MISS_BATCH) {
    const requests = createRequests(newTokens.slice(from, from + MISS_BATCH), MISS_BATCH);
    const byHand = createRequests(newTokens.slice(from, from + MISS_BATCH), MISS_BATCH);
    samples.miss.push(
      await timeConcurrent(requests, async (request) => {
        expectCode(await call(request), undefined);
      }),
    );
    samples.joseByHand.push(
      await timeConcurrent(byHand, async ({ headers }) => {
        await jwtVerify(headers.authorization.slice("Bearer ".length), jwks, joseOptions);
      }),
    );
  }

  const { miss, joseByHand } = samples;
  return { sha256, hit, miss: median(miss), joseByHand: median(joseByHand), malformed, expired, unknownKey };
});

/** @param prepare makes a batch, untimed, and returns what is timed: it says how many it did */
async function measure(batches: number, prepare: () => () => number | Promise<number>): Promise<number> {
  const samples: number[] = [];
  for (let batch = 0; batch < batches; batch++) {
    const run = prepare();
    const startedAt = performance.now();
    const count = await run();
    samples.push(((performance.now() - startedAt) / count) * 1000);
  }
  return median(samples);
}

/** µs for one, with as many under way as under load. */
async function timeConcurrent<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<number> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await run(item);
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  return ((performance.now() - startedAt) / items.length) * 1000;
}

function createRequests(tokens: readonly string[], count: number): PlainRequest[] {
  return Array.from({ length: count }, (_, i) => createRequest(tokens[i % tokens.length] ?? ""));
}

type PlainMiddleware = (request: PlainRequest, response: object, next: (error?: unknown) => void) => void;

/** What the middleware reads of an `IncomingMessage`. */
interface PlainRequest {
  headers: { host: string; connection: string; authorization: string };
  rawHeaders: string[];
}

function createRequest(token: string): PlainRequest {
  // Through bytes, because that is how a header arrives: as a new flat string that nobody has hashed yet.
  const authorization = Buffer.from(`Bearer ${token}`, "latin1").toString("latin1");
  const rawHeaders = ["Host", "127.0.0.1:3000", "Connection", "keep-alive", "Authorization", authorization];
  return { headers: { host: "127.0.0.1:3000", connection: "keep-alive", authorization }, rawHeaders };
}

function expectCode(outcome: unknown, code: string | undefined): void {
  const found = (outcome as { code?: string } | undefined)?.code;
  if (found !== code) throw new Error(`${found ?? "no error"} instead of ${code ?? "no error"}`);
}
