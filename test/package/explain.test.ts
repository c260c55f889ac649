/** `verify --explain` shows what the verifier decided, and no secret. */

import { describe, expect, test } from "vitest";
import { explain, renderExplanation } from "../../src/cli/explain.js";
import { agentPrivateKey, claims, mint, now, secondKey, signingKey, signToken, stranger } from "../support/agents.js";
import { startBackend } from "../support/servers.js";

const header = { alg: "RS256", kid: "key-1" };
const token = mint({ exp: now() + 6 * 86_400 + 60 });

/** For each token the code, the row of the first check that fails, and what the row says. */
const rows: [name: string, token: string, code: string | undefined, fails: string | undefined, says: string][] = [
  ["a good token", token, undefined, undefined, "accepted"],
  ["no token", "", "token_malformed", "form", "0 parts, 0 characters: standard input was empty"],
  ["no JWT", "abc", "token_malformed", "form", "found 1 part, 3 characters: not a JWT; wanted a JWT"],
  ["a personal access token", "at-0123456789", "token_malformed", "form", "a personal access token, not an Agent"],
  ["a scheme before the token", `Bearer ${token}`, "token_malformed", "form", 'begins with "Bearer ": leave that out'],
  ["what a mount has hidden", "hidden.0123456789abcdef", "token_malformed", "form", "hidden by an earlier mount"],
  ["too long", `${token}${"A".repeat(16_384)}`, "token_malformed", "form", "characters: too long; wanted"],
  ["a header that is no object", signToken("[]", claims()), "token_malformed", "form", "the header is no JSON object"],
  ["a payload that is no object", signToken(header, "7"), "token_malformed", "form", "the payload is no JSON object"],
  ["another spelling of the signature", `${token}=`, "token_malformed", "form", "the signature is missing or is not"],
  [
    "another algorithm",
    signToken({ ...header, alg: "HS256" }, claims()),
    "algorithm_not_allowed",
    "alg",
    'found "HS256"; wanted "RS256"',
  ],
  [
    "no kid",
    signToken({ alg: "RS256" }, claims()),
    "token_malformed",
    "kid",
    "found nothing; wanted a text of 1 to 256",
  ],
  ["an extension", signToken({ ...header, crit: ["exp"] }, claims()), "token_malformed", "header", "wanted neither"],
  [
    "another issuer",
    mint({ iss: "https://evil.example", exp: 1 }),
    "issuer_invalid",
    "iss",
    'found "https://evil.example"; wanted "https://chatgpt.com',
  ],
  ["another audience", mint({ aud: ["codex-app-server"] }), "audience_invalid", "aud", "found an array; wanted"],
  ["an audience that is missing", mint({ aud: undefined }), "audience_invalid", "aud", "found nothing; wanted"],
  ["a claim of a wrong type", mint({ account_id: 7 }), "claims_invalid", "account_id", "found 7; wanted a text"],
  ["no plan", mint({ plan_type: undefined }), "claims_invalid", "plan_type", "found nothing; wanted a text"],
  ["no private key", mint({ agent_private_key: 7 }), "claims_invalid", "agent_private_key", "found 7; wanted a text"],
  [
    "a time that is none",
    mint({ exp: "1" }),
    "claims_invalid",
    "exp (type)",
    'found "1"; wanted a time in whole seconds',
  ],
  ["an expired token", mint({ exp: now() - 7_200 }), "token_expired", "exp", "found 2 hours ago; wanted in the future"],
  ["a token of the future", mint({ nbf: now() + 7_300 }), "token_not_yet_valid", "nbf", "found in 2 hours; wanted in"],
  [
    "an unknown key",
    mint({}, stranger),
    "key_untrusted",
    "key",
    'found "stranger" is not among the usable keys at http',
  ],
  [
    "a forged signature",
    signToken(header, claims(), stranger),
    "signature_invalid",
    "signature",
    "the token was altered; wanted made with this key",
  ],
];

describe("verify --explain", () => {
  test.each(rows)("%s", async (_, text, code, fails, says) => {
    const { baseUrl } = await startBackend();
    const explanation = await explain(baseUrl, text, undefined);
    const { checks, verdict } = explanation;
    expect(verdict).toEqual(code === undefined ? { accepted: true } : { accepted: false, code });
    expect(checks.find(({ ok }) => ok === false)?.name).toBe(fails);
    const index = checks.findIndex(({ ok }) => ok !== true);
    expect(checks[index]?.name).toBe(fails);
    const printed = renderExplanation(explanation, false);
    expect(printed).toContain(says);
    const secrets = [agentPrivateKey, ...text.split(/[. ]/).filter((part) => part.length > 40)];
    for (const secret of secrets) expect(printed + JSON.stringify(explanation)).not.toContain(secret);
  });

  test("after the first failure, it makes the checks that it can make", async () => {
    const { baseUrl } = await startBackend();
    const marks = async (text: string) => {
      const { checks } = await explain(baseUrl, text, "acct-2");
      return checks.filter(({ ok }) => ok !== true).map(({ name, ok }) => `${ok === null ? "–" : "✗"} ${name}`);
    };
    expect(await marks(mint({ exp: 1 }))).toEqual(["✗ exp", "– signature", "✗ --account"]);
    expect(await marks(mint({ exp: "1", aud: "x" }, stranger))).toEqual([
      "✗ aud",
      "✗ exp (type)",
      "– exp",
      "✗ key",
      "– signature",
      "✗ --account",
    ]);
    const ofJunk = await marks("junk");
    expect([ofJunk.length, ofJunk.slice(0, 2)]).toEqual([21, ["✗ form", "– alg"]]);
    const names = (await explain(baseUrl, token, "acct-1")).checks.map(({ name }) => name);
    expect(ofJunk.map((mark) => mark.slice(2))).toEqual(names);
  });

  test("tells how long a token is good, and which key it names", async () => {
    const { baseUrl } = await startBackend([signingKey.jwk, secondKey.jwk]);
    const printed = renderExplanation(await explain(baseUrl, token, "acct-1"), false);
    expect(printed).toMatch(/^✓ exp +in 6 days$/m);
    expect(printed).toMatch(/^✓ key +"key-1" is one of 2 at http\S+, fetched 0 s ago$/m);
    expect(printed).toMatch(/^✓ agent_private_key +a text of \d+ characters, which is never shown$/m);
    expect(printed).toMatch(/^✓ --account +"acct-1"\n\naccepted$/m);
  });

  test("an account that is another's is a refusal of its own", async () => {
    const { baseUrl } = await startBackend();
    const explanation = await explain(baseUrl, token, "acct-2");
    expect(explanation.verdict).toEqual({ accepted: false, code: "workspace_not_allowed" });
    expect(renderExplanation(explanation, false)).toMatch(/^✗ --account +found "acct-1"; wanted "acct-2"$/m);
  });

  test("an endpoint that fails is told with its reason", async () => {
    const backend = await startBackend();
    backend.answer = (_req, res) => res.writeHead(404).end();
    const explanation = await explain(backend.baseUrl, token, undefined);
    expect(explanation.verdict).toEqual({ accepted: false, code: "keys_unavailable" });
    const printed = renderExplanation(explanation, false);
    expect(printed).toMatch(
      /^✗ key +found there are no keys from http\S+ \(status 404\); .*agent-identity-auth doctor$/m,
    );
  });

  test("control characters of a token do not reach the terminal, nor does its private key in another place", async () => {
    const { baseUrl } = await startBackend();
    const text = mint({ iss: "\u001b[31mred\u0007", aud: agentPrivateKey, plan_type: `x${agentPrivateKey}` });
    const explanation = await explain(baseUrl, text, undefined);
    const printed = renderExplanation(explanation, false);
    expect(printed).toMatch(/^[\n\P{C}]*$/u);
    expect(printed).not.toContain(agentPrivateKey);
    expect(renderExplanation(explanation, true)).toContain("\u001b[31m✗\u001b[0m iss");
  });

  test("of a backend with many keys, eight are named", async () => {
    const many = Array.from({ length: 9 }, (_, i) => ({ ...signingKey.jwk, kid: `k${i}` }));
    const { baseUrl } = await startBackend(many);
    expect(renderExplanation(await explain(baseUrl, token, undefined), false)).toContain('"k7", …; wanted');
  });
});
