/** A server that both schemes reach: what an AgentAssertion costs beside a bearer token and beside nothing. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentDirectory } from "../dist/index.js";
import type { Trust } from "./backend.js";
import { answerParent } from "./processes.js";

export interface AssertionServerQuestion {
  trust: Trust;
  /** Ids, each with the `x` of its Ed25519 key. Every agent has the one task. */
  agents: [agentRuntimeId: string, x: string][];
}

answerParent(async ({ trust, agents }: AssertionServerQuestion): Promise<string> => {
  const keys = new Map(agents);
  const expiresAt = Math.floor(Date.now() / 1000) + 3600;
  const directory: AgentDirectory = {
    findAgent(id) {
      const x = keys.get(id);
      if (x === undefined) return undefined;
      const publicKey = { kty: "OKP", crv: "Ed25519", x };
      return { publicKey, accountId: "a", chatgptUserId: "u", planType: "pro", chatgptAccountIsFedramp: false };
    },
    // The id of a task is its agent's.
    findTask: (taskId) => (keys.has(taskId) ? { agentRuntimeId: taskId, expiresAt } : undefined),
  };
  const agent = agents[0]?.[0];
  const app = express();
  app.get("/bare", (_req, res) => void res.json({ agent }));
  app.get("/tasks", agentIdentityAuth(trust.baseUrl, { directory: directory }), (req, res) => {
    res.json({ agent: req.agentIdentity?.agentRuntimeId });
  });
  app.use(agentIdentityErrorHandler());
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
