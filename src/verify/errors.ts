/**
 * What a caller gets on failure: one closed table of codes, and the factory that makes `http-errors` objects of them.
 * Message, header and body come from the table alone: never from the token, a library's message or a URL.
 */

import createError from "http-errors";
import { buildChallenge, DEFAULT_REALM, type ChallengeParameters } from "./challenge.js";

const FAILURES = {
  credentials_missing: { status: 401, message: "No credentials were sent." },
  scheme_unsupported: { status: 401, message: "The Authorization scheme is not supported here." },
  request_malformed: { status: 400, error: "invalid_request", message: "The Authorization header is malformed." },
  token_malformed: { status: 401, error: "invalid_token", message: "The token is not a well-formed JWT." },
  algorithm_not_allowed: { status: 401, error: "invalid_token", message: "The token is not signed with RS256." },
  issuer_invalid: { status: 401, error: "invalid_token", message: "The token is from another issuer." },
  audience_invalid: { status: 401, error: "invalid_token", message: "The token is for another audience." },
  claims_invalid: {
    status: 401,
    error: "invalid_token",
    message: "The token lacks a claim or has one of the wrong type.",
  },
  token_expired: { status: 401, error: "invalid_token", message: "The token has expired." },
  token_not_yet_valid: { status: 401, error: "invalid_token", message: "The token is not valid yet." },
  key_untrusted: {
    status: 401,
    error: "invalid_token",
    message: "The token is signed with a key that is not trusted.",
  },
  signature_invalid: { status: 401, error: "invalid_token", message: "The token's signature is not valid." },
  assertion_malformed: { status: 401, error: "invalid_token", message: "The agent assertion is malformed." },
  assertion_stale: { status: 401, error: "invalid_token", message: "The agent assertion's time is not now." },
  assertion_invalid: { status: 401, error: "invalid_token", message: "The agent assertion is not valid." },
  task_invalid: { status: 401, error: "invalid_token", message: "The task is unknown or has expired." },
  login_method_not_allowed: {
    status: 403,
    error: "insufficient_scope",
    message: "This way of signing in is not allowed here.",
  },
  workspace_not_allowed: { status: 403, error: "insufficient_scope", message: "This workspace is not allowed here." },
  directory_unavailable: { status: 503, message: "Agents cannot be looked up at the moment. Try again later." },
  keys_unavailable: { status: 503, message: "The signing keys are unavailable at the moment. Try again later." },
} as const satisfies Record<string, { status: 400 | 401 | 403 | 503; error?: string; message: string }>;

/** Why a request or a token was refused: see the table of errors in the README for what to do about each. */
export type AgentIdentityErrorCode = keyof typeof FAILURES;

/**
 * An `http-errors` object: Express and Koa answer with its `status` and `headers`. `message` is fixed by `code` and
 * safe to show.
 */
export interface AgentIdentityError extends Error {
  /** Stable: to be decided by. */
  readonly code: AgentIdentityErrorCode;
  /** 400 and 401 are the caller's to mend, 403 is a login restriction, 503 an outage. */
  readonly status: 400 | 401 | 403 | 503;
  /** The same, under the name that Express reads. */
  readonly statusCode: 400 | 401 | 403 | 503;
  /** Also of a 503: the message is fit for the caller. */
  readonly expose: true;
  /** `Cache-Control`, and `WWW-Authenticate` (RFC 6750 §3) or `Retry-After`. */
  readonly headers: Readonly<Record<string, string>>;
  /** For the operator's log, not for the caller. Not enumerable. */
  readonly cause?: AgentIdentityErrorCause;
}

/** What an operator needs to know of a failure. No token and no claim is in it. */
export interface AgentIdentityErrorCause {
  /** What was wrong with the keys or the directory, or which restriction was violated. */
  readonly reason?: string;
  /** The key id that the token names: the sender's text, cut to 256 characters, without control characters. */
  readonly kid?: string;
  /** Where the keys are looked for. */
  readonly jwksUrl?: string;
  /** The key ids that were found there. */
  readonly kids?: readonly string[];
  /** Age of the key set in ms. */
  readonly keySetAge?: number;
}

/** Why a request or a token is refused. A value, not an exception: a throw inside this package is a bug, not a 401. */
export class Refusal {
  readonly code: AgentIdentityErrorCode;
  readonly cause: AgentIdentityErrorCause | undefined;
  /** Seconds, for a 503. */
  readonly retryAfter: number | undefined;

  constructor(code: AgentIdentityErrorCode, cause?: AgentIdentityErrorCause, retryAfter?: number) {
    this.code = code;
    this.cause = cause && Object.freeze(cause);
    this.retryAfter = retryAfter;
  }
}

export type ErrorFactory = (refusal: Refusal) => AgentIdentityError;

const ownErrors = new WeakSet();

function isAgentIdentityError(error: unknown): error is AgentIdentityError {
  return typeof error === "object" && error !== null && ownErrors.has(error);
}

/** Builds every challenge once; each call of the factory makes a new error object. */
export function createErrorFactory(parameters: ChallengeParameters): ErrorFactory {
  const challenges = new Map(
    Object.entries(FAILURES)
      .filter(([, { status }]) => status !== 503)
      .map(([code, failure]) => {
        const error = "error" in failure ? { error: failure.error, description: failure.message } : undefined;
        return [code, buildChallenge(parameters, error)];
      }),
  );
  return (refusal) => {
    const { status, message } = FAILURES[refusal.code];
    const headers: Record<string, string> = { "Cache-Control": "no-store" };
    const challenge = challenges.get(refusal.code);
    if (challenge !== undefined) headers["WWW-Authenticate"] = challenge;
    if (refusal.retryAfter !== undefined) headers["Retry-After"] = String(refusal.retryAfter);
    // `expose` is said because http-errors hides the message of every 5xx.
    const error = createError(status, message, { code: refusal.code, headers, expose: true });
    if (refusal.cause) Object.defineProperty(error, "cause", { value: refusal.cause, enumerable: false });
    ownErrors.add(error);
    return error as unknown as AgentIdentityError;
  };
}

/** For errors that are made before any request is at hand. */
export const toVerifierError = createErrorFactory({ realm: DEFAULT_REALM, resourceMetadata: undefined });

const BODY_TYPES = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  503: "service_unavailable_error",
} as const;

/** What an error is on the wire, the same for every framework. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** `undefined` if the error is none of ours. */
export function toErrorAnswer(error: unknown): ErrorAnswer | undefined {
  return isAgentIdentityError(error) ? answerOf(error) : undefined;
}

export function answerOf({ message, status, code, headers }: AgentIdentityError): ErrorAnswer {
  // Codex's sign that the task has to be registered anew.
  const codexCode = code === "task_invalid" ? "invalid_task_id" : code;
  return {
    status,
    headers: { ...headers, "Content-Type": "application/json; charset=utf-8" },
    body: JSON.stringify({ error: { message, type: BODY_TYPES[status], code: codexCode } }),
  };
}
