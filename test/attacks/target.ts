/** What is attacked: a verifier as a function, and a real Express app behind the middleware, which sees who got in. */

import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import { expect } from "vitest";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  createVerifier,
  type AgentIdentity,
  type AgentIdentityAuthOptions,
  type AgentIdentityMiddleware,
  type VerifierOptions,
  type Verifier,
} from "../../src/index.js";
import { signingKey } from "../support/agents.js";
import { expectFailure, expectRefusal, sentWith, type Code } from "../support/refusals.js";
import type { SentHeaders } from "../support/request-table.js";
import { listen, send, startBackend, type Answer, type Backend } from "../support/servers.js";

/** `node` stands for a request that Node itself refuses: no code of this package has seen it. */
export type Verdict = "accepted" | "node" | Code;

const base = "https://gw.example";
const fixed = (keys: unknown[]) => ({ keySet: { keys: keys as Record<string, unknown>[] } });

export const verifierOf = (keys: unknown[] = [signingKey.jwk], options: VerifierOptions = {}): Verifier =>
  createVerifier(base, { jwks: fixed(keys), ...options });

export const agentsOf = (options: AgentIdentityAuthOptions): AgentIdentityMiddleware =>
  agentIdentityAuth(base, { jwks: fixed([signingKey.jwk]), ...options });

const usual = verifierOf();

/** Asks twice, so that a remembered verdict is seen too. A refusal has to be the fixed one of its code. */
export async function verdictOf(token: string, verifier = usual): Promise<Verdict> {
  const ask = () => settle(verifier.verify(token), token);
  const verdict = await ask();
  expect(await ask()).toBe(verdict);
  return verdict;
}

/** The same for a request that is nothing but its headers; names are in lower case. */
export async function requestVerdict(
  agents: Pick<AgentIdentityMiddleware, "authenticate">,
  headers: { authorization: string; [name: string]: string },
): Promise<Verdict> {
  const sent = headers.authorization.replace(/^\S* */, "");
  const ask = () => settle(agents.authenticate({ headers: { ...headers } }), sent);
  const verdict = await ask();
  expect(await ask()).toBe(verdict);
  return verdict;
}

const settle = (promise: Promise<AgentIdentity>, sent: string): Promise<Verdict> =>
  promise.then(
    () => "accepted",
    (error: unknown) => expectRefusal(error, sentWith(sent)),
  );

export interface Target {
  url: string;
  backend: Backend;
  agents: AgentIdentityMiddleware;
  /** Every identity that was set on a request, whether or not the request got through. */
  given: AgentIdentity[];
  /** How often a protected handler ran. */
  reached: number;
  /** Sends a request to `/`, or where `restrictTo` lets one account in: `/acct-1` and `/acct-2`. */
  verdict(headers: SentHeaders, path?: string): Promise<Verdict>;
  /** What came of a request, however it was sent. It fails if a refusal is not the fixed answer that its code has. */
  judge(request: () => Promise<Answer>): Promise<Verdict>;
}

/** The resolver is a private one unless `options` say otherwise. */
export async function startTarget(keys?: unknown[], options: AgentIdentityAuthOptions = {}): Promise<Target> {
  const backend = await startBackend(keys);
  const agents = agentIdentityAuth(backend.baseUrl, { jwks: {}, ...options });
  const protectedHandler: RequestHandler = (req, res) => {
    target.reached++;
    if (req.agentIdentity) target.given.push(req.agentIdentity);
    res.json(req.agentIdentity);
  };
  const watchRefusals: ErrorRequestHandler = (error, req, _res, next) => {
    if (req.agentIdentity) target.given.push(req.agentIdentity);
    next(error);
  };
  const app = express();
  for (const account of ["acct-1", "acct-2"]) {
    app.use(`/${account}`, agents.restrictTo({ forcedChatgptWorkspaceId: account }), protectedHandler);
  }
  app.use(agents, protectedHandler, watchRefusals, agentIdentityErrorHandler());
  const { url } = await listen(app);

  const target: Target = {
    url,
    backend,
    agents,
    given: [],
    reached: 0,
    verdict: (headers, path = "/") => target.judge(() => send(url + path, headers)),
    async judge(request) {
      const before = { reached: target.reached, given: target.given.length };
      const answer = await request();
      const after = { reached: target.reached, given: target.given.length };
      if (answer.status === 200) {
        expect(after).toEqual({ reached: before.reached + 1, given: before.given + 1 });
        return "accepted";
      }
      expect(after).toEqual(before);
      if (answer.body === "") {
        expect([400, 431]).toContain(answer.status);
        expect(Object.keys(answer.headers)).toEqual(["connection"]);
        return "node";
      }
      const { code } = (JSON.parse(answer.body) as { error: { code: Code | "invalid_task_id" } }).error;
      const refusal = code === "invalid_task_id" ? "task_invalid" : code;
      expectFailure(answer, refusal);
      return refusal;
    },
  };
  return target;
}
