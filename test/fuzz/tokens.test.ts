/** Whatever is done to a token, the verifier accepts only what another library accepts too, and says nothing of the token. */

import { sign } from "node:crypto";
import fc, { type Arbitrary } from "fast-check";
import { createLocalJWKSet, jwtVerify } from "jose";
import { expect, test } from "vitest";
import { createVerifier, type AgentIdentity } from "../../src/index.js";
import type { AgentIdentityClaims } from "../../src/protocol/claims.js";
import { claims, mint, now, secondKey, signingKey, signToken } from "../support/agents.js";
import { expectRefusal, sentWith } from "../support/refusals.js";
import { tokenOfLength } from "../support/token-of-length.js";
import { fuzz, settled } from "./budget.js";
import { json, mutated, nextMonth, oneOf, text, usually } from "./values.js";

const keySet = { keys: [signingKey.jwk, secondKey.jwk, { ...signingKey.jwk, kid: "enc", use: "enc" }] };
const verifier = createVerifier("https://gw.example", { jwks: { keySet } });
const getKey = createLocalJWKSet(keySet);
const usualOptions = { issuer: claims().iss, audience: claims().aud, algorithms: ["RS256"], clockTolerance: 60 };

const good = [
  mint({ exp: nextMonth }),
  mint({ exp: nextMonth, email: null, plan_type: "hc" }),
  mint({ exp: nextMonth, account_id: "acct-3" }, secondKey),
  tokenOfLength(16_384),
];
const changed = mutated(oneOf(...good, mint({ exp: now() - 3_600 })));

/** Asks twice, so that a remembered verdict is seen too. */
async function verdictOf(token: unknown): Promise<string> {
  const outcomes = [await settled(verifier.verify(token as string)), await settled(verifier.verify(token as string))];
  const [verdict, again] = outcomes.map((outcome) =>
    outcome instanceof Error ? expectRefusal(outcome, sentWith(token)) : "accepted",
  );
  expect(again).toBe(verdict);
  if (verdict === "accepted") await expectRight(token as string, outcomes[0] as AgentIdentity);
  return verdict ?? "";
}

async function expectRight(token: string, identity: AgentIdentity): Promise<void> {
  const { payload } = await jwtVerify<AgentIdentityClaims>(token, getKey, usualOptions);
  expect(Object.isFrozen(identity)).toBe(true);
  expect(identity).toEqual({
    agentRuntimeId: payload.agent_runtime_id,
    accountId: payload.account_id,
    chatgptUserId: payload.chatgpt_user_id,
    email: payload.email ?? null,
    planType: payload.plan_type === "hc" ? "enterprise" : payload.plan_type,
    chatgptAccountIsFedramp: payload.chatgpt_account_is_fedramp,
    issuedAt: payload.iat,
    expiresAt: payload.exp,
  });
}

test("a token that was changed without the key is never accepted", async () => {
  const endings = { accepted: 0.1, token_malformed: 0.1, signature_invalid: 0.03 };
  await fuzz(300, endings, changed, async (token) => {
    const verdict = await verdictOf(token);
    if (verdict === "accepted") expect(good).toContain(token);
    return verdict;
  });
});

const members = (names: string[], ...values: Arbitrary<unknown>[]) =>
  fc.array(fc.tuple(oneOf(...names), fc.oneof(...values)), { maxLength: 2 });
const tokenOf = (header: [string, unknown][], payload: [string, unknown][]): string =>
  signToken(
    Object.fromEntries([["alg", "RS256"], ["kid", "key-1"], ...header]),
    Object.fromEntries([...Object.entries(claims()), ...payload]),
  );
/** Seconds beside the ends of a token's life. */
const time = fc
  .tuple(fc.constantFrom(-86_400, -60, 0, 60, 86_400), fc.integer({ min: -5, max: 5 }))
  .map(([offset, beside]) => now() + offset + beside);

test("a token that the backend has signed, whatever is in it, is accepted only where jose accepts it", async () => {
  const header = usually(
    2,
    fc.constant<[string, unknown][]>([]),
    members(["kid"], oneOf("key-1", "key-2", "enc", "Key-1", "stranger"), json),
    members(["alg", "crit", "b64", "typ", "jwk"], json, oneOf("RS256", "none", "HS256", "PS256")),
  );
  const payload = fc.oneof(
    members(Object.keys(claims()), json, fc.constant(undefined)),
    members(["exp", "nbf", "iat"], time),
    members(["iss", "aud"], fc.constantFrom([claims().iss], [claims().aud], claims().aud.toUpperCase()), json),
    members(["sub", "email", "plan_type", "account_id"], text, fc.constant(null)),
  );
  const signAgain = (token: string): string => {
    const signed = token.split(".").slice(0, 2).join(".");
    return `${signed}.${sign("sha256", Buffer.from(signed), signingKey.privateKey).toString("base64url")}`;
  };
  const tokens = usually(
    4,
    fc.tuple(header, payload).map((both) => tokenOf(...both)),
    changed.map(signAgain),
  );
  const endings = {
    accepted: 0.2,
    token_malformed: 0.05,
    claims_invalid: 0.03,
    token_expired: 0.01,
    key_untrusted: 0.01,
  };
  await fuzz(300, endings, tokens, verdictOf);
});

test("what the contract does not read changes nothing: such a token is accepted", async () => {
  const names = ["jti", "scope", "__proto__", "constructor", "", "Kid", "typ", "jku", "x5c"];
  const unread = fc.tuple(members(names, json), members(["azp", "jti", "toString", "Exp"], json));
  await fuzz(100, { accepted: 1 }, unread, ([header, payload]) => verdictOf(tokenOf(header, payload)));
});

test("what is no token at all is malformed", async () => {
  const values = fc.oneof(
    fc.anything(),
    text,
    fc.json(),
    fc.array(text).map((parts) => parts.join(".")),
  );
  await fuzz(150, { token_malformed: 1 }, values, verdictOf);
});
