/** What is attacked: a real Express app behind the middleware, with a real backend, that sees whether an attack got in. */

import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import { expect } from "vitest";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  type AgentIdentity,
  type AgentIdentityAuthOptions,
  type AgentIdentityErrorCode,
  type AgentIdentityMiddleware,
} from "../../src/index.js";
import { claims, createSigningKey, mint, signToken } from "../support/agents.js";
import {
  assertion,
  createAgent,
  createDirectory,
  encodeEnvelope,
  signEnvelope,
  timestamp,
} from "../support/assertions.js";
import { listen, send, startBackend, type Answer, type Backend } from "../support/servers.js";

export type SentHeaders = Record<string, string | string[]>;

/** `node` stands for a request that Node itself refuses: no code of this package has seen it. */
export type Verdict = "accepted" | "node" | AgentIdentityErrorCode;

export const bearer = (credentials: string): SentHeaders => ({ Authorization: `Bearer ${credentials}` });

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
      const { code } = (JSON.parse(answer.body) as { error: { code: AgentIdentityErrorCode | "invalid_task_id" } })
        .error;
      const refusal = code === "invalid_task_id" ? "task_invalid" : code;
      // Nothing of the attack is in the answer: it is, to the letter, what a harmless mistake of its kind gets.
      expect(fixedParts(answer)).toEqual(await harmlessAnswer(refusal));
      return refusal;
    },
  };
  return target;
}

const OF_THE_CONNECTION = ["date", "connection", "keep-alive"];

/** Without what HTTP adds by itself. */
function fixedParts({ status, headers, body }: Answer) {
  const ours = Object.entries(headers).filter(([name]) => !OF_THE_CONNECTION.includes(name));
  return { status, headers: Object.fromEntries(ours), body };
}

const directoryAgent = createAgent("harmless");
const stranger = createSigningKey("stranger");
const withAssertion = (member: object): SentHeaders => ({
  Authorization: `AgentAssertion ${encodeEnvelope({ ...signEnvelope(directoryAgent), ...member })}`,
});

/** For each code, its status and a request that earns it. */
const HARMLESS: Record<
  Exclude<
    AgentIdentityErrorCode,
    "keys_unavailable" | "directory_unavailable" | "login_method_not_allowed" | "identity_not_allowed"
  >,
  [status: number, headers: () => SentHeaders, path?: string]
> = {
  credentials_missing: [401, () => ({})],
  scheme_unsupported: [401, () => ({ Authorization: "Basic x" })],
  request_malformed: [400, () => ({ Authorization: "Bearer" })],
  token_malformed: [401, () => bearer("x")],
  algorithm_not_allowed: [401, () => bearer(signToken({ alg: "x", kid: "key-1" }, claims()))],
  issuer_invalid: [401, () => bearer(mint({ iss: "x" }))],
  audience_invalid: [401, () => bearer(mint({ aud: "x" }))],
  claims_invalid: [401, () => bearer(mint({ email: 1 }))],
  token_expired: [401, () => bearer(mint({ exp: 1 }))],
  token_not_yet_valid: [401, () => bearer(mint({ nbf: 4_000_000_000 }))],
  key_untrusted: [401, () => bearer(mint({}, stranger))],
  signature_invalid: [401, () => bearer(mint({}, { ...stranger, kid: "key-1" }))],
  workspace_not_allowed: [403, () => bearer(mint()), "/acct-2"],
  assertion_malformed: [401, () => withAssertion({ extra: "x" })],
  assertion_stale: [401, () => withAssertion({ timestamp: timestamp(-1000) })],
  assertion_invalid: [401, () => withAssertion({ signature: "x" })],
  task_invalid: [401, () => ({ Authorization: assertion(directoryAgent, "unknown") })],
};

const harmlessAnswers = new Map<string, ReturnType<typeof fixedParts>>();

async function harmlessAnswer(code: AgentIdentityErrorCode): Promise<ReturnType<typeof fixedParts>> {
  const known = harmlessAnswers.get(code);
  if (known !== undefined) return known;
  if (!(code in HARMLESS)) return expect.fail(`no attack should earn ${code}`);
  const [status, headers, path = "/"] = HARMLESS[code as keyof typeof HARMLESS];
  const { url } = await startTarget(undefined, { directory: createDirectory(directoryAgent) });
  const answer = fixedParts(await send(url + path, headers()));
  expect(answer.status).toBe(status);
  expect(answer.headers["cache-control"]).toBe("no-store");
  expect(answer.body).toContain(`"code":"${code === "task_invalid" ? "invalid_task_id" : code}"`);
  harmlessAnswers.set(code, answer);
  return answer;
}
