/** What a Codex client asks of the backend before anything else: the JWKS, and a task for its agent. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { hasExactly } from "../protocol/agent-assertion.js";
import { parseUtf8Json } from "../protocol/encoding.js";
import type { AssertionVerifier } from "../verify/assertion-verifier.js";
import { answerOf, Refusal, toVerifierError } from "../verify/errors.js";
import type { Agents } from "./agents.js";
import type { SigningKeys } from "./signing-keys.js";

/** All three that Codex clients ask for, by base URL and release. */
const JWKS_PATHS = [
  "/backend-api/wham/agent-identities/jwks",
  "/api/codex/agent-identities/jwks",
  "/agent-identities/jwks",
];

/** Under any prefix. An id that would have to be percent-encoded is none. */
const REGISTRATION_PATH = /\/v1\/agent\/([^/]+)\/task\/register$/;

/** Bytes. */
const MAX_BODY_SIZE = 4 * 1024;

/** Seconds: well under the overlap in which a new key is published and does not sign yet. */
const JWKS_MAX_AGE = 60;

/** Works as Express or Connect middleware and as the listener of a `node:http` server. */
export type IssuerRouter = (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void) => void;

export function createRouter(keys: SigningKeys, agents: Agents, verifier: AssertionVerifier): IssuerRouter {
  const serveJwks = async (req: IncomingMessage, res: ServerResponse) => {
    if (req.method !== "GET" && req.method !== "HEAD") {
      refuse(res.setHeader("Allow", "GET, HEAD"), 405, "method_not_allowed", "Only GET and HEAD are allowed here.");
      return;
    }
    const body = JSON.stringify(await keys.jwks());
    res.setHeader("Cache-Control", `public, max-age=${JWKS_MAX_AGE}`);
    answer(res, 200, body);
  };

  const registerTask = async (req: IncomingMessage, res: ServerResponse, agentRuntimeId: string) => {
    const registration = await readRegistration(req, res);
    if (registration === undefined) return;
    const { timestamp, signature } = registration;
    const registeredAt = await verifier.verifyRegistration(agentRuntimeId, timestamp, signature);
    if (registeredAt instanceof Refusal) {
      answerRefusal(res, registeredAt);
      return;
    }
    const taskId = await agents.registerTask(agentRuntimeId, registeredAt);
    res.setHeader("Cache-Control", "no-store");
    answer(res, 200, JSON.stringify({ task_id: taskId }));
  };

  return function issuerRouter(req, res, next) {
    const path = req.url?.split("?", 1)[0] ?? "";
    const agentRuntimeId = REGISTRATION_PATH.exec(path)?.[1];
    let served: Promise<void>;
    if (JWKS_PATHS.includes(path)) served = serveJwks(req, res);
    else if (agentRuntimeId !== undefined && req.method === "POST") served = registerTask(req, res, agentRuntimeId);
    else if (next) {
      next();
      return;
    } else {
      refuse(res, 404, "not_found", "There is nothing here.");
      return;
    }
    // Only a store fails here: what it says is not for the caller.
    served.catch(() => {
      answerRefusal(res, new Refusal("directory_unavailable", { reason: "the issuer's store failed" }, 1));
    });
  };
}

type Registration = Record<"timestamp" | "signature", string>;

/** Answers by itself, and gives `undefined`, if the body is not one. */
async function readRegistration(req: IncomingMessage, res: ServerResponse): Promise<Registration | undefined> {
  if (!/^application\/json *(;|$)/i.test(req.headers["content-type"] ?? "")) {
    refuse(res, 415, "media_type_unsupported", "The body must be application/json.");
    return undefined;
  }
  const body = await readBody(req);
  if (body === "too large") {
    refuse(res.setHeader("Connection", "close"), 413, "body_too_large", "The body is too large.");
    return undefined;
  }
  if (!hasExactly(body, ["timestamp", "signature"])) {
    answerRefusal(res, new Refusal("assertion_malformed"));
    return undefined;
  }
  return body;
}

/** `undefined` if it is not JSON. A body parser may have been here before. */
async function readBody(req: IncomingMessage & { body?: unknown }): Promise<unknown> {
  if (req.body !== undefined) return req.body;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_SIZE) return "too large";
    chunks.push(chunk);
  }
  try {
    return parseUtf8Json(Buffer.concat(chunks));
  } catch {
    return undefined;
  }
}

function answerRefusal(res: ServerResponse, refusal: Refusal): void {
  const { status, headers, body } = answerOf(toVerifierError(refusal));
  res.writeHead(status, headers).end(body);
}

function refuse(res: ServerResponse, status: number, code: string, message: string): void {
  res.setHeader("Cache-Control", "no-store");
  answer(res, status, JSON.stringify({ error: { message, type: "invalid_request_error", code } }));
}

function answer(res: ServerResponse, status: number, body: string): void {
  res.writeHead(status, { "Content-Type": "application/json; charset=utf-8" }).end(body);
}
