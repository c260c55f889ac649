/** What every refusal looks like, as an error and over HTTP. The table is the contract's; no suite repeats it. */

import { inspect } from "node:util";
import { expect } from "vitest";
import type { AgentIdentityError } from "../../src/index.js";
import type { Answer } from "./servers.js";

export const MESSAGES = {
  credentials_missing: [401, "No credentials were sent."],
  scheme_unsupported: [401, "The Authorization scheme is not supported here."],
  request_malformed: [400, "The Authorization header is malformed."],
  token_malformed: [401, "The token is not a well-formed JWT."],
  algorithm_not_allowed: [401, "The token is not signed with RS256."],
  issuer_invalid: [401, "The token is from another issuer."],
  audience_invalid: [401, "The token is for another audience."],
  claims_invalid: [401, "The token lacks a claim or has one of the wrong type."],
  token_expired: [401, "The token has expired."],
  token_not_yet_valid: [401, "The token is not valid yet."],
  key_untrusted: [401, "The token is signed with a key that is not trusted."],
  signature_invalid: [401, "The token's signature is not valid."],
  assertion_malformed: [401, "The agent assertion is malformed."],
  assertion_stale: [401, "The agent assertion's time is not now."],
  assertion_invalid: [401, "The agent assertion is not valid."],
  task_invalid: [401, "The task is unknown or has expired."],
  workspace_not_allowed: [403, "This workspace is not allowed here."],
  login_method_not_allowed: [403, "This way of signing in is not allowed here."],
  identity_not_allowed: [403, "This agent is not allowed here."],
  keys_unavailable: [503, "The signing keys are unavailable at the moment. Try again later."],
  directory_unavailable: [503, "Agents cannot be looked up at the moment. Try again later."],
} as const;

export type Code = keyof typeof MESSAGES;

const RFC6750 = 'Bearer realm="agent-identity"';
export const challenge = (error: string, description: string) =>
  `${RFC6750}, error="${error}", error_description="${description}"`;

const ERRORS = { 400: "invalid_request", 401: "invalid_token", 403: "insufficient_scope" };
const TYPES = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  503: "service_unavailable_error",
};

/** The challenge that a code has, where the realm is the default; a 503 has none. */
function challengeOf(code: Code): string | undefined {
  const [status, message] = MESSAGES[code];
  if (status === 503) return undefined;
  const isBare = code === "credentials_missing" || code === "scheme_unsupported";
  return isBare ? RFC6750 : challenge(ERRORS[status], message);
}

export function expectFailure({ status, headers, body }: Answer, code: Code): void {
  const [expectedStatus, message] = MESSAGES[code];
  // This one makes the Codex client register a new task.
  const error = { message, type: TYPES[expectedStatus], code: code === "task_invalid" ? "invalid_task_id" : code };
  expect({ status, body: JSON.parse(body) as unknown }).toEqual({ status: expectedStatus, body: { error } });
  expect(headers["www-authenticate"]).toBe(challengeOf(code));
  expect(headers["cache-control"]).toBe("no-store");
  expect(headers["content-type"]).toBe("application/json; charset=utf-8");
  if (expectedStatus === 503) expect(headers["retry-after"]).toMatch(/^([1-9]|[12]\d|30)$/);
}

/** What the caller sent: none of it may be in the error. The `kid` may be in its `cause`, and nowhere else. */
export interface Sent {
  readonly texts: readonly string[];
  readonly kid?: unknown;
}

const decoded = (part: string): string => Buffer.from(part, "base64url").toString();

/** A token or an assertion, as it was sent and decoded. */
export function sentWith(text: unknown): Sent {
  if (typeof text !== "string") return { texts: [] };
  const parts = text.split(".").map(decoded);
  return { texts: [text, ...parts], kid: /"kid":"((?:[^"\\]|\\.)*)"/.exec(parts[0] ?? "")?.[1] };
}

const CAUSE_MEMBERS = ["reason", "kid", "jwksUrl", "kids", "keySetAge"];

/** Fails if an error is not what its code says it is, or has any part of what was sent in it. @returns its code */
export function expectRefusal(error: unknown, sent: Sent): Code {
  expect(error).toBeInstanceOf(Error);
  const { code, status, statusCode, message, expose, headers, cause } = error as AgentIdentityError;
  expect(Object.keys(MESSAGES), inspect(error)).toContain(code);
  const [expectedStatus, expectedMessage] = MESSAGES[code];
  expect({ status, statusCode, message, expose }).toEqual({
    status: expectedStatus,
    statusCode: expectedStatus,
    message: expectedMessage,
    expose: true,
  });
  const retryAfter = { "Retry-After": expect.stringMatching(/^[1-9]\d*$/) as string };
  expect(headers).toEqual({
    "Cache-Control": "no-store",
    ...(status === 503 ? retryAfter : { "WWW-Authenticate": challengeOf(code) }),
  });
  if (cause !== undefined) {
    expect(Object.keys(error as object)).not.toContain("cause");
    for (const [name, value] of Object.entries(cause)) {
      expect(CAUSE_MEMBERS).toContain(name);
      for (const text of [value].flat()) expect(String(text)).toMatch(/^\P{C}*$/u);
    }
    expect((cause.kid ?? "").length).toBeLessThanOrEqual(256);
  }
  expectNothingOf(sent, error);
  return code;
}

/** So many characters in a row are no coincidence. */
const WINDOW = 20;
const EVERYTHING = {
  depth: Infinity,
  showHidden: true,
  getters: true,
  maxStringLength: Infinity,
  maxArrayLength: Infinity,
  breakLength: Infinity,
} as const;

/** Looks into every property of a value, hidden ones included, for parts of what was sent. */
export function expectNothingOf({ texts, kid }: Sent, value: unknown): void {
  const sent = texts.join("\n");
  // The paths of source files in a stack are not the sender's text.
  const shown = [inspect(value, EVERYTHING), JSON.stringify(value)].join("\n").replace(/^ {4}at .*$/gm, "");
  const leaked: string[] = [];
  // Any window contains a whole half window that begins at a multiple of its length.
  for (let half = 0; half < shown.length; half += WINDOW / 2) {
    if (!sent.includes(shown.slice(half, half + WINDOW / 2))) continue;
    for (let i = Math.max(half - WINDOW / 2, 0); i <= half && i + WINDOW <= shown.length; i++) {
      const part = shown.slice(i, i + WINDOW);
      if (sent.includes(part) && !(typeof kid === "string" && kid.includes(part.replaceAll('"', ""))))
        leaked.push(part);
    }
  }
  expect(leaked).toEqual([]);
}
