/** Agents that sign, and a directory that knows them. */

import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { exportJwk } from "../../src/protocol/jwk.js";
import type { AgentDirectory, DirectoryAgent, DirectoryTask } from "../../src/index.js";
import { now } from "./agents.js";

export interface SigningAgent {
  id: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
  entry: DirectoryAgent;
}

export function createAgent(id: string, overrides: Partial<DirectoryAgent> = {}): SigningAgent {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const entry: DirectoryAgent = {
    publicKey: exportJwk(publicKey),
    accountId: "acct-1",
    chatgptUserId: "user-1",
    planType: "hc",
    chatgptAccountIsFedramp: false,
    ...overrides,
  };
  return { id, privateKey, publicKey, entry };
}

/** `YYYY-MM-DDTHH:MM:SSZ`, so many seconds from now. */
export const timestamp = (offset = 0): string => new Date((now() + offset) * 1000).toISOString().replace(/\.\d+/, "");

export interface Envelope {
  agent_runtime_id: string;
  signature: string;
  task_id: string;
  timestamp: string;
}

export function signEnvelope(
  agent: Pick<SigningAgent, "id" | "privateKey">,
  taskId = "task-1",
  time = timestamp(),
): Envelope {
  const signature = sign(null, Buffer.from(`${agent.id}:${taskId}:${time}`), agent.privateKey).toString("base64");
  return { agent_runtime_id: agent.id, signature, task_id: taskId, timestamp: time };
}

export const encodeEnvelope = (envelope: unknown): string =>
  Buffer.from(typeof envelope === "string" ? envelope : JSON.stringify(envelope)).toString("base64url");

export const assertion = (...args: Parameters<typeof signEnvelope>): string =>
  `AgentAssertion ${encodeEnvelope(signEnvelope(...args))}`;

export interface TestDirectory extends AgentDirectory {
  agents: Map<string, DirectoryAgent>;
  tasks: Map<string, DirectoryTask>;
  /** What was looked up, in order. */
  asked: string[];
}

export function createDirectory(...agents: SigningAgent[]): TestDirectory {
  const directory: TestDirectory = {
    agents: new Map(agents.map(({ id, entry }) => [id, entry])),
    tasks: new Map(
      agents.map(({ id }, i) => [`task-${String(i + 1)}`, { agentRuntimeId: id, expiresAt: now() + 3600 }]),
    ),
    asked: [],
    findAgent(id) {
      directory.asked.push(id);
      return directory.agents.get(id);
    },
    findTask(id) {
      directory.asked.push(id);
      return Promise.resolve(directory.tasks.get(id));
    },
  };
  return directory;
}
