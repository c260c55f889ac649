/** What is asked of every refusal, whatever was refused. */

import { inspect } from "node:util";
import { expect } from "vitest";
import type { AgentIdentityError } from "../../src/index.js";

/** Status and `error` of the challenge by code, as the contract has them. */
const REFUSALS: Readonly<Record<string, [status: number, error?: string]>> = {
  credentials_missing: [401],
  scheme_unsupported: [401],
  request_malformed: [400, "invalid_request"],
  token_malformed: [401, "invalid_token"],
  algorithm_not_allowed: [401, "invalid_token"],
  issuer_invalid: [401, "invalid_token"],
  audience_invalid: [401, "invalid_token"],
  claims_invalid: [401, "invalid_token"],
  token_expired: [401, "invalid_token"],
  token_not_yet_valid: [401, "invalid_token"],
  key_untrusted: [401, "invalid_token"],
  signature_invalid: [401, "invalid_token"],
  assertion_malformed: [401, "invalid_token"],
  assertion_invalid: [401, "invalid_token"],
  assertion_stale: [401, "invalid_token"],
  task_invalid: [401, "invalid_token"],
  login_method_not_allowed: [403, "insufficient_scope"],
  workspace_not_allowed: [403, "insufficient_scope"],
  keys_unavailable: [503],
  directory_unavailable: [503],
};

const CAUSE_MEMBERS = ["reason", "kid", "jwksUrl", "kids", "keySetAge"];

/** The wording is the other tests' matter. Here it is one per code, whatever the input was. */
const messages = new Map<string, string>();

/** What the caller sent, so none of it may be in the error. The `kid` may be in its `cause`, and nowhere else. */
export interface Sent {
  readonly texts: readonly string[];
  readonly kid?: unknown;
}

/** @returns the code of the error */
export function expectRefusal(error: unknown, sent: Sent): string {
  expect(error).toBeInstanceOf(Error);
  const { code, status, statusCode, message, expose, headers, cause } = error as AgentIdentityError;
  const [expectedStatus, challengeError] = REFUSALS[code] ?? expect.fail(`unknown code: ${inspect(error)}`);
  expect([status, statusCode, expose]).toEqual([expectedStatus, expectedStatus, true]);

  expect(message).toMatch(/^[A-Z][a-zA-Z0-9 ,.'-]{10,80}\.$/);
  if (!messages.has(code)) messages.set(code, message);
  expect(message).toBe(messages.get(code));

  const description = challengeError && `, error="${challengeError}", error_description="${message}"`;
  const challenge = `Bearer realm="agent-identity"${description ?? ""}`;
  expect(headers).toEqual({
    "Cache-Control": "no-store",
    ...(status === 503
      ? { "Retry-After": expect.stringMatching(/^[1-9]\d*$/) as string }
      : { "WWW-Authenticate": challenge }),
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
  // Where the code stands is not of the sender's choosing, and most of the text.
  const shown = [inspect(value, EVERYTHING), JSON.stringify(value)].join("\n").replace(/^ {4}at .*$/gm, "");
  const leaked: string[] = [];
  // Whatever is as long as the window has a whole half of it at one of these places.
  for (let half = 0; half < shown.length; half += WINDOW / 2) {
    if (!sent.includes(shown.slice(half, half + WINDOW / 2))) continue;
    for (let i = Math.max(half - WINDOW / 2, 0); i <= half && i + WINDOW <= shown.length; i++) {
      const part = shown.slice(i, i + WINDOW);
      if (sent.includes(part) && !(typeof kid === "string" && kid.includes(part))) leaked.push(part);
    }
  }
  expect(leaked).toEqual([]);
}
