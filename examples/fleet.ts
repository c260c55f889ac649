/** Three processes and one Redis: the first fetches the keys, and the others start although the backend is down. */

import cluster from "node:cluster";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import KeyvRedis from "@keyv/redis";
import express from "express";
import { Keyv } from "keyv";
import { agentIdentityAuth, agentIdentityErrorHandler } from "agent-identity-auth";
import { createDemoAgent } from "./demo-agent.js";

await (cluster.isPrimary ? startFleet() : serve(process.env["BASE_URL"] ?? ""));

async function serve(baseUrl: string) {
  const store = new Keyv({ store: new KeyvRedis(process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379") });
  store.on("error", console.error);
  const agents = agentIdentityAuth(baseUrl, { jwks: { store } });
  await agents.verifier.jwks.ready();
  const app = express();
  app.get("/tasks", agents, (req, res) => res.json({ process: process.pid, agent: req.agentIdentity?.agentRuntimeId }));
  app.use(agentIdentityErrorHandler());
  app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
}

async function startFleet() {
  const { issuer, headerFile } = await createDemoAgent();
  const backend = createServer(issuer.router()).listen(0, "127.0.0.1");
  await once(backend, "listening");
  const baseUrl = `http://127.0.0.1:${(backend.address() as AddressInfo).port}/backend-api`;
  let port = 0;
  for (let i = 1; i <= 3; i++) {
    const worker = cluster.fork({ BASE_URL: baseUrl }).once("exit", () => process.exit(1));
    [{ port }] = (await once(worker, "listening")) as [AddressInfo];
    console.log(`process ${worker.process.pid} has the keys, the backend being ${backend.listening ? "up" : "down"}`);
    backend.close().closeAllConnections();
  }
  console.log(`curl -i -H @${headerFile} http://127.0.0.1:${port}/tasks`);
}
