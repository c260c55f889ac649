/** The routes that a Codex client needs first: the JWKS, and the registration of a task. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { parseUtf8Json, toJsonObject } from "../protocol/encoding.js";
import { aFunction, checkOptions } from "../protocol/options.js";
import { readBytes } from "../runtime/read-bytes.js";
import { requestPath } from "../runtime/request-path.js";
import { isB64token, readCredentials, type Scheme } from "../verify/http/credentials.js";
import { answerOf, Refusal, toVerifierError } from "../verify/outcome/errors.js";
import type { Agents } from "./agents.js";
import { enrolAgent, parseSshPublicKey, type Enrol } from "./enrolment.js";
import type { SigningKeys } from "./signing-keys.js";
import { TaskRegistrar } from "./task-registrar.js";

/** Under any prefix: the base URL and the release of the client decide which one it asks for. */
const JWKS_PATH = "/agent-identities/jwks";

/** Under any prefix. An id never needs percent-encoding. */
const REGISTRATION_PATH = /\/v1\/agent\/([^/]+)\/task\/register$/;

/** Where a Codex client enrols itself. */
const ENROLMENT_PATH = "/v1/agent/register";

/** In bytes. */
const MAX_BODY_SIZE = 4 * 1024;

/** Seconds: well under the overlap in which a new key is published and does not sign yet. */
const JWKS_MAX_AGE = 60;

/** Works as Express or Connect middleware, and as the listener of a `node:http` or `node:http2` server. */
export type IssuerRouter = (
  req: IncomingMessage | Http2ServerRequest,
  res: ServerResponse | Http2ServerResponse,
  next?: (error?: unknown) => void,
) => void;

const BEARER_ONLY: readonly Scheme[] = ["Bearer"];

type Request = Parameters<IssuerRouter>[0];
type Response = Parameters<IssuerRouter>[1];
type Answer = ReturnType<typeof answerOf>;

/** Options of `issuer.router`. */
export interface RouterOptions {
  /** Serves Codex's self-enrolment. Default: the path is not served. */
  enrol?: Enrol | undefined;
}

export function createRouter(keys: SigningKeys, agents: Agents, options?: RouterOptions): IssuerRouter {
  const { enrol } = checkOptions("router", options, { enrol: aFunction });
  const registrar = new TaskRegistrar(agents);

  const serveJwks = async (req: Request): Promise<Answer> => {
    if (req.method !== "GET" && req.method !== "HEAD") {
      return refuse(405, "method_not_allowed", "Only GET and HEAD are allowed here.", { Allow: "GET, HEAD" });
    }
    return answerWith(200, await keys.jwks(), { "Cache-Control": `public, max-age=${JWKS_MAX_AGE}` });
  };

  /** Calls `use` with the parsed body; a body that is no JSON is `undefined`. */
  const withBody = async (req: Request, use: (body: unknown) => Promise<Answer>): Promise<Answer> => {
    if (!/^application\/json *(;|$)/i.test(req.headers["content-type"] ?? "")) {
      return refuse(415, "media_type_unsupported", "The body must be application/json.");
    }
    const body = await readBody(req);
    if (body !== "too large") return use(body);
    req.resume(); // a client that still sends may not read its answer yet
    return refuse(413, "body_too_large", "The body is too large.");
  };

  const registerTask = async (agentRuntimeId: string, body: unknown): Promise<Answer> => {
    const registered = await registrar.register(agentRuntimeId, body);
    if (registered instanceof Refusal) return answerTo(registered);
    return answerWith(200, { task_id: registered.taskId }, { "Cache-Control": "no-store" });
  };

  const enrolWith = async (hook: Enrol, req: Request, body: unknown): Promise<Answer> => {
    const credentials = readCredentials(req, BEARER_ONLY);
    if (credentials instanceof Refusal) return answerTo(credentials);
    if (!isB64token(credentials.value)) return answerTo(new Refusal("request_malformed"));
    const publicKey = parseSshPublicKey(toJsonObject(body)?.["agent_public_key"]);
    if (publicKey === undefined) {
      return refuse(400, "public_key_invalid", "agent_public_key must be an ssh-ed25519 public key.");
    }
    const agentRuntimeId = await enrolAgent(agents, hook, { token: credentials.value, publicKey });
    if (agentRuntimeId === undefined) return answerTo(new Refusal("identity_not_allowed"));
    return answerWith(200, { agent_runtime_id: agentRuntimeId }, { "Cache-Control": "no-store" });
  };

  const route = (req: Request, path: string): Promise<Answer> | undefined => {
    if (path.endsWith(JWKS_PATH)) return serveJwks(req);
    if (req.method !== "POST") return undefined;
    const agentId = REGISTRATION_PATH.exec(path)?.[1];
    if (agentId !== undefined) return withBody(req, (body) => registerTask(agentId, body));
    if (enrol !== undefined && path.endsWith(ENROLMENT_PATH))
      return withBody(req, (body) => enrolWith(enrol, req, body));
    return undefined;
  };

  return function issuerRouter(req, res, next) {
    const answer = route(req, requestPath(req.url));
    if (answer !== undefined) void send(req, res, answer);
    else if (next) next();
    else void send(req, res, refuse(404, "not_found", "There is nothing here."));
  };
}

/** The only place that writes, and all of it at once. Never rejects. */
async function send(req: Request, res: Response, made: Answer | Promise<Answer>): Promise<void> {
  let answer: Answer;
  try {
    answer = await made;
  } catch {
    // A store or a hook has failed. Its words are not for the caller.
    answer = answerTo(new Refusal("directory_unavailable", { reason: "the issuer's store or hook failed" }, 1));
  }
  if (res.headersSent) return; // other code has answered meanwhile, such as a time limit
  try {
    res.writeHead(answer.status, answer.headers);
    // A body to HEAD is an error where Node is told to be strict.
    if (req.method === "HEAD") res.end();
    else res.end(answer.body);
  } catch {
    res.destroy(); // a hook of other code on the response has failed, and may fail again
  }
}

/** `undefined` if it is not JSON, or if the client went away in the middle. */
async function readBody(req: Request & { body?: unknown }): Promise<unknown> {
  if (req.readableEnded) return req.body; // a body parser has been here before
  if (Number(req.headers["content-length"]) > MAX_BODY_SIZE) return "too large";
  try {
    // A destroyed request can no more be read to its end.
    const bytes = await readBytes(req.iterator({ destroyOnReturn: false }), MAX_BODY_SIZE);
    return bytes === undefined ? "too large" : parseUtf8Json(bytes);
  } catch {
    return undefined;
  }
}

function answerTo(refusal: Refusal): Answer {
  return answerOf(toVerifierError(refusal));
}

function refuse(status: number, code: string, message: string, headers?: Record<string, string>): Answer {
  const body = { error: { message, type: "invalid_request_error", code } };
  return answerWith(status, body, { ...headers, "Cache-Control": "no-store" });
}

function answerWith(status: number, body: unknown, headers: Record<string, string>): Answer {
  return {
    status,
    headers: { ...headers, "Content-Type": "application/json; charset=utf-8" },
    body: JSON.stringify(body),
  };
}
