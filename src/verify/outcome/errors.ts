/**
 * What a caller gets on failure: one table of codes, and the factory that makes errors from it. Message, header and body come
 * only from the table, and never from the token, the message of a library or a URL.
 */

import { withoutStack } from "../../runtime/without-stack.js";
import { buildChallenge, DEFAULT_REALM, type ChallengeParameters } from "./challenge.js";

/** The comment of a code says what to do about it: `docs/errors.md` is made from this table. */
const FAILURES = {
  /** Send `Authorization: Bearer` and the token. */
  credentials_missing: { status: 401, message: "No credentials were sent." },
  /** Send a bearer token. To accept assertions, the server sets `directory`. A runtime assertion (`AgentAssertion 1.…`) is for OpenAI alone. */
  scheme_unsupported: { status: 401, message: "The Authorization scheme is not supported here." },
  /** Send one `Authorization` header, with one token in it. */
  request_malformed: { status: 400, error: "invalid_request", message: "The Authorization header is malformed." },
  /** Send a JWT of at most 16 KiB. A personal access token (`at-…`) is not one. */
  token_malformed: { status: 401, error: "invalid_token", message: "The token is not a well-formed JWT." },
  /** Get a token from the backend: this one is not signed with RS256. */
  algorithm_not_allowed: { status: 401, error: "invalid_token", message: "The token is not signed with RS256." },
  /** Get a token from the backend. If your own backend signs another `iss`, set the option `issuer`. */
  issuer_invalid: { status: 401, error: "invalid_token", message: "The token is from another issuer." },
  /** Get a token for Codex. If your own backend signs another `aud`, set the option `audience`. */
  audience_invalid: { status: 401, error: "invalid_token", message: "The token is for another audience." },
  /** Correct the backend: a claim is missing or has the wrong type. */
  claims_invalid: {
    status: 401,
    error: "invalid_token",
    message: "The token lacks a claim or has one of the wrong type.",
  },
  /** Get a new token. If it is new, compare the clocks. */
  token_expired: { status: 401, error: "invalid_token", message: "The token has expired." },
  /** Compare the clocks. */
  token_not_yet_valid: { status: 401, error: "invalid_token", message: "The token is not valid yet." },
  /** Compare the base URLs: `cause` has the token's `kid` and the backend's `kids`. */
  key_untrusted: {
    status: 401,
    error: "invalid_token",
    message: "The token is signed with a key that is not trusted.",
  },
  /** Get a new token: this one was altered or forged. */
  signature_invalid: { status: 401, error: "invalid_token", message: "The token's signature is not valid." },
  /** Send an assertion in Codex's form. */
  assertion_malformed: { status: 401, error: "invalid_token", message: "The agent assertion is malformed." },
  /** Compare the clocks: the assertion was signed more than 300 s from now. */
  assertion_stale: { status: 401, error: "invalid_token", message: "The agent assertion's time is not now." },
  /** Sign in again: the agent is unknown or revoked, or the signature or the account is wrong. */
  assertion_invalid: { status: 401, error: "invalid_token", message: "The agent assertion is not valid." },
  /** Register the task again. Codex does so only when it starts. */
  task_invalid: { status: 401, error: "invalid_token", message: "The task is unknown or has expired." },
  /** Sign in another way: this server refuses all agents (`forcedLoginMethod: "api"`). */
  login_method_not_allowed: {
    status: 403,
    error: "insufficient_scope",
    message: "This way of signing in is not allowed here.",
  },
  /** Sign in to an account that `restrictTo` names. */
  workspace_not_allowed: { status: 403, error: "insufficient_scope", message: "This workspace is not allowed here." },
  /** Ask the server's owner: the rule of `require` did not return `true`. */
  identity_not_allowed: { status: 403, error: "insufficient_scope", message: "This agent is not allowed here." },
  /** Try again after `Retry-After`. For the server's operator: a look-up failed or took over 2 s. */
  directory_unavailable: { status: 503, message: "Agents cannot be looked up at the moment. Try again later." },
  /** Try again after `Retry-After`. For the server's operator: the key endpoint is down. */
  keys_unavailable: { status: 503, message: "The signing keys are unavailable at the moment. Try again later." },
} as const satisfies Record<string, { status: 400 | 401 | 403 | 503; error?: string; message: string }>;

/** Why a request or a token was refused. `docs/errors.md` says what to do about each code. */
export type AgentIdentityErrorCode = keyof typeof FAILURES;

/** Details for the operator's log, not for the caller. They hold no token, no claim and no account. */
export interface AgentIdentityErrorCause extends Error {
  /** What was wrong with the keys, the directory or the token, or which restriction was violated. */
  readonly reason?: string;
  /** The key id that the token names: text of the sender, cut to 256 characters, without control characters. */
  readonly kid?: string;
  /** The JWKS URL. */
  readonly jwksUrl?: string;
  /** The ids of the usable keys. */
  readonly kids?: readonly string[];
  /** Age of the key set, in ms. */
  readonly keySetAge?: number;
}

type Details = Pick<AgentIdentityErrorCause, "reason" | "kid" | "jwksUrl" | "kids" | "keySetAge">;

/** Two copies of the package in one process recognise each other's errors by this symbol. */
const BRAND = Symbol.for("agent-identity-auth.AgentIdentityError");

/**
 * A refused request or token. Frameworks answer with its `status` and `headers`. Its `message` follows from its `code` and is
 * safe to show. It has no stack, because a refusal is no fault of the server's code.
 * @example
 * app.use((error, req, res, next) => {
 *   if (isAgentIdentityError(error)) log.info({ code: error.code, cause: error.cause });
 *   next(error);
 * });
 */
export class AgentIdentityError extends Error {
  /** Stable. Branch on this, not on `message`. */
  code: AgentIdentityErrorCode;
  /** 400 and 401: the caller has to change something. 403: a restriction of yours. 503: an outage. */
  status: 400 | 401 | 403 | 503;
  /** The same number, under the name that Express reads. */
  statusCode: 400 | 401 | 403 | 503;
  /** The caller may see the message, also that of a 503. */
  expose = true as const;
  /** `Cache-Control`, and `WWW-Authenticate` (RFC 6750 §3) or `Retry-After`. */
  headers: Record<string, string>;
  /** Details for the operator's log, not for the caller. `undefined` where the code says everything. */
  declare cause?: AgentIdentityErrorCause;
  readonly #details: Details | undefined;

  static {
    // An error costs most of a refusal, and few causes are read.
    Object.defineProperty(this.prototype, "cause", {
      configurable: true,
      get(this: object) {
        const details = #details in this ? this.#details : undefined;
        return details && setCause(this, causeOf(details));
      },
      set(this: object, cause: unknown) {
        setCause(this, cause);
      },
    });
    // Node 26 shows only a cause that is the error's own.
    Object.defineProperty(this.prototype, Symbol.for("nodejs.util.inspect.custom"), {
      value(this: Error, _depth: number, options: object, inspect: (value: unknown, options: object) => string) {
        Reflect.get(this, "cause"); // makes it
        return inspect(this, { ...options, customInspect: false });
      },
    });
    Object.defineProperty(this.prototype, "name", { value: "AgentIdentityError", configurable: true, writable: true });
    Object.defineProperty(this.prototype, BRAND, { value: true });
  }

  private constructor({ code, details }: Refusal, headers: Record<string, string>) {
    const { status, message } = FAILURES[code];
    super(message);
    this.code = code;
    this.status = this.statusCode = status;
    this.headers = headers;
    this.#details = details;
  }

  /** @internal */
  static of(refusal: Refusal, headers: Record<string, string>): AgentIdentityError {
    return withoutStack(() => new AgentIdentityError(refusal, headers));
  }
}

function causeOf(details: Details): AgentIdentityErrorCause {
  const { reason = `no trusted key has the kid ${details.kid ?? ""}` } = details;
  return Object.assign(
    withoutStack(() => new Error(reason)),
    details,
    { reason },
  );
}

/** Not enumerable, so that no serialisation for the caller has it. */
function setCause<T>(error: object, value: T): T {
  Reflect.defineProperty(error, "cause", { value, configurable: true, writable: true }); // not, if the error is frozen
  return value;
}

/**
 * Whether a value is an error of this package, or of another copy of it in the same process.
 * @example
 * if (isAgentIdentityError(error)) res.status(error.status).set(error.headers).end();
 */
export function isAgentIdentityError(value: unknown): value is AgentIdentityError {
  return typeof value === "object" && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true;
}

/** Why a request or a token is refused. It is a value, because an exception inside this package is a bug and not a 401. */
export class Refusal {
  readonly code: AgentIdentityErrorCode;
  readonly details: Details | undefined;
  /** Seconds, for a 503. */
  readonly retryAfter: number | undefined;

  constructor(code: AgentIdentityErrorCode, details?: Details, retryAfter?: number) {
    this.code = code;
    this.details = details;
    this.retryAfter = retryAfter;
  }
}

export type ErrorFactory = (refusal: Refusal) => AgentIdentityError;

/** Builds each challenge once. Each call of the factory makes a new error. */
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
    const headers: Record<string, string> = { "Cache-Control": "no-store" };
    const challenge = challenges.get(refusal.code);
    if (challenge !== undefined) headers["WWW-Authenticate"] = challenge;
    if (refusal.retryAfter !== undefined) headers["Retry-After"] = String(refusal.retryAfter);
    return AgentIdentityError.of(refusal, headers);
  };
}

/** For errors without a request. */
export const toVerifierError = createErrorFactory({ realm: DEFAULT_REALM, resourceMetadata: undefined });

const BODY_TYPES = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  503: "service_unavailable_error",
} as const;

/** The answer to a refused request, the same for every framework. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** @returns `undefined` for an error of other code */
export function toErrorAnswer(error: unknown): ErrorAnswer | undefined {
  return isAgentIdentityError(error) ? answerOf(error) : undefined;
}

export function answerOf({ message, status, code, headers }: AgentIdentityError): ErrorAnswer {
  // By this code, clients know that they have to register their task again.
  const codexCode = code === "task_invalid" ? "invalid_task_id" : code;
  return {
    status,
    headers: { ...headers, "Content-Type": "application/json; charset=utf-8" },
    body: JSON.stringify({ error: { message, type: BODY_TYPES[status], code: codexCode } }),
  };
}
