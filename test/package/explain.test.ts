/** `verify --explain` shows what the verifier decided, and no secret. */

import { describe, expect, test } from "vitest";
import { explain, renderExplanation } from "../../src/cli/explain.js";
import { agentPrivateKey, claims, mint, now, signToken, stranger } from "../support/agents.js";
import { startBackend } from "../support/servers.js";

const header = { alg: "RS256", kid: "key-1" };
const token = mint({ exp: now() + 6 * 86_400 + 60 });

/** For each token the row that fails, and what it says. */
const rows: [name: string, token: string, fails: string | undefined, says: string][] = [
  ["a good token", token, undefined, "exp       "],
  ["no JWT", "abc", "form", "3 characters in 1 parts; wanted a JWT"],
  ["a personal access token", "at-0123456789", "form", "13 characters"],
  ["another spelling of the signature", `${token}=`, "form", "wanted a JWT"],
  ["another algorithm", signToken({ ...header, alg: "HS256" }, claims()), "alg", 'found "HS256"; wanted RS256'],
  ["no kid", signToken({ alg: "RS256" }, claims()), "kid", "found nothing; wanted a key id"],
  ["an extension", signToken({ ...header, crit: ["exp"] }, claims()), "kid", "without crit or b64"],
  [
    "another issuer",
    mint({ iss: "https://evil.example" }),
    "iss",
    'found "https://evil.example"; wanted https://chatgpt.com',
  ],
  ["another audience", mint({ aud: ["codex-app-server"] }), "aud", 'found ["codex-app-server"]'],
  ["two wrong claims", mint({ account_id: 7, plan_type: undefined }), "claims", "found account_id, plan_type"],
  ["an expired token", mint({ exp: now() - 7_200 }), "exp", "2 hours ago"],
  ["a token of the future", mint({ nbf: now() + 180 }), "nbf", "in "],
  ["an unknown key", mint({}, stranger), "key", "found keys key-1 at http"],
  ["a forged signature", signToken(header, claims(), stranger), "signature", "wanted of that key"],
];

describe("verify --explain", () => {
  test.each(rows)("%s", async (_, text, fails, says) => {
    const { baseUrl } = await startBackend();
    const explanation = await explain(baseUrl, text, undefined);
    const failed = explanation.checks.filter(({ ok }) => ok === false);
    expect(failed.map(({ name }) => name)).toEqual(fails === undefined ? [] : [fails]);
    expect(explanation.code === undefined).toBe(fails === undefined);
    const index = explanation.checks.findIndex(({ ok }) => ok === false);
    if (index >= 0) {
      expect(explanation.checks.slice(0, index).every(({ ok }) => ok === true)).toBe(true);
      expect(explanation.checks.slice(index + 1).every(({ ok }) => ok === null)).toBe(true);
    }
    const printed = renderExplanation(explanation, false);
    expect(printed).toContain(says);
    for (const secret of [agentPrivateKey, ...text.split(".").filter((part) => part.length > 40)]) {
      expect(printed + JSON.stringify(explanation)).not.toContain(secret);
    }
  });

  test("tells how long a token is good, and which key it names", async () => {
    const { baseUrl } = await startBackend();
    const printed = renderExplanation(await explain(baseUrl, token, "acct-1"), false);
    expect(printed).toMatch(/^✓ exp {7}\d+, in 6 days$/m);
    expect(printed).toMatch(/^✓ key {7}keys key-1 at http\S+, fetched 0 s ago$/m);
    expect(printed).toMatch(/^✓ account {3}"acct-1"\naccepted$/m);
  });

  test("an account that is another's is a refusal of its own", async () => {
    const { baseUrl } = await startBackend();
    const explanation = await explain(baseUrl, token, "acct-2");
    expect(explanation.code).toBe("workspace_not_allowed");
    expect(renderExplanation(explanation, false)).toContain('✗ account   found "acct-1"; wanted "acct-2"');
  });

  test("an endpoint that fails is told with its reason", async () => {
    const backend = await startBackend();
    backend.answer = (_req, res) => res.writeHead(404).end();
    const printed = renderExplanation(await explain(backend.baseUrl, token, undefined), false);
    expect(printed).toContain("✗ key       found no keys at http");
    expect(printed).toContain("never fetched; status 404");
  });

  test("control characters of a token do not reach the terminal, and colours only there", async () => {
    const { baseUrl } = await startBackend();
    const explanation = await explain(baseUrl, mint({ iss: "\u001b[31mred\u0007" }), undefined);
    expect(renderExplanation(explanation, false)).toMatch(/^[\n\P{C}]*$/u);
    expect(renderExplanation(explanation, true)).toContain("\u001b[31m✗\u001b[0m iss");
  });
});
