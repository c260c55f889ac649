/** The examples of RFC 7515, 7520 and 8037: each is what it says it is, and none is a token of ours. */

import { createPublicKey, createSecretKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { compactVerify } from "jose";
import { expect, test } from "vitest";
import { parseKeySet } from "../../src/verify/keys/key-set.js";
import { secondKey } from "../support/agents.js";
import { createAgent, createDirectory, encodeEnvelope, signEnvelope } from "../support/assertions.js";
import { agentsOf, requestVerdict, verdictOf, verifierOf, type Verdict } from "./target.js";

interface Example {
  rfc: string;
  jws: string;
  /** The key that verifies it; none for the unsecured one. */
  jwk?: Record<string, string>;
  /** The verdict, with this key in the set under the kid that it names. */
  code: Verdict;
}

const EXAMPLES = JSON.parse(readFileSync(new URL("rfc-examples.json", import.meta.url), "utf8")) as Example[];

test.each(EXAMPLES)("$rfc is signed with its key, and refused with that key in the set", async ({ jws, jwk, code }) => {
  if (jwk !== undefined) {
    const isSecret = jwk["kty"] === "oct";
    const key = isSecret ? createSecretKey(jwk["k"] ?? "", "base64url") : createPublicKey({ key: jwk, format: "jwk" });
    const { payload } = await compactVerify(jws, key);
    expect(Buffer.from(payload).toString("base64url")).toBe(jws.split(".")[1]);
  }
  expect(await verdictOf(jws, verifierOf([{ kid: "key-1", ...jwk }, secondKey.jwk]))).toBe(code);
});

test.each(EXAMPLES.filter(({ jwk }) => jwk?.["kty"] === "RSA"))(
  "$rfc: a key set takes its key, and the signature stands by it",
  async ({ jws, jwk }) => {
    const keySet = parseKeySet({ keys: [{ kid: "key-1", ...jwk }] });
    const key = typeof keySet === "string" ? undefined : keySet.byKid.get(jwk?.["kid"] ?? "key-1");
    if (key === undefined) return expect.fail("the key is not usable");
    expect(await compactVerify(jws, key.publicKey, { algorithms: ["RS256"] })).toBeDefined();
    const [header = "", payload = "", signature = ""] = jws.split(".");
    const altered = compactVerify(`${header}.${payload.slice(0, -4)}AAAA.${signature}`, key.publicKey);
    await expect(altered).rejects.toMatchObject({ code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" });
  },
);

test("RFC 8037 A.4: the agent whose key that is has signed no assertion", async () => {
  const { jws, jwk } = EXAMPLES.find(({ rfc }) => rfc.startsWith("RFC 8037")) ?? expect.fail();
  const [header = "", payload = "", signature = ""] = jws.split(".");
  const bytes = Buffer.from(signature, "base64url");
  const publicKey = createPublicKey({ key: jwk ?? {}, format: "jwk" });
  expect(verify(null, Buffer.from(`${header}.${payload}`), publicKey, bytes)).toBe(true);
  const agent = createAgent("agent-1", { publicKey });
  const envelope = { ...signEnvelope(agent), signature: bytes.toString("base64") };
  const authorization = `AgentAssertion ${encodeEnvelope(envelope)}`;
  const agents = agentsOf({ directory: createDirectory(agent) });
  expect(await requestVerdict(agents, { authorization })).toBe("assertion_invalid");
});
