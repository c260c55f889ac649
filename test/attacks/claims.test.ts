import { describe, expect, test } from "vitest";
import type { AgentIdentityAuthOptions } from "../../src/index.js";
import { claims, mint, now } from "../support/agents.js";
import { forge } from "./forged-token.js";
import { bearer, startTarget, type Verdict } from "./target.js";

const nested = (depth: number, open: string, close: string) => open.repeat(depth) + "1" + close.repeat(depth);

/** JSON texts of every type; `value` is what the claim ought to be. */
const VALUES = {
  absent: () => undefined,
  null: () => "null",
  true: () => "true",
  false: () => "false",
  "0": () => "0",
  "1": () => "1",
  "-1": () => "-1",
  "1.5": () => "1.5",
  "1e400": () => "1e400",
  "-1e400": () => "-1e400",
  "2^53 - 1": () => "9007199254740991",
  "2^53": () => "9007199254740992",
  "2^64": () => "18446744073709551616",
  "a numeric string": () => `"${String(now() + 3600)}"`,
  "an empty string": () => '""',
  "a blank string": () => '" "',
  "a string": () => '"text"',
  "[]": () => "[]",
  "[value]": (value) => `[${value}]`,
  "[value, value]": (value) => `[${value},${value}]`,
  "{}": () => "{}",
  "{ value }": (value) => `{"value":${value},"toString":${value},"length":1}`,
  "a deep array": () => nested(500, "[", "]"),
  "a deep object": () => nested(500, '{"a":', "}"),
} satisfies Record<string, (value: string) => string | undefined>;

type Value = keyof typeof VALUES;
const values = Object.keys(VALUES) as Value[];

const STRINGS: Value[] = ["a numeric string", "a blank string", "a string"];
const TIMES: Value[] = ["0", "1", "2^53 - 1"];

/** By claim: what is accepted of `VALUES`, what every other one earns, and what is neither. From the contract, not the code. */
const CONTRACT: Record<string, { accepted: Value[]; otherwise: Verdict; but?: Partial<Record<Value, Verdict>> }> = {
  iss: { accepted: [], otherwise: "issuer_invalid" },
  aud: { accepted: [], otherwise: "audience_invalid" },
  iat: { accepted: TIMES, otherwise: "claims_invalid" },
  exp: { accepted: ["2^53 - 1"], otherwise: "claims_invalid", but: { "0": "token_expired", "1": "token_expired" } },
  nbf: {
    accepted: ["absent", "0", "1"],
    otherwise: "claims_invalid",
    but: { "2^53 - 1": "token_not_yet_valid" },
  },
  // Not one of Codex's claims. What it refuses of it is refused.
  sub: {
    accepted: values.filter((value) => !/array|object|[[{]/.test(value)),
    otherwise: "claims_invalid",
  },
  agent_runtime_id: { accepted: STRINGS, otherwise: "claims_invalid" },
  agent_private_key: { accepted: [...STRINGS, "an empty string"], otherwise: "claims_invalid" },
  account_id: { accepted: STRINGS, otherwise: "claims_invalid" },
  chatgpt_user_id: { accepted: STRINGS, otherwise: "claims_invalid" },
  email: { accepted: ["absent", "null", "an empty string", ...STRINGS], otherwise: "claims_invalid" },
  plan_type: { accepted: [...STRINGS, "an empty string"], otherwise: "claims_invalid" },
  chatgpt_account_is_fedramp: { accepted: ["true", "false"], otherwise: "claims_invalid" },
  // Extra claims are ignored.
  jti: { accepted: values, otherwise: "claims_invalid" },
  role: { accepted: values, otherwise: "claims_invalid" },
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

test("the table has every claim, and a token that changes none of them is accepted", async () => {
  expect(Object.keys(CONTRACT)).toEqual(expect.arrayContaining([...Object.keys(claims()), "nbf", "sub"]));
  const target = await startTarget();
  expect(await target.verdict(bearer(forge({ alg: "RS256", kid: "key-1" }, JSON.stringify(claims()))))).toBe(
    "accepted",
  );
});

describe("each claim as each type of JSON", () => {
  test.each(Object.entries(CONTRACT))("%s", async (name, { accepted, otherwise, but }) => {
    const target = await startTarget();
    const found: Record<string, Verdict> = {};
    const expected: Record<string, Verdict> = {};
    for (const value of values) {
      const token = forge({ alg: "RS256", kid: "key-1" }, payloadWith(name, value));
      found[value] = await target.verdict(bearer(token));
      expected[value] = but?.[value] ?? (accepted.includes(value) ? "accepted" : otherwise);
    }
    expect(found).toEqual(expected);
  });

  test("two at once: the order of the checks decides, not the order of the claims", async () => {
    const target = await startTarget();
    const wrong = { chatgpt_account_is_fedramp: 1, exp: 1, aud: 1, iss: 1 };
    for (const payload of [
      { ...claims(), ...wrong },
      { ...wrong, ...claims(), ...wrong },
    ]) {
      expect(await target.verdict(bearer(mint(payload)))).toBe("issuer_invalid");
      expect(await target.verdict(bearer(mint({ ...payload, iss: claims().iss })))).toBe("audience_invalid");
      const { iss, aud } = claims();
      expect(await target.verdict(bearer(mint({ ...payload, iss, aud })))).toBe("claims_invalid");
      const rest = { iss, aud, chatgpt_account_is_fedramp: false };
      expect(await target.verdict(bearer(mint({ ...payload, ...rest })))).toBe("token_expired");
    }
  });
});

describe("a moment before and after", () => {
  // Seconds from now; a few to each side, so that a slow machine cannot tip the scales.
  const ROWS: [claim: "exp" | "nbf", offset: number, clockTolerance: number | undefined, code: Verdict][] = [
    ["exp", 0, 0, "token_expired"],
    ["exp", -1, 0, "token_expired"],
    ["exp", 5, 0, "accepted"],
    ["exp", -1, 1, "token_expired"],
    ["exp", -60, undefined, "token_expired"],
    ["exp", -55, undefined, "accepted"],
    ["exp", -60, 60, "token_expired"],
    ["exp", -55, 60, "accepted"],
    ["exp", -300, 300, "token_expired"],
    ["exp", -295, 300, "accepted"],
    ["nbf", 0, 0, "accepted"],
    ["nbf", 5, 0, "token_not_yet_valid"],
    ["nbf", 60, undefined, "accepted"],
    ["nbf", 65, undefined, "token_not_yet_valid"],
    ["nbf", 300, 300, "accepted"],
    ["nbf", 305, 300, "token_not_yet_valid"],
  ];
  test.each(ROWS)("%s %i s from now, with a tolerance of %s s: %s", async (claim, offset, clockTolerance, code) => {
    const target = await startTarget(undefined, { clockTolerance });
    const token = mint({ [claim]: now() + offset });
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(token))).toBe(code);
  });

  test("milliseconds are not seconds", async () => {
    const target = await startTarget();
    expect(await target.verdict(bearer(mint({ nbf: Date.now() })))).toBe("token_not_yet_valid");
    // An exp that far away is wrong, and valid.
    expect(await target.verdict(bearer(mint({ exp: Date.now() })))).toBe("accepted");
  });
});

describe("a token of another issuer or audience", () => {
  const { iss, aud } = claims();
  const issuers: unknown[] = [
    `${iss}/`,
    iss.slice(0, -1),
    `${iss}2`,
    ` ${iss}`,
    `${iss} `,
    `${iss}\u0000`,
    `${iss}\n`,
    iss.toUpperCase(),
    iss.replace("https", "HTTPS"),
    iss.replace("https", "http"),
    iss.replace("chatgpt.com", "ChatGPT.com"),
    iss.replace("chatgpt.com", "chatgpt.com:443"),
    iss.replace("chatgpt.com", "chatgpt.com."),
    iss.replace("chatgpt.com", "chatgpt.com.evil.example"),
    iss.replace("chatgpt.com", "evil.example@chatgpt.com"),
    iss.replace("/codex-backend", "//codex-backend"),
    iss.replace("/codex-backend", "/./codex-backend"),
    iss.replace("agent-identity", "%61gent-identity"),
    iss.replace("a", "\u0430"),
    iss.replace("codex-backend", "codex\u2010backend"),
    iss.replace("chatgpt.com", "\uff43hatgpt.com"),
    `${iss}?`,
    `${iss}#`,
    `https://evil.example/${iss}`,
    `${iss},https://evil.example`,
    [iss],
    [iss, "https://evil.example"],
    ["https://evil.example", iss],
    { [iss]: true },
    { "0": iss, length: 1 },
  ];
  const audiences: unknown[] = [
    `${aud}/`,
    aud.slice(0, -1),
    `${aud}2`,
    `x${aud}`,
    ` ${aud}`,
    `${aud} `,
    `${aud}\u0000`,
    aud.toUpperCase(),
    aud.replaceAll("-", "_"),
    aud.replaceAll("-", "\u2010"),
    aud.replace("o", "\u043e"),
    `${aud},evil`,
    `${aud} evil`,
    "*",
    ".*",
    "codex",
    [],
    [aud],
    [aud, "evil"],
    ["evil", aud],
    [[aud]],
    { [aud]: true },
    { "0": aud, length: 1 },
  ];
  test.each(issuers)("iss %j", async (issuer) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(mint({ iss: issuer })))).toBe("issuer_invalid");
  });
  test.each(audiences)("aud %j", async (audience) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(mint({ aud: audience })))).toBe("audience_invalid");
  });

  test.each<[string, AgentIdentityAuthOptions, { iss?: string }]>([
    ["composed, where decomposed is expected", { issuer: "caf\u0065\u0301" }, { iss: "caf\u00e9" }],
    ["decomposed, where composed is expected", { issuer: "caf\u00e9" }, { iss: "caf\u0065\u0301" }],
    ["the Kelvin sign, where K is expected", { issuer: "K" }, { iss: "\u212a" }],
    ["sharp s, where ss is expected", { issuer: "strasse" }, { iss: "stra\u00dfe" }],
    ["Codex's own, where another is expected", { issuer: "https://gw.example" }, {}],
    ["a regular expression that would match", { issuer: "https://gw.example" }, { iss: "https://gw.exampl." }],
    ["a string that the expected one would match", { issuer: "gw.example" }, { iss: "gwxexample" }],
  ])("%s", async (_, options, overrides) => {
    const target = await startTarget(undefined, options);
    expect(await target.verdict(bearer(mint(overrides)))).toBe("issuer_invalid");
    expect(await target.verdict(bearer(mint({ iss: options.issuer })))).toBe("accepted");
  });
});
