/** Look-ups in a directory: each has a deadline, its answer is checked, and equal look-ups that start together are one. */

import { isThenable, withDeadline, type MaybePromise } from "../../runtime/thenable.js";
import { LATEST_TIME } from "../../runtime/clock.js";
import { requestsMaySharePromises } from "../../runtime/shared-promises.js";
import { nextBatch } from "../../runtime/turn-batch.js";
import { Refusal } from "../outcome/errors.js";
import type { AgentDirectory, DirectoryAgent, DirectoryTask } from "./agent-directory.js";
import { importAgentKey, type AgentKey } from "./agent-keys.js";

/** ms that each look-up may take. */
const LOOK_UP_TIMEOUT = 2_000;

/** An agent whose members have been checked. */
export type FoundAgent = Omit<DirectoryAgent, "agentRuntimeId" | "publicKey" | "email" | "expiresAt"> & {
  readonly agentRuntimeId: string;
  readonly key: AgentKey;
  readonly email: string | null;
  /** Seconds since the epoch. */
  readonly expiresAt: number;
};

export type FoundTask = DirectoryTask | undefined | Refusal;

export interface Found {
  readonly agent: FoundAgent | undefined;
  /** Asked for only once the signature is good. */
  readonly task: () => MaybePromise<FoundTask>;
}

export class DirectoryLookUps {
  readonly #directory: AgentDirectory;
  /** Whether the last answer came as a promise. Then the next look-ups wait for the end of the turn. */
  #answersLater = false;
  /** Look-ups that have not started yet, by agent and task. */
  readonly #waiting = new Map<string, Promise<Found | Refusal>>();

  constructor(directory: AgentDirectory) {
    this.#directory = directory;
  }

  /** Without a promise where the directory answers without one. */
  find(agentRuntimeId: string, taskId: string): MaybePromise<Found | Refusal> {
    if (!this.#answersLater || !requestsMaySharePromises) return this.#find(agentRuntimeId, taskId);
    const name = `${agentRuntimeId}:${taskId}`;
    const waiting = this.#waiting.get(name) ?? this.#findLater(name, agentRuntimeId, taskId);
    this.#waiting.set(name, waiting);
    return waiting;
  }

  /** Nobody joins a look-up that has started: a revocation that was stored before a request came must count for it. */
  async #findLater(name: string, agentRuntimeId: string, taskId: string): Promise<Found | Refusal> {
    await nextBatch();
    this.#waiting.delete(name);
    return this.#find(agentRuntimeId, taskId);
  }

  #find(agentRuntimeId: string, taskId: string): MaybePromise<Found | Refusal> {
    const directory = this.#directory;
    if (typeof directory.find !== "function") {
      return this.#lookUp(
        "findAgent",
        () => directory.findAgent(agentRuntimeId),
        (answer) => {
          const agent = checkAgent(answer, "findAgent", agentRuntimeId);
          if (agent instanceof Refusal) return agent;
          let asked: { answer: MaybePromise<FoundTask> } | undefined; // requests that share the agent share its task
          const findTask = () =>
            this.#lookUp(
              "findTask",
              () => directory.findTask(taskId),
              (task) => checkTask(task, "findTask"),
            );
          return { agent, task: () => (asked ??= { answer: findTask() }).answer };
        },
      );
    }
    return this.#lookUp(
      "find",
      () => directory.find?.(agentRuntimeId, taskId),
      (answer) => {
        if (typeof answer !== "object" || answer === null) return unavailable("find gave something that is no object");
        const agent = checkAgent(memberOf(answer, "agent"), "find", agentRuntimeId);
        if (agent instanceof Refusal) return agent;
        const task = checkTask(memberOf(answer, "task"), "find");
        return { agent, task: () => task };
      },
    );
  }

  #lookUp<T>(name: string, ask: () => unknown, check: (answer: unknown) => T | Refusal): MaybePromise<T | Refusal> {
    let answer: unknown;
    try {
      answer = ask();
      this.#answersLater = isThenable(answer);
    } catch {
      return failed(name);
    }
    return this.#answersLater ? checkLater(name, answer as PromiseLike<unknown>, check) : checkNow(name, answer, check);
  }
}

function checkNow<T>(name: string, answer: unknown, check: (answer: unknown) => T | Refusal): T | Refusal {
  try {
    return check(answer);
  } catch {
    return failed(name);
  }
}

async function checkLater<T>(
  name: string,
  pending: PromiseLike<unknown>,
  check: (answer: unknown) => T | Refusal,
): Promise<T | Refusal> {
  const late = () => unavailable(`${name} gave no answer within ${LOOK_UP_TIMEOUT} ms`);
  try {
    const answer = await withDeadline(pending, LOOK_UP_TIMEOUT, late);
    return answer instanceof Refusal ? answer : checkNow(name, answer, check);
  } catch {
    return failed(name);
  }
}

/** A database's own words are not for a log of this package: they may quote a row. */
const failed = (name: string): Refusal => unavailable(`${name} failed`);

/** @returns `undefined` for an unknown agent */
function checkAgent(answer: unknown, source: string, agentRuntimeId: string): FoundAgent | undefined | Refusal {
  if (answer === undefined || answer === null) return undefined;
  const wrong = (what: string) => unavailable(`${source} gave an agent ${what}`);
  if (typeof answer !== "object") return wrong("that is no object");
  const read = (name: keyof DirectoryAgent) => memberOf(answer, name);
  const id = read("agentRuntimeId") ?? agentRuntimeId;
  if (id !== agentRuntimeId) return undefined;
  const key = importAgentKey(read("publicKey"));
  if (key === undefined) return wrong("with a publicKey that is not an Ed25519 public key");
  const [accountId, chatgptUserId, planType] = [read("accountId"), read("chatgptUserId"), read("planType")];
  if (!isText(accountId) || !isText(chatgptUserId)) return wrong("without accountId or chatgptUserId");
  if (typeof planType !== "string") return wrong("without planType");
  const email = read("email") ?? null;
  if (email !== null && typeof email !== "string") return wrong("with an email that is no text");
  const chatgptAccountIsFedramp = read("chatgptAccountIsFedramp");
  if (typeof chatgptAccountIsFedramp !== "boolean") return wrong("without chatgptAccountIsFedramp");
  const end = read("expiresAt") ?? undefined;
  if (end !== undefined && !isTime(end)) return wrong("whose expiresAt is not in seconds since the epoch");
  const expiresAt = end ?? Infinity;
  return { agentRuntimeId, key, accountId, chatgptUserId, email, planType, chatgptAccountIsFedramp, expiresAt };
}

/** @returns `undefined` for an unknown task */
function checkTask(answer: unknown, source: string): FoundTask {
  if (answer === undefined || answer === null) return undefined;
  const wrong = (what: string) => unavailable(`${source} gave a task ${what}`);
  if (typeof answer !== "object") return wrong("that is no object");
  const agentRuntimeId = memberOf(answer, "agentRuntimeId");
  if (!isText(agentRuntimeId)) return wrong("without agentRuntimeId");
  const expiresAt = memberOf(answer, "expiresAt");
  return isTime(expiresAt) ? { agentRuntimeId, expiresAt } : wrong("whose expiresAt is not in seconds since the epoch");
}

/** A member of the object or of its class, but not of a polluted `Object.prototype`. */
function memberOf(object: object, name: string): unknown {
  return name in Object.prototype && !Object.hasOwn(object, name)
    ? undefined
    : (object as Record<string, unknown>)[name];
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= LATEST_TIME;
}

function unavailable(reason: string): Refusal {
  return new Refusal("directory_unavailable", { reason }, 1);
}
