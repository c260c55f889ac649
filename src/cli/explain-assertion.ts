/** `verify --explain --assertion`: the checks of an AgentAssertion. The verdict is the verifier's own. */

import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { decodeAssertion, isWithinWindow } from "../protocol/agent-assertion.js";
import { nowInSeconds } from "../runtime/clock.js";
import { AssertionVerifier } from "../verify/assertions/assertion-verifier.js";
import { Refusal } from "../verify/outcome/errors.js";
import { UsageError } from "./arguments.js";
import { fromNow, notChecked, quote, type Check, type Explanation } from "./explain.js";

/**
 * Only the directory of the server knows the agent and its tasks, so nothing of them is checked.
 * @param header the value of `Authorization`, with or without `AgentAssertion`
 */
export async function explainAssertion(header: string, publicKey: KeyObject): Promise<Explanation> {
  const envelope = header.replace(/^AgentAssertion +/i, "");
  const assertion = decodeAssertion(envelope);
  const now = nowInSeconds();
  const outcome = await verifierOf(publicKey, now).verify(envelope, undefined);
  const { code, details } = outcome instanceof Refusal ? outcome : {};
  const reason = details?.reason; // where the key is not usable
  const form: Check = {
    name: "form",
    ok: assertion !== undefined,
    found: `${envelope.length} characters${assertion === undefined ? ": no assertion in Codex's form" : ""}`,
    wanted: "base64url of JSON with agent_runtime_id, signature, task_id and timestamp, and nothing else",
  };
  const checks: Check[] =
    assertion === undefined
      ? ["agent_runtime_id", "task_id", "timestamp", "signature"].map(notChecked)
      : [
          { name: "agent_runtime_id", ok: true, found: quote(assertion.agentRuntimeId), wanted: "an id" },
          { name: "task_id", ok: true, found: quote(assertion.taskId), wanted: "an id" },
          {
            name: "timestamp",
            ok: isWithinWindow(assertion.issuedAt, now),
            found: fromNow(assertion.issuedAt, now),
            wanted: "at most 300 s from now",
          },
          code === "assertion_stale"
            ? notChecked("signature")
            : {
                name: "signature",
                ok: code === undefined,
                found:
                  code === undefined
                    ? "made with this key"
                    : (reason ?? "not made with this key, or the assertion was altered"),
                wanted: "made with --public-key",
              },
        ];
  return {
    checks: [form, ...checks],
    verdict: code === undefined ? { accepted: true } : { accepted: false, code },
  };
}

/** Of a directory to which every agent has this key, and every task is known. */
function verifierOf(publicKey: KeyObject, now: number): AssertionVerifier {
  const agent = { publicKey, accountId: "-", chatgptUserId: "-", planType: "-", chatgptAccountIsFedramp: false };
  return new AssertionVerifier({
    findAgent: () => agent,
    findTask: () => undefined,
    find: (agentRuntimeId) => ({ agent, task: { agentRuntimeId, expiresAt: now + 60 } }),
  });
}

/**
 * @param text a JWK as JSON, or the path of a file that holds a JWK or a PEM
 * @throws {UsageError} that repeats nothing of the key
 */
export function readPublicKey(text: string): KeyObject {
  try {
    const content = text.trim().startsWith("{") ? text : readFileSync(text, "utf8");
    const key = content.trim().startsWith("{")
      ? createPublicKey({ key: JSON.parse(content) as JsonWebKey, format: "jwk" })
      : createPublicKey(content);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch {
    // The message may hold parts of the key.
  }
  throw new UsageError("--public-key must be an Ed25519 public key: a JWK as JSON, or a file with a JWK or a PEM");
}
