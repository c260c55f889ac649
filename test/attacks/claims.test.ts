/** Each claim as each type of JSON, twice, inherited, a second too early and too late, and almost right. */

import { describe, expect, test } from "vitest";
import type { VerifierOptions } from "../../src/index.js";
import { claims, mint, now, signingKey } from "../support/agents.js";
import { bearer } from "../support/request-table.js";
import { forge } from "./forged-token.js";
import { startTarget, verdictOf, verifierOf, type Verdict } from "./target.js";

const HEADER = { alg: "RS256", kid: "key-1" };
const { iss, aud } = claims();
const nested = (depth: number, open: string, close: string) => open.repeat(depth) + "1" + close.repeat(depth);

/** JSON texts of every type; `value` is what the claim ought to be. */
const VALUES = {
  absent: () => undefined,
  "a numeric string": () => `"${String(now() + 3600)}"`,
  "an empty string": () => '""',
  "a blank string": () => '" "',
  "a string": () => '"text"',
  "[value]": (value) => `[${value}]`,
  "[value, value]": (value) => `[${value},${value}]`,
  "{ value }": (value) => `{"value":${value},"toString":${value},"length":1}`,
  "a deep array": () => nested(500, "[", "]"),
  "a deep object": () => nested(500, '{"a":', "}"),
  ...(Object.fromEntries(
    ["null", "true", "false", "0", "1", "-1", "1.5", "1e400", "-1e400", "[]", "{}"].map((text) => [text, () => text]),
  ) as Record<"null" | "true" | "false" | "0" | "1" | "-1" | "1.5" | "1e400" | "-1e400" | "[]" | "{}", () => string>),
  "2^53 - 1": () => "9007199254740991",
  "2^53": () => "9007199254740992",
  "2^64": () => "18446744073709551616",
} satisfies Record<string, (value: string) => string | undefined>;

type Value = keyof typeof VALUES;
const values = Object.keys(VALUES) as Value[];

const STRINGS: Value[] = ["a numeric string", "a blank string", "a string"];
const TIMES: Value[] = ["0", "1", "2^53 - 1"];

/** By claim: what is accepted of `VALUES`, and what earns another code than the last one. From the contract, not the code. */
const CONTRACT: Record<string, { accepted: Value[]; otherwise?: Verdict; but?: Partial<Record<Value, Verdict>> }> = {
  iss: { accepted: [], otherwise: "issuer_invalid" },
  aud: { accepted: [], otherwise: "audience_invalid" },
  iat: { accepted: TIMES },
  exp: { accepted: ["2^53 - 1"], but: { "0": "token_expired", "1": "token_expired" } },
  nbf: { accepted: ["absent", "0", "1"], but: { "2^53 - 1": "token_not_yet_valid" } },
  // Not one of Codex's claims. What Codex refuses of it is refused.
  sub: { accepted: values.filter((value) => !/array|object|[[{]/.test(value)) },
  agent_runtime_id: { accepted: STRINGS },
  agent_private_key: { accepted: [...STRINGS, "an empty string"] },
  account_id: { accepted: STRINGS },
  chatgpt_user_id: { accepted: STRINGS },
  email: { accepted: ["absent", "null", "an empty string", ...STRINGS] },
  plan_type: { accepted: [...STRINGS, "an empty string"] },
  chatgpt_account_is_fedramp: { accepted: ["true", "false"] },
  // Extra claims are ignored.
  jti: { accepted: values },
  role: { accepted: values },
};

/** The claims with one of them spelled so, in the place where it was. */
function payloadWith(name: string, value: Value): string {
  const all = { ...claims(), ...(!(name in claims()) && { [name]: name === "nbf" ? 0 : "text" }) };
  const members = Object.entries(all).map(([member, good]) => {
    const text = member === name ? VALUES[value](JSON.stringify(good)) : JSON.stringify(good);
    return text === undefined ? undefined : `"${member}":${text}`;
  });
  return `{${members.filter((member) => member !== undefined).join(",")}}`;
}

test("the table has every claim", () => {
  expect(Object.keys(CONTRACT)).toEqual(expect.arrayContaining([...Object.keys(claims()), "nbf", "sub"]));
});

test.each(Object.entries(CONTRACT))("%s, as each type", async (name, { accepted, otherwise, but }) => {
  for (const value of values) {
    const expected = but?.[value] ?? (accepted.includes(value) ? "accepted" : (otherwise ?? "claims_invalid"));
    expect(await verdictOf(forge(HEADER, payloadWith(name, value))), value).toBe(expected);
  }
});

test("two at once: the order of the checks decides, not the order of the claims", async () => {
  const wrong = { chatgpt_account_is_fedramp: 1, exp: 1, aud: 1, iss: 1 };
  for (const payload of [
    { ...claims(), ...wrong },
    { ...wrong, ...claims(), ...wrong },
  ]) {
    expect(await verdictOf(mint(payload))).toBe("issuer_invalid");
    expect(await verdictOf(mint({ ...payload, iss }))).toBe("audience_invalid");
    expect(await verdictOf(mint({ ...payload, iss, aud }))).toBe("claims_invalid");
    expect(await verdictOf(mint({ ...payload, iss, aud, chatgpt_account_is_fedramp: false }))).toBe("token_expired");
  }
});

// A few seconds to each side, so that a slow machine cannot tip the scales.
test.each<[claim: "exp" | "nbf", clockTolerance: number | undefined, good: number, bad: number]>([
  ["exp", 0, 5, 0],
  ["exp", 1, 5, -1],
  ["exp", undefined, -55, -60],
  ["exp", 60, -55, -60],
  ["exp", 300, -295, -300],
  ["nbf", 0, 0, 5],
  ["nbf", undefined, 60, 65],
  ["nbf", 300, 300, 305],
])(
  "%s, with a tolerance of %s s: %i s from now is accepted and %i is not",
  async (claim, clockTolerance, good, bad) => {
    const verifier = verifierOf([signingKey.jwk], { clockTolerance });
    expect(await verdictOf(mint({ [claim]: now() + good }), verifier)).toBe("accepted");
    const code = claim === "exp" ? "token_expired" : "token_not_yet_valid";
    expect(await verdictOf(mint({ [claim]: now() + bad }), verifier)).toBe(code);
  },
);

test("milliseconds are not seconds", async () => {
  expect(await verdictOf(mint({ nbf: Date.now() }))).toBe("token_not_yet_valid");
  // An exp that far away is a mistake, and valid.
  expect(await verdictOf(mint({ exp: Date.now() }))).toBe("accepted");
});

test("an issuer that is nearly the right one", async () => {
  const host = (text: string) => iss.replace("chatgpt.com", text);
  for (const issuer of [
    ...[`${iss}/`, iss.slice(0, -1), `${iss}2`, ` ${iss}`, `${iss} `, `${iss}\0`, `${iss}\n`, iss.toUpperCase()],
    ...[iss.replace("https", "HTTPS"), iss.replace("https", "http"), host("ChatGPT.com"), host("chatgpt.com:443")],
    ...[host("chatgpt.com."), host("chatgpt.com.evil.example"), host("evil.example@chatgpt.com"), `${iss}?`, `${iss}#`],
    ...["//codex-backend", "/./codex-backend"].map((path) => iss.replace("/codex-backend", path)),
    ...[iss.replace("agent-identity", "%61gent-identity"), iss.replace("a", "\u0430"), host("\uff43hatgpt.com")],
    ...[iss.replace("codex-backend", "codex\u2010backend"), `https://evil.example/${iss}`],
    ...[`${iss},https://evil.example`, [iss], [iss, "https://evil.example"], ["https://evil.example", iss]],
    ...[{ [iss]: true }, { "0": iss, length: 1 }],
  ]) {
    expect(await verdictOf(mint({ iss: issuer })), JSON.stringify(issuer)).toBe("issuer_invalid");
  }
});

test("an audience that is nearly the right one", async () => {
  for (const audience of [
    ...[`${aud}/`, aud.slice(0, -1), `${aud}2`, `x${aud}`, ` ${aud}`, `${aud} `, `${aud}\0`, aud.toUpperCase()],
    ...[aud.replaceAll("-", "_"), aud.replaceAll("-", "\u2010"), aud.replace("o", "\u043e"), `${aud},evil`],
    ...[`${aud} evil`, "*", ".*", "codex", [], [aud], [aud, "evil"], ["evil", aud], [[aud]], { [aud]: true }],
    { "0": aud, length: 1 },
  ]) {
    expect(await verdictOf(mint({ aud: audience })), JSON.stringify(audience)).toBe("audience_invalid");
  }
});

test.each<[string, expected: string, sent?: string]>([
  ["composed, where decomposed is expected", "caf\u0065\u0301", "caf\u00e9"],
  ["decomposed, where composed is expected", "caf\u00e9", "caf\u0065\u0301"],
  ["the Kelvin sign, where K is expected", "K", "\u212a"],
  ["sharp s, where ss is expected", "strasse", "stra\u00dfe"],
  ["Codex's own, where another is expected", "https://gw.example"],
  ["a regular expression that would match", "https://gw.example", "https://gw.exampl."],
  ["a string that the expected one would match", "gw.example", "gwxexample"],
])("a configured issuer: %s", async (_, issuer, sent = iss) => {
  const verifier = verifierOf([signingKey.jwk], { issuer } satisfies VerifierOptions);
  expect(await verdictOf(mint({ iss: sent }), verifier)).toBe("issuer_invalid");
  expect(await verdictOf(mint({ iss: issuer }), verifier)).toBe("accepted");
});

/**
 * RFC 7515 §4 and RFC 7519 §4: repeated names are refused, or the last one counts. Here the last one counts everywhere:
 * a check of one value while another was used would be the hole.
 */
describe("a member twice: the last one counts", () => {
  const [rs256, none, kid, otherKid] = ['"alg":"RS256"', '"alg":"none"', '"kid":"key-1"', '"kid":"unknown"'];
  test.each<[string, string[], Verdict]>([
    ["a bad alg last", [rs256, none, kid], "algorithm_not_allowed"],
    ["a good alg last", [none, rs256, kid], "accepted"],
    ["a bad alg last, in escapes", [rs256, kid, '"\\u0061\\u006cg":"none"'], "algorithm_not_allowed"],
    ["a bad alg between two good ones", [rs256, none, rs256, kid], "accepted"],
    ["an unknown kid last", [rs256, kid, otherKid], "key_untrusted"],
    ["the known kid last", [rs256, otherKid, kid], "accepted"],
    ["a kid of another type last", [rs256, kid, '"kid":["key-1"]'], "token_malformed"],
    ["a crit that is taken back", [rs256, kid, '"crit":["x"]', '"crit":null'], "token_malformed"],
    ["a b64 of false last", [rs256, kid, '"b64":true', '"b64":false'], "token_malformed"],
    ["a b64 of true last", [rs256, kid, '"b64":false', '"b64":true'], "accepted"],
  ])("in the header: %s", async (_, members, code) => {
    expect(await verdictOf(forge(`{${members.join()}}`, claims()))).toBe(code);
  });

  /** Claims of which one comes twice: at the beginning, and at the end. */
  const twice = (member: string, first: unknown, last: unknown): string => {
    const rest = JSON.stringify(claims({ [member]: undefined })).slice(1, -1);
    return forge(HEADER, `{"${member}":${JSON.stringify(first)},${rest},"${member}":${JSON.stringify(last)}}`);
  };

  test.each<[member: string, good: unknown, bad: unknown, code?: Verdict]>([
    ["iss", iss, "https://evil.example", "issuer_invalid"],
    ["aud", aud, "evil", "audience_invalid"],
    ["aud", aud, [aud], "audience_invalid"],
    ["exp", now() + 3600, 1, "token_expired"],
    ["exp", now() + 3600, "never"],
    ["iat", now(), -1],
    ["nbf", 0, now() + 3600, "token_not_yet_valid"],
    ["agent_runtime_id", "agent-1", ""],
    ["account_id", "acct-1", null],
    ["chatgpt_user_id", "user-1", 1],
    ["email", null, 1],
    ["plan_type", "pro", {}],
    ["chatgpt_account_is_fedramp", false, "false"],
  ])("in the claims: %s, %j and %j", async (member, good, bad, code = "claims_invalid") => {
    expect(await verdictOf(twice(member, good, bad))).toBe(code);
    expect(await verdictOf(twice(member, bad, good))).toBe("accepted");
  });

  test("what is checked is what is given", async () => {
    const target = await startTarget();
    const first = '{"account_id":"acct-2","agent_runtime_id":"agent-2","exp":1,"chatgpt_account_is_fedramp":true,';
    const token = forge(HEADER, first + JSON.stringify(claims()).slice(1));
    for (let i = 0; i < 2; i++) {
      expect(await target.verdict(bearer(token), "/acct-1")).toBe("accepted");
      expect(await target.verdict(bearer(token), "/acct-2")).toBe("workspace_not_allowed");
    }
    const given = { accountId: "acct-1", agentRuntimeId: "agent-1", chatgptAccountIsFedramp: false };
    expect(target.given).toMatchObject([given, given]);
    expect(target.given[0]?.expiresAt).toBeGreaterThan(now());
  });

  test("a token keeps its life while it is remembered", async () => {
    const verifier = verifierOf([signingKey.jwk], { clockTolerance: 0 });
    expect(await verdictOf(twice("exp", now() + 3600, now()), verifier)).toBe("token_expired");
  });
});

describe("__proto__, constructor and prototype as members", () => {
  const payload = (members: string, without?: string) =>
    forge(HEADER, `{${members},${JSON.stringify(claims(without ? { [without]: undefined } : {})).slice(1)}`);

  test.each([
    ...['"__proto__":{"account_id":"acct-2"}', '"prototype":{"account_id":"acct-2"}'],
    ...['"constructor":{"prototype":{"account_id":"acct-2","polluted":true}}'],
    ...['"__proto__":{"__proto__":{"polluted":true}}'],
    ...['"toString":"acct-2","valueOf":"acct-2","toJSON":"acct-2","then":"acct-2"'],
  ])("%s changes nothing", async (members) => {
    const verifier = verifierOf();
    const identity = await verifier.verify(payload(members));
    const { issuedAt, expiresAt } = identity;
    expect(identity).toEqual({ ...(await verifier.verify(mint())), issuedAt, expiresAt });
    expect({}).not.toHaveProperty("polluted");
    expect({}).not.toHaveProperty("account_id");
  });

  test.each<[string, Verdict?]>([
    ["iss", "issuer_invalid"],
    ["aud", "audience_invalid"],
    ...["exp", "account_id", "agent_private_key", "chatgpt_account_is_fedramp"].map((name): [string] => [name]),
  ])("%s cannot be inherited", async (member, code = "claims_invalid") => {
    for (const name of ["__proto__", "constructor", "prototype"]) {
      expect(await verdictOf(payload(`"${name}":${JSON.stringify(claims())}`, member))).toBe(code);
    }
  });
});
