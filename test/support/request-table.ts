/** What is answered to which request: the same for every framework. */

import { expect } from "vitest";
import { claims, mint, signToken, stranger } from "./agents.js";
import { expectFailure, type Code } from "./refusals.js";
import type { Answer } from "./servers.js";

export const token = mint();
const header = { alg: "RS256", kid: "key-1" };

export type SentHeaders = Record<string, string | string[]>;
export const bearer = (credentials: string): SentHeaders => ({ Authorization: `Bearer ${credentials}` });

export type Expected = "agent-1" | "nobody" | Code;

/** Where a `Request` cannot show what was received, because it joins two headers by a comma, `ofRequest` says what it is. */
export const REQUESTS: [name: string, headers: SentHeaders, expected: Expected, path?: string, ofRequest?: Expected][] =
  [
    ["a verified token", bearer(token), "agent-1"],
    ["a scheme in other case", { Authorization: `bEARER ${token}` }, "agent-1"],
    ["several spaces", { Authorization: `Bearer   ${token}` }, "agent-1"],
    ["a ChatGPT-Account-ID that is another's", { ...bearer(token), "ChatGPT-Account-ID": "acct-2" }, "agent-1"],
    ["no credentials", {}, "credentials_missing"],
    ["an empty header", { Authorization: "" }, "credentials_missing"],
    ["a blank header", { Authorization: "   " }, "credentials_missing"],
    ["a space that is no space", { Authorization: "\u00a0" }, "scheme_unsupported"],
    ["another scheme", { Authorization: "Basic dXNlcjpwYXNz" }, "scheme_unsupported"],
    ["AgentAssertion, with no directory", { Authorization: "AgentAssertion e30" }, "scheme_unsupported"],
    ["a runtime assertion", { Authorization: "AgentAssertion 1.e30.e30.c2ln" }, "scheme_unsupported"],
    ["a runtime assertion in its own header", { "X-OpenAI-Agent-Assertion": "e30.e30.c2ln" }, "scheme_unsupported"],
    ["a runtime assertion beside a token", { ...bearer(token), "X-OpenAI-Agent-Assertion": "x" }, "agent-1"],
    ["an empty header of runtime assertions", { "X-OpenAI-Agent-Assertion": "" }, "credentials_missing"],
    ["a scheme that begins like Bearer", { Authorization: `BearerToken ${token}` }, "scheme_unsupported"],
    ["a token without a scheme", { Authorization: token }, "scheme_unsupported"],
    ["Bearer alone", { Authorization: "Bearer" }, "request_malformed"],
    ["Bearer and spaces", { Authorization: "Bearer  " }, "request_malformed"],
    ["a tab", { Authorization: `Bearer\t${token}` }, "request_malformed"],
    ["a second word", bearer(`${token} x`), "request_malformed"],
    ["a comma list", bearer(`${token}, Bearer ${token}`), "request_malformed"],
    ["a parameter list", { Authorization: "Bearer,x" }, "request_malformed"],
    ["quotes", bearer(`"${token}"`), "request_malformed"],
    ["a byte above ASCII", bearer(`${token}\u00e9`), "request_malformed"],
    ["padding in the middle", bearer("a=b"), "request_malformed"],
    ["two headers, both right", { Authorization: [`Bearer ${token}`, `Bearer ${token}`] }, "request_malformed"],
    [
      "two headers, one empty",
      { Authorization: ["", `Bearer ${token}`] },
      "request_malformed",
      "/required",
      "scheme_unsupported",
    ],
    ["two headers, the second one empty", { Authorization: [`Bearer ${token}`, ""] }, "request_malformed"],
    [
      "two headers, the first of another scheme",
      { Authorization: ["Basic x", `Bearer ${token}`] },
      "request_malformed",
      "/required",
      "scheme_unsupported",
    ],
    ["a b64token that is no JWT", bearer("abc"), "token_malformed"],
    ["a bearer token that looks like a runtime assertion", bearer("1.e30.e30.c2ln"), "token_malformed"],
    ["a personal access token", bearer("at-0123456789abcdef"), "token_malformed"],
    ["padding after the token", bearer(`${token}=`), "token_malformed"],
    [
      "a JWT of the wrong algorithm",
      bearer(signToken({ alg: "RS512", kid: "key-1" }, claims())),
      "algorithm_not_allowed",
    ],
    ["another issuer", bearer(mint({ iss: "https://evil.example" })), "issuer_invalid"],
    ["another audience", bearer(mint({ aud: "evil" })), "audience_invalid"],
    ["a missing claim", bearer(mint({ account_id: undefined })), "claims_invalid"],
    ["an expired token", bearer(mint({ exp: 1_700_000_000 })), "token_expired"],
    ["a token of the future", bearer(mint({ nbf: 4_000_000_000 })), "token_not_yet_valid"],
    ["an unknown key", bearer(mint({}, stranger)), "key_untrusted"],
    ["a forged signature", bearer(signToken(header, claims(), stranger)), "signature_invalid"],
    ["the allowed workspace", bearer(token), "agent-1", "/acct-1"],
    ["another workspace", bearer(token), "workspace_not_allowed", "/acct-2"],
    ["another login method", bearer(token), "login_method_not_allowed", "/api-only"],
    ["no credentials where restricted", {}, "credentials_missing", "/acct-1"],
    ["what the rule allows", bearer(token), "agent-1", "/pro"],
    ["what the rule does not allow", bearer(mint({ plan_type: "plus" })), "identity_not_allowed", "/pro"],
    ["no credentials where there is a rule", {}, "credentials_missing", "/pro"],
    ["a bad token where there is a rule", bearer("abc"), "token_malformed", "/pro"],
    ["no credentials where optional", {}, "nobody", "/optional"],
    ["an empty header where optional", { Authorization: "" }, "nobody", "/optional"],
    [
      "a runtime assertion in its own header where optional",
      { "X-OpenAI-Agent-Assertion": "x" },
      "nobody",
      "/optional",
    ],
    ["a runtime assertion where optional", { Authorization: "AgentAssertion 1.x" }, "scheme_unsupported", "/optional"],
    ["a verified token where optional", bearer(token), "agent-1", "/optional"],
    ["another scheme where optional", { Authorization: "Basic x" }, "scheme_unsupported", "/optional"],
    ["a space that is no space where optional", { Authorization: "\u00a0" }, "scheme_unsupported", "/optional"],
    ["a bad token where optional", bearer("abc"), "token_malformed", "/optional"],
    ["two headers where optional", { Authorization: ["", ""] }, "request_malformed", "/optional", "scheme_unsupported"],
    ["no credentials where optional but restricted", {}, "credentials_missing", "/optional/acct-1"],
  ];

export function expectAnswer(answer: Answer, expected: Expected): void {
  if (expected === "agent-1" || expected === "nobody") {
    expect(answer).toMatchObject({ status: 200, body: JSON.stringify(expected) });
  } else {
    expectFailure(answer, expected);
  }
}
