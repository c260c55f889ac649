/** `verify --explain --assertion` shows what the verifier of assertions decided, and no signature. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { explainAssertion, readPublicKey } from "../../src/cli/explain-assertion.js";
import { renderExplanation } from "../../src/cli/explain.js";
import { signingKey } from "../support/agents.js";
import { assertion, createAgent, encodeEnvelope, signEnvelope, timestamp } from "../support/assertions.js";
import { createCodexHome } from "../support/homes.js";

const agent = createAgent("agent-1");
const other = createAgent("agent-1");
const good = signEnvelope(agent);

/** For each assertion the code, the first check that fails, and what it says. */
const rows: [name: string, header: string, code: string | undefined, fails: string | undefined, says: string][] = [
  ["a good one", assertion(agent), undefined, undefined, "accepted"],
  ["without the scheme", encodeEnvelope(good), undefined, undefined, 'agent_runtime_id  "agent-1"'],
  ["junk", "AgentAssertion junk", "assertion_malformed", "form", "found 4 characters: no assertion in Codex's form"],
  ["nothing", "", "assertion_malformed", "form", "found 0 characters"],
  ["another member", encodeEnvelope({ ...good, x: "" }), "assertion_malformed", "form", "and nothing else"],
  ["ten minutes old", assertion(agent, "task-1", timestamp(-610)), "assertion_stale", "timestamp", "10 minutes ago"],
  ["of another key", assertion(other), "assertion_invalid", "signature", "not made with this key"],
  ["altered", encodeEnvelope({ ...good, task_id: "task-2" }), "assertion_invalid", "signature", "was altered"],
];

describe("verify --explain --assertion", () => {
  test.each(rows)("%s", async (_, header, code, fails, says) => {
    const explanation = await explainAssertion(header, agent.publicKey);
    const { checks, verdict } = explanation;
    expect(verdict).toEqual(code === undefined ? { accepted: true } : { accepted: false, code });
    expect(checks.find(({ ok }) => ok !== true)?.name).toBe(fails);
    expect(checks.map(({ name }) => name)).toEqual(["form", "agent_runtime_id", "task_id", "timestamp", "signature"]);
    const printed = renderExplanation(explanation, false);
    expect(printed).toContain(says);
    expect(printed + JSON.stringify(explanation)).not.toContain(good.signature);
  });

  test("the public key is a JWK, or a file with a JWK or a PEM", () => {
    const { codexHome } = createCodexHome();
    const jwk = JSON.stringify(agent.entry.publicKey);
    const files = [jwk, agent.publicKey.export({ format: "pem", type: "spki" }) as string].map((content, i) => {
      const file = join(codexHome, `key-${i}`);
      writeFileSync(file, content);
      return file;
    });
    for (const text of [jwk, ...files]) expect(readPublicKey(text).equals(agent.publicKey)).toBe(true);
    const rsa = JSON.stringify(signingKey.jwk);
    for (const text of [rsa, "{", "/nowhere"])
      expect(() => readPublicKey(text)).toThrow("must be an Ed25519 public key");
  });
});
