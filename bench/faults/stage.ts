/** One contestant's server before one key endpoint, and an agent that calls it. */

import { request } from "node:http";
import type { ContestantName } from "../contestants.js";
import type { Child } from "../processes.js";
import type { Certificate } from "./certificate.js";
import { serveKeys, startEndpoint, type Endpoint } from "./endpoint.js";
import type { AgentTokens } from "./agent-tokens.js";
import type { ServerQuestion } from "./server.js";

/** Beyond what each contestant's README sets. */
export interface ContestantOptions {
  readonly keyOptions?: object;
  readonly tokenOptions?: object;
}

export interface Stage {
  readonly endpoint: Endpoint;
  /** The status of the answer, or what came instead of one. */
  ask(...tokens: string[]): Promise<Outcome>;
  /** Requests that have come in at the contestant's server. */
  received(): Promise<number>;
  /** The most memory that the contestant's process has ever had, in bytes. */
  peakMemory(): Promise<number>;
}

export type Outcome = number | "no answer" | "connection lost";

/** An agent that waits for longer than this has long given up. */
export const PATIENCE = 40_000; // ms

interface Setting {
  readonly name: ContestantName;
  readonly server: Child;
  readonly certificate: Certificate;
  readonly tokens: AgentTokens;
  readonly options: ContestantOptions;
}

/** The endpoint serves the good key, until it is told otherwise. */
export async function withStage<T>(setting: Setting, use: (stage: Stage) => Promise<T>): Promise<T> {
  const { name, server, certificate, tokens, options } = setting;
  const endpoint = await startEndpoint(certificate, serveKeys(tokens.key.jwk));
  const question = (asked: ServerQuestion) => server.ask(asked);
  try {
    const url = (await question({ listen: { name, trust: { ...endpoint.trust, ...options } } })) as string;
    return await use({
      endpoint,
      ask: (...given) => ask(url, given),
      received: async () => (await question({ received: true })) as number,
      peakMemory: async () => (await question({ memory: true })) as number,
    });
  } finally {
    await endpoint.stop();
  }
}

/** @param tokens one for each `Authorization` header */
function ask(url: string, tokens: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const headers = ["Host", new URL(url).host, ...tokens.flatMap((token) => ["Authorization", `Bearer ${token}`])];
    const asked = request(url, { agent: false, headers }, (res) => {
      res.resume().on("end", () => {
        clearTimeout(timer);
        resolve(res.statusCode ?? 0);
      });
    });
    const timer = setTimeout(() => {
      resolve("no answer");
      asked.destroy();
    }, PATIENCE);
    asked.on("error", () => {
      clearTimeout(timer);
      resolve("connection lost");
    });
    asked.end();
  });
}
