/** Registers an agent's task: the one request that the login side sends to the backend. */

import type { KeyObject } from "node:crypto";
import { sign } from "node:crypto";
import { isLoopback } from "../protocol/base-url.js";
import { assertionTimestamp, registrationMessage } from "../protocol/agent-assertion.js";
import { pause } from "../runtime/thenable.js";
import { exportJwk } from "../protocol/jwk.js";
import { LoginError } from "./login-error.js";
import { openSealedBox } from "./sealed-box.js";

/** ms. */
const REQUEST_TIMEOUT = 30_000;
const RETRY_DELAY = 250;
const TRIES = 3;

/** By host of the base URL. A base that is neither here nor on loopback never falls back to production. */
const AUTH_APIS: ReadonlyMap<string, string> = new Map([
  ["chatgpt.com", "https://auth.openai.com/api/accounts"],
  ["chat.openai.com", "https://auth.openai.com/api/accounts"],
  ["chatgpt-staging.com", "https://auth.api.openai.org/api/accounts"],
  ["openai-staging.com", "https://auth.api.openai.org/api/accounts"],
]);

/** @throws {LoginError} that names the option */
export function locateAuthApi(normalizedBaseUrl: string, configured: string | undefined): string {
  if (configured !== undefined) return configured;
  const url = new URL(normalizedBaseUrl);
  if (url.protocol === "http:" && isLoopback(url)) return normalizedBaseUrl;
  const known = AUTH_APIS.get(url.host);
  if (known === undefined) {
    throw new LoginError(
      "auth_api_unknown",
      "where tasks are registered is not known for this base URL: set authApiBaseUrl",
    );
  }
  return known;
}

/** @throws {LoginError} */
export async function registerTask(authApi: string, agentRuntimeId: string, privateKey: KeyObject): Promise<string> {
  const timestamp = assertionTimestamp();
  const signature = sign(null, registrationMessage(agentRuntimeId, timestamp), privateKey).toString("base64");
  const url = `${authApi}/v1/agent/${encodeURIComponent(agentRuntimeId)}/task/register`;
  const answer = await post(url, JSON.stringify({ timestamp, signature }));
  return readTaskId(answer, privateKey);
}

async function post(url: string, body: string): Promise<unknown> {
  let problem = "";
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    if (attempt > 1) await pause(RETRY_DELAY * 2 ** (attempt - 2));
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body,
        redirect: "manual",
        signal: AbortSignal.timeout(REQUEST_TIMEOUT),
      });
      if (response.ok) return parseAnswer(await response.text());
      problem = `status ${response.status}`;
      await response.body?.cancel();
      if (response.status !== 429 && response.status < 500) break;
    } catch (error) {
      if (error instanceof LoginError) throw error;
      problem = "no answer";
    }
  }
  throw failed(problem);
}

/** @throws {LoginError} */
function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw failed("the answer is not JSON");
  }
}

function failed(problem: string): LoginError {
  return new LoginError("task_registration_failed", `the task could not be registered: ${problem}`);
}

function readTaskId(answer: unknown, privateKey: KeyObject): string {
  const members = Object(answer) as Record<string, unknown>;
  const plain = members["task_id"] ?? members["taskId"];
  if (typeof plain === "string" && plain !== "") return plain;
  const sealed = members["encrypted_task_id"] ?? members["encryptedTaskId"];
  const taskId = typeof sealed === "string" ? openTaskId(sealed, privateKey) : "";
  if (taskId === "") throw failed("the answer has no task id");
  return taskId;
}

function openTaskId(sealed: string, privateKey: KeyObject): string {
  const seed = Buffer.from(exportJwk(privateKey).d ?? "", "base64url");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(openSealedBox(Buffer.from(sealed, "base64"), seed));
  } catch {
    throw failed("the task id is not sealed for this agent's key");
  }
}
