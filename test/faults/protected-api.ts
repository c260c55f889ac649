/** An Express API behind the middleware, a backend that can be made to fail, and a tally of right and wrong answers. */

import express from "express";
import { Agent, request } from "node:http";
import { afterAll, expect, onTestFinished } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler, type JwksOptions, type Verifier } from "../../src/index.js";
import { mint } from "../support/agents.js";
import { listen, startBackend, type Backend } from "../support/servers.js";

export interface Asked {
  status: number;
  /** Seconds, of `Retry-After`. */
  retryAfter: number | undefined;
  /** ms. */
  duration: number;
}

export interface ProtectedApi {
  backend: Backend;
  verifier: Verifier;
  /** Asks with a token that is valid: an answer other than 200, or 503 where that is said to be right, is a mistake. */
  valid: (token?: string, options?: { outage: boolean }) => Promise<Asked>;
  /** Asks with a token that is not valid: the answer 200 is a mistake. */
  invalid: (token: string) => Promise<Asked>;
}

const tally = { accepted: 0, refused: 0, unavailable: 0, wronglyAccepted: 0, wronglyRefused: 0 };
const figures: string[] = [];

/** One line of what a fault test measured. */
export function report(figure: string): void {
  figures.push(figure);
}

afterAll(() => {
  const { accepted, refused, unavailable, wronglyAccepted, wronglyRefused } = tally;
  console.log(
    [
      ...figures,
      `valid: ${accepted} accepted, ${unavailable} told 503 in an outage, ${wronglyRefused} wrongly refused; ` +
        `invalid: ${refused} refused, ${wronglyAccepted} wrongly accepted`,
    ].join("\n"),
  );
  expect({ wronglyAccepted, wronglyRefused }).toEqual({ wronglyAccepted: 0, wronglyRefused: 0 });
});

/** The resolver is a private one: `jwks` may be empty. */
export async function startProtectedApi(jwks: JwksOptions = {}): Promise<ProtectedApi> {
  const backend = await startBackend();
  const agents = agentIdentityAuth(backend.baseUrl, { jwks });
  const { url } = await listen(
    express()
      .use(agents, (req, res) => void res.json(req.agentIdentity))
      .use(agentIdentityErrorHandler()),
  );
  const agent = new Agent({ keepAlive: true, maxSockets: 200 });
  onTestFinished(() => {
    agent.destroy();
  });

  const ask = (token: string): Promise<Asked> =>
    new Promise((resolve, reject) => {
      const startedAt = process.hrtime.bigint();
      request(url, { agent, headers: { authorization: `Bearer ${token}` } }, (res) => {
        res.resume().on("end", () => {
          const { "retry-after": retryAfter } = res.headers;
          resolve({
            status: res.statusCode ?? 0,
            retryAfter: retryAfter === undefined ? undefined : Number(retryAfter),
            duration: Number(process.hrtime.bigint() - startedAt) / 1e6,
          });
        });
      })
        .on("error", reject)
        .end();
    });

  return {
    backend,
    verifier: agents.verifier,
    async valid(token = mint(), { outage } = { outage: false }) {
      const asked = await ask(token);
      if (asked.status === 200) tally.accepted++;
      else if (outage && asked.status === 503) tally.unavailable++;
      else tally.wronglyRefused++;
      return asked;
    },
    async invalid(token) {
      const asked = await ask(token);
      if (asked.status === 200) tally.wronglyAccepted++;
      else tally.refused++;
      return asked;
    },
  };
}

export const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;
