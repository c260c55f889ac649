import { describe, expect, test } from "vitest";
import { claims, mint, now } from "../support/agents.js";
import { forge } from "./forged-token.js";
import { bearer, startTarget, type Verdict } from "./target.js";

/**
 * RFC 7515 §4 and RFC 7519 §4: repeated names are refused, or the last one counts. Here the last one counts, everywhere:
 * a check that saw one value while another was used would be the hole.
 */
const header = (...members: string[]) => `{${members.join(",")}}`;
const [rs256, none, kid, otherKid] = ['"alg":"RS256"', '"alg":"none"', '"kid":"key-1"', '"kid":"unknown"'];

describe("in the header", () => {
  test.each<[string, string, Verdict]>([
    ["a bad alg last", header(rs256, none, kid), "algorithm_not_allowed"],
    ["a good alg last", header(none, rs256, kid), "accepted"],
    ["a bad alg last, in escapes", header(rs256, kid, '"\\u0061\\u006cg":"none"'), "algorithm_not_allowed"],
    ["a bad alg between two good ones", header(rs256, none, rs256, kid), "accepted"],
    ["an unknown kid last", header(rs256, kid, otherKid), "key_untrusted"],
    ["the known kid last", header(rs256, otherKid, kid), "accepted"],
    ["a kid of another type last", header(rs256, kid, '"kid":["key-1"]'), "token_malformed"],
    ["a crit that is taken back", header(rs256, kid, '"crit":["x"]', '"crit":null'), "token_malformed"],
    ["a b64 of false last", header(rs256, kid, '"b64":true', '"b64":false'), "token_malformed"],
    ["a b64 of true last", header(rs256, kid, '"b64":false', '"b64":true'), "accepted"],
    ["__proto__ twice", header(rs256, kid, '"__proto__":{"alg":"none"}', '"__proto__":null'), "accepted"],
  ])("%s", async (_, text, code) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(text, claims())))).toBe(code);
  });
});

/** Claims of which one comes twice: at the beginning, and at the end. */
const twice = (member: string, first: unknown, last: unknown): string => {
  const rest = JSON.stringify(claims({ [member]: undefined })).slice(1, -1);
  return `{"${member}":${JSON.stringify(first)},${rest},"${member}":${JSON.stringify(last)}}`;
};

describe("in the claims", () => {
  const { iss, aud } = claims();
  const PAIRS: [member: string, good: unknown, bad: unknown, code: Verdict][] = [
    ["iss", iss, "https://evil.example", "issuer_invalid"],
    ["aud", aud, "evil", "audience_invalid"],
    ["aud", aud, [aud], "audience_invalid"],
    ["exp", now() + 3600, 1, "token_expired"],
    ["exp", now() + 3600, "never", "claims_invalid"],
    ["iat", now(), -1, "claims_invalid"],
    ["nbf", 0, now() + 3600, "token_not_yet_valid"],
    ["agent_runtime_id", "agent-1", "", "claims_invalid"],
    ["account_id", "acct-1", null, "claims_invalid"],
    ["chatgpt_user_id", "user-1", 1, "claims_invalid"],
    ["email", null, 1, "claims_invalid"],
    ["plan_type", "pro", {}, "claims_invalid"],
    ["chatgpt_account_is_fedramp", false, "false", "claims_invalid"],
  ];
  test.each(PAIRS)("%s: %j and %j", async (member, good, bad, code) => {
    const target = await startTarget();
    const token = (first: unknown, last: unknown) => forge({ alg: "RS256", kid: "key-1" }, twice(member, first, last));
    expect(await target.verdict(bearer(token(good, bad)))).toBe(code);
    expect(await target.verdict(bearer(token(bad, good)))).toBe("accepted");
  });

  test("what is checked is what is given: the last, of each", async () => {
    const target = await startTarget();
    const text =
      '{"account_id":"acct-2","agent_runtime_id":"agent-2","exp":1,"chatgpt_account_is_fedramp":true,' +
      JSON.stringify(claims()).slice(1);
    const token = forge({ alg: "RS256", kid: "key-1" }, text);
    for (let i = 0; i < 2; i++) {
      expect(await target.verdict(bearer(token), "/acct-1")).toBe("accepted");
      expect(await target.verdict(bearer(token), "/acct-2")).toBe("workspace_not_allowed");
    }
    expect(target.given).toHaveLength(2);
    for (const identity of target.given) {
      expect(identity).toMatchObject({
        accountId: "acct-1",
        agentRuntimeId: "agent-1",
        chatgptAccountIsFedramp: false,
      });
      expect(identity.expiresAt).toBeGreaterThan(now());
    }
  });

  test("a token keeps its life while it is remembered: the last exp", async () => {
    const target = await startTarget(undefined, { clockTolerance: 0 });
    const dying = forge({ alg: "RS256", kid: "key-1" }, twice("exp", now() + 3600, now()));
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(dying))).toBe("token_expired");
  });
});

describe("__proto__, constructor and prototype as members", () => {
  const payload = (members: string, without?: string) =>
    `{${members},${JSON.stringify(claims(without ? { [without]: undefined } : {})).slice(1)}`;

  test.each([
    '"__proto__":{"account_id":"acct-2"}',
    '"constructor":{"prototype":{"account_id":"acct-2","polluted":true}}',
    '"prototype":{"account_id":"acct-2"}',
    '"__proto__":{"__proto__":{"polluted":true}}',
    '"toString":"acct-2","valueOf":"acct-2","toJSON":"acct-2","then":"acct-2"',
  ])("%s changes nothing", async (members) => {
    const target = await startTarget();
    const token = forge({ alg: "RS256", kid: "key-1" }, payload(members));
    expect(await target.verdict(bearer(token), "/acct-1")).toBe("accepted");
    expect(await target.verdict(bearer(token), "/acct-2")).toBe("workspace_not_allowed");
    expect(Object.keys(target.given[0] ?? {})).toEqual(Object.keys(await target.agents.verifier.verify(mint())));
    expect({}).not.toHaveProperty("polluted");
    expect({}).not.toHaveProperty("account_id");
  });

  test.each<[string, Verdict]>([
    ["iss", "issuer_invalid"],
    ["aud", "audience_invalid"],
    ["exp", "claims_invalid"],
    ["account_id", "claims_invalid"],
    ["agent_private_key", "claims_invalid"],
    ["chatgpt_account_is_fedramp", "claims_invalid"],
  ])("%s cannot be inherited", async (member, code) => {
    const target = await startTarget();
    const inherited = JSON.stringify(claims());
    for (const name of ["__proto__", "constructor", "prototype"]) {
      const token = forge({ alg: "RS256", kid: "key-1" }, payload(`"${name}":${inherited}`, member));
      expect(await target.verdict(bearer(token))).toBe(code);
    }
  });
});
