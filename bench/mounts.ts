/** A thousand mounts, and a thousand cold requests: how often is the key set fetched and a signature verified? */

import { subscribe } from "node:diagnostics_channel";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type Express } from "express";
import { agentIdentityAuth } from "../dist/index.js";
import type { Trust } from "./backend.js";
import { answerParent } from "./processes.js";
import { readTokens } from "./tokens.js";

export interface MountsQuestion {
  trust: Trust;
  tokenFile: string;
  mounts: number;
  coldRequests: number;
}

export interface Counts {
  jwksFetches: number;
  verified: number;
  fromCache: number;
}

export interface MountsResult {
  /** One request with one token through all mounts. */
  mounts: Counts;
  /** As many requests at once, each with a token of its own, to a server that has no keys yet. */
  coldRequests: Counts;
}

const counts: Counts = { jwksFetches: 0, verified: 0, fromCache: 0 };

subscribe("agent-identity-auth:jwks.fetch", () => counts.jwksFetches++);
subscribe("agent-identity-auth:verify", (message) => {
  if ((message as { cached: boolean }).cached) counts.fromCache++;
  else counts.verified++;
});

answerParent(async ({ trust, tokenFile, mounts, coldRequests }: MountsQuestion): Promise<MountsResult> => {
  const tokens = await readTokens(tokenFile, 0, coldRequests);

  const manyMounts = express();
  for (let i = 0; i < mounts; i++) manyMounts.use(agentIdentityAuth(trust.baseUrl));
  const afterMounts = await countWhileSending(manyMounts, tokens.slice(0, 1));

  // Another base URL is another resolver: it has no keys yet.
  const cold = express().use(agentIdentityAuth(`${trust.origin}/cold/backend-api`));
  return { mounts: afterMounts, coldRequests: await countWhileSending(cold, tokens) };
});

async function countWhileSending(app: Express, tokens: readonly string[]): Promise<Counts> {
  app.get("/tasks", (req, res) => {
    res.json({ agent: req.agentIdentity?.agentRuntimeId });
  });
  Object.assign(counts, { jwksFetches: 0, verified: 0, fromCache: 0 });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 2_000, resolve));
  const { port } = server.address() as AddressInfo;
  const statuses = await Promise.all(tokens.map((token) => statusOf(port, token)));
  server.close();
  const wrong = statuses.filter((status) => status !== 200).length;
  if (wrong > 0) throw new Error(`${wrong} of ${tokens.length} requests were refused`);
  return { ...counts };
}

/** On a connection of its own, so that none waits for another. */
function statusOf(port: number, token: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    request({ host: "127.0.0.1", port, path: "/tasks", headers, agent: false }, (res) => {
      res.resume().on("end", () => {
        resolve(res.statusCode);
      });
    })
      .on("error", reject)
      .end();
  });
}
