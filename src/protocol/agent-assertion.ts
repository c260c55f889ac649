/** What an agent signs with its Ed25519 key, and the envelope that carries it in `Authorization: AgentAssertion …`. */

import { decodeBase64urlJsonObject, isJsonObject } from "./encoding.js";

/** Members in the order in which Codex writes them. */
export interface AgentAssertion {
  agent_runtime_id: string;
  /** Standard base64 of the signature over `assertionMessage`. */
  signature: string;
  task_id: string;
  timestamp: string;
}

/** What is signed to register a task. */
export function registrationMessage(agentRuntimeId: string, timestamp: string): Buffer {
  return Buffer.from(`${agentRuntimeId}:${timestamp}`);
}

/** What is signed on each request after that. */
export function assertionMessage(agentRuntimeId: string, taskId: string, timestamp: string): Buffer {
  return Buffer.from(`${agentRuntimeId}:${taskId}:${timestamp}`);
}

export function encodeAssertion({ agent_runtime_id, signature, task_id, timestamp }: AgentAssertion): string {
  return Buffer.from(JSON.stringify({ agent_runtime_id, signature, task_id, timestamp })).toString("base64url");
}

/** RFC 3339 in UTC, whole seconds: `YYYY-MM-DDTHH:MM:SSZ`. */
export function assertionTimestamp(date = new Date()): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

/** Characters, in base64url. */
const MAX_ENVELOPE_LENGTH = 4 * 1024;
const ENVELOPE_MEMBERS = ["agent_runtime_id", "signature", "task_id", "timestamp"] as const;

/** An assertion before anything in it is verified. */
export interface UnverifiedAssertion {
  readonly agentRuntimeId: string;
  readonly taskId: string;
  /** Seconds since the epoch. */
  readonly issuedAt: number;
  /** What must be signed. */
  readonly message: Buffer;
  /** Of any form. */
  readonly signature: string;
}

/** `undefined` unless it has exactly the members of an assertion, each in its form. */
export function decodeAssertion(envelope: string): UnverifiedAssertion | undefined {
  const value = envelope.length <= MAX_ENVELOPE_LENGTH ? decodeBase64urlJsonObject(envelope) : undefined;
  if (!hasOnlyStringMembers(value, ENVELOPE_MEMBERS)) return undefined;
  const { agent_runtime_id: agentRuntimeId, task_id: taskId, timestamp, signature } = value;
  const issuedAt = parseTimestamp(timestamp);
  if (issuedAt === undefined || !isAssertionId(agentRuntimeId) || !isAssertionId(taskId)) return undefined;
  return { agentRuntimeId, taskId, issuedAt, message: assertionMessage(agentRuntimeId, taskId, timestamp), signature };
}

/** Whether a value is an object with these members and no others, all of them strings. */
export function hasOnlyStringMembers<Name extends string>(
  value: unknown,
  names: readonly Name[],
): value is Record<Name, string> {
  if (!isJsonObject(value) || Object.keys(value).length !== names.length) return false;
  return names.every((name) => Object.hasOwn(value, name) && typeof value[name] === "string");
}

/** What is signed is joined with `:`, and an id stands in a path: so it has none of their separators. */
export function isAssertionId(id: string): boolean {
  return /^[\w.~-]{1,128}$/.test(id) || /^[^:/?#%\s\p{C}]{1,128}$/u.test(id); // the first is quick, for the ids of real agents
}

/** Seconds that the signed time may differ from now. */
const WINDOW = 300;

/** @param now in seconds since the epoch, like the timestamp */
export function isWithinWindow(timestamp: number, now: number): boolean {
  return Math.abs(timestamp - now) <= WINDOW;
}

/** Seconds since the epoch; `undefined` for anything but `YYYY-MM-DDTHH:MM:SSZ` of a moment that exists. */
export function parseTimestamp(timestamp: string): number | undefined {
  const milliseconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(timestamp) ? Date.parse(timestamp) : NaN;
  // `Date.parse` takes the 31st of February and 24:00 for the day after.
  const exists = new Date(milliseconds).getUTCDate() === Number(timestamp.slice(8, 10));
  return exists ? milliseconds / 1000 : undefined;
}
