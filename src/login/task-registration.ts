/** Registers an agent's task: the one request that the login side sends to the backend. */

import type { KeyObject } from "node:crypto";
import { assertionTimestamp, isAssertionId, registrationMessage } from "../protocol/agent-assertion.js";
import { isLoopback } from "../protocol/base-url.js";
import { isJsonObject, parseUtf8Json } from "../protocol/encoding.js";
import { exportJwk } from "../protocol/jwk.js";
import { fetchBytes } from "../runtime/bounded-fetch.js";
import type { Fetch } from "../runtime/fetch.js";
import { pause } from "../runtime/thenable.js";
import { signMessage } from "./agent-key.js";
import { LoginError } from "./login-error.js";
import { openSealedBox } from "./sealed-box.js";

const TRIES = 3;
/** ms, for each try. */
const REQUEST_TIMEOUT = 30_000;
/** ms before the second try; twice that before the third. */
const RETRY_DELAY = 250;
/** ms. A caller who has to wait for longer is told so at once. */
const LONGEST_RETRY_AFTER = 30_000;
/** Bytes: many times what an id takes. */
const MAX_ANSWER_SIZE = 4 * 1024;

/** By host of the base URL. Any other host needs an option, so that a backend of your own never falls back to production. */
const AUTH_APIS: ReadonlyMap<string, string> = new Map([
  ["chatgpt.com", "https://auth.openai.com/api/accounts"],
  ["chat.openai.com", "https://auth.openai.com/api/accounts"],
  ["chatgpt-staging.com", "https://auth.api.openai.org/api/accounts"],
  ["openai-staging.com", "https://auth.api.openai.org/api/accounts"],
]);

/** @throws {LoginError} `auth_api_unknown`, which names the option */
export function locateAuthApi(normalizedBaseUrl: string, configured: string | undefined): string {
  if (configured !== undefined) return configured;
  const url = new URL(normalizedBaseUrl);
  if (url.protocol === "http:" && isLoopback(url)) return normalizedBaseUrl;
  const known = AUTH_APIS.get(url.host);
  if (known === undefined) {
    throw new LoginError(
      "auth_api_unknown",
      "it is not known where to register tasks for this base URL: set authApiBaseUrl",
    );
  }
  return known;
}

/** @throws {LoginError} `task_registration_failed` */
export async function registerTask(
  authApi: string,
  agentRuntimeId: string,
  privateKey: KeyObject,
  fetch: Fetch | undefined,
): Promise<string> {
  const timestamp = assertionTimestamp();
  const signature = signMessage(registrationMessage(agentRuntimeId, timestamp), privateKey);
  const url = `${authApi}/v1/agent/${encodeURIComponent(agentRuntimeId)}/task/register`;
  const answer = await post(url, JSON.stringify({ timestamp, signature }), fetch);
  return readTaskId(answer, privateKey);
}

async function post(url: string, body: string, fetch: Fetch | undefined): Promise<Buffer> {
  const headers = { "Content-Type": "application/json" };
  for (let attempt = 1; ; attempt++) {
    const answer = await fetchBytes({
      url,
      headers,
      body,
      fetch,
      timeoutDuration: REQUEST_TIMEOUT,
      maxSize: MAX_ANSWER_SIZE,
    });
    if ("body" in answer) return answer.body;
    const { error, status, retryAfter = 0 } = answer;
    if (status !== undefined && status !== 429 && status < 500) throw failed(error);
    if (retryAfter > LONGEST_RETRY_AFTER) {
      throw failed(`${error}, try again in ${Math.ceil(retryAfter / 1000)} s`);
    }
    if (attempt === TRIES) throw failed(error);
    await pause(Math.max(retryAfter, RETRY_DELAY * 2 ** (attempt - 1)));
  }
}

function failed(problem: string): LoginError {
  return new LoginError("task_registration_failed", `the task could not be registered: ${problem}`);
}

function readTaskId(answer: Buffer, privateKey: KeyObject): string {
  const members = parseObject(answer);
  const plain = members["task_id"] ?? members["taskId"];
  const sealed = members["encrypted_task_id"] ?? members["encryptedTaskId"];
  const hasPlain = typeof plain === "string" && plain !== "";
  const taskId = hasPlain ? plain : typeof sealed === "string" ? openTaskId(sealed, privateKey) : "";
  if (taskId === "") throw failed("the answer has no task id");
  if (!isAssertionId(taskId)) throw failed("the task id is too long, or has a character that no id may have");
  return taskId;
}

function parseObject(json: Buffer): Record<string, unknown> {
  try {
    const value = parseUtf8Json(json);
    return isJsonObject(value) ? value : {};
  } catch {
    throw failed("the answer is not JSON");
  }
}

function openTaskId(sealed: string, privateKey: KeyObject): string {
  const seed = Buffer.from(exportJwk(privateKey).d ?? "", "base64url");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(openSealedBox(Buffer.from(sealed, "base64"), seed));
  } catch {
    throw failed("the task id is not sealed for this agent's key");
  }
}
