/** The checks of claims without a token around them. `test/attacks/claims.test.ts` sends every JSON type through the door. */

import { expect, test } from "vitest";
import {
  agentClaimsAreWellFormed,
  canonicalPlanType,
  CODEX_AUDIENCE,
  CODEX_ISSUER,
  findClaimFailure,
  hasExpired,
  isTooOld,
  type ClaimExpectations,
} from "../../src/protocol/claims.js";

const NOW = 1_000_000;
const EXPECTED = { issuer: CODEX_ISSUER, audience: CODEX_AUDIENCE, clockTolerance: 60, maxTokenAge: undefined };
const CLAIMS = {
  iss: "https://chatgpt.com/codex-backend/agent-identity",
  aud: "codex-app-server",
  iat: NOW,
  exp: NOW + 1,
  agent_runtime_id: "agent-1",
  agent_private_key: "",
  account_id: "acct-1",
  chatgpt_user_id: "user-1",
  plan_type: "",
  chatgpt_account_is_fedramp: false,
};

function failure(claims: Record<string, unknown>, expected: Partial<ClaimExpectations> = {}): string | undefined {
  return findClaimFailure({ ...CLAIMS, ...claims }, { ...EXPECTED, ...expected }, NOW);
}

const NO_STRINGS = [undefined, null, 1, ["a"]];
const NO_TIMES = [undefined, null, "1", -1, 1.5, NaN, 2 ** 53];
test.each<[claim: string, values: unknown[]]>([
  ["iat", NO_TIMES],
  ["exp", NO_TIMES],
  ["nbf", NO_TIMES.slice(1)],
  ["sub", [{}, []]],
  ["agent_runtime_id", [...NO_STRINGS, ""]],
  ["agent_private_key", NO_STRINGS],
  ["account_id", [...NO_STRINGS, ""]],
  ["chatgpt_user_id", [...NO_STRINGS, ""]],
  ["email", [1, {}, false]],
  ["plan_type", NO_STRINGS],
  ["chatgpt_account_is_fedramp", [undefined, null, 0, "true"]],
])("%s must not be any of %j", (claim, values) => {
  for (const value of values) expect(failure({ [claim]: value })).toBe("claims_invalid");
});

test("the first failure decides", () => {
  const claims = { iss: "a", aud: "a", email: 1, exp: 0, nbf: NOW + 61 };
  expect(failure(claims)).toBe("issuer_invalid");
  expect(failure({ ...claims, iss: CLAIMS.iss })).toBe("audience_invalid");
  expect(failure({ ...claims, iss: CLAIMS.iss, aud: CLAIMS.aud })).toBe("claims_invalid");
  expect(failure({ exp: 0, nbf: NOW + 61 })).toBe("token_expired");
  expect(failure({ iat: 0, nbf: NOW + 61 }, { maxTokenAge: 1 })).toBe("token_not_yet_valid");
});

const AGE = { maxTokenAge: 100 };
test.each<[Record<string, unknown>, Partial<ClaimExpectations>, string | undefined]>([
  [{ iat: 0, nbf: 0, sub: null, email: null }, {}, undefined],
  [{ sub: "a", email: "a@b.example", chatgpt_account_is_fedramp: true }, {}, undefined],
  [{ exp: NOW - 59 }, {}, undefined],
  [{ exp: NOW - 60 }, {}, "token_expired"],
  [{ nbf: NOW + 60 }, {}, undefined],
  [{ nbf: NOW + 61 }, {}, "token_not_yet_valid"],
  [{ iat: NOW + 61 }, {}, undefined],
  [{ iat: NOW + 60 }, AGE, undefined],
  [{ iat: NOW + 61 }, AGE, "token_not_yet_valid"],
  [{ iat: NOW - 160 }, AGE, undefined],
  [{ iat: NOW - 161 }, AGE, "token_expired"],
])("%j with %j: %j", (claims, expected, code) => {
  expect(failure(claims, expected)).toBe(code);
});

test("a remembered token expires, and gets too old, at the same second", () => {
  expect([59, 60].map((age) => hasExpired(NOW - age, 60, NOW))).toEqual([false, true]);
  expect([160, 161].map((age) => isTooOld(NOW - age, { ...EXPECTED, ...AGE }, NOW))).toEqual([false, true]);
  expect(isTooOld(0, EXPECTED, NOW)).toBe(false);
});

test("Codex's aliases of plans are mapped, and other plans are kept", () => {
  expect(["hc", "education", "pro"].map(canonicalPlanType)).toEqual(["enterprise", "edu", "pro"]);
});

test.each([
  "agent_runtime_id",
  "agent_private_key",
  "account_id",
  "chatgpt_user_id",
  "plan_type",
  "chatgpt_account_is_fedramp",
])("an agent record without %s is not well-formed", (name) => {
  const record: Record<string, unknown> = CLAIMS;
  expect(agentClaimsAreWellFormed(record)).toBe(true);
  expect(agentClaimsAreWellFormed({ ...record, iat: undefined, exp: "never" })).toBe(true);
  expect(agentClaimsAreWellFormed({ ...record, [name]: undefined })).toBe(false);
});
