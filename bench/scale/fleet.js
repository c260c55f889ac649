/** Processes that share a port and a Redis. Run as a child, it is the fleet. */

import cluster from "node:cluster";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import KeyvRedis from "@keyv/redis";
import express from "express";
import { Keyv } from "keyv";
import { agentIdentityAuth, agentIdentityErrorHandler } from "../../dist/index.js";
import { signTokens, startBackend } from "../backend.js";
import { answerParent, startChild } from "../processes.js";
import { HOT_TOKENS } from "../workloads.js";

const CACHE_MAX_AGE = 4_000;
const ENDPOINT_TIME = 50;
const SECONDS = 16;

/** @returns rows of the table */
export async function measureFleets(node) {
  const rows = [];
  for (const size of [1, 2]) rows.push(await measureFleet(node, size));
  return rows;
}

async function measureFleet(node, size) {
  const backend = await startBackend();
  let fetches = 0;
  const slow = createServer(async (req, res) => {
    fetches++;
    const answer = await fetch(backend.trust.origin + req.url);
    await sleep(ENDPOINT_TIME);
    res.setHeader("Content-Type", "application/json").end(await answer.text());
  });
  await once(slow.listen(0, "127.0.0.1"), "listening");
  const redis = await startRedis();
  const fleet = startChild("scale/fleet.js", { node });
  const load = startChild("load.js");
  try {
    const baseUrl = `http://127.0.0.1:${slow.address().port}/backend-api`;
    const url = await fleet.ask({ listen: { size, baseUrl, redisUrl: redis.url } });
    await load.ask({ keep: { hot: (await signTokens(backend.key, HOT_TOKENS)).map((token) => `Bearer ${token}`) } });
    const send = { url, list: "hot", accepted: true };
    const warm = await load.ask({ send: { ...send, amount: 20_000 } });
    const before = { fetches, ...(await fleet.ask({ read: true })) };
    const startedAt = performance.now();
    const amount = Math.ceil((warm * SECONDS) / HOT_TOKENS) * HOT_TOKENS;
    const rate = await load.ask({ send: { ...send, amount } });
    const ages = (performance.now() - startedAt) / CACHE_MAX_AGE;
    const after = { fetches, ...(await fleet.ask({ read: true })) };
    const row = [
      size,
      rate.toFixed(0),
      ((after.cpu - before.cpu) / amount).toFixed(1),
      ((after.fetches - before.fetches) / ages).toFixed(1),
      after.memory.map((bytes) => Math.round(bytes / 2 ** 20)).join(", "),
    ];
    console.error(row.join("  "));
    return row.map(String);
  } finally {
    await load.stop();
    await fleet.stop();
    await redis.stop();
    slow.close().closeAllConnections();
    backend.stop();
  }
}

async function startRedis() {
  const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-scale-"));
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const port = String(probe.address().port);
  probe.close();
  const options = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", directory];
  const child = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of child.stdout) if (String(line).includes("Ready to accept")) break;
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      child.kill();
      await once(child, "exit");
      rmSync(directory, { recursive: true });
    },
  };
}

if (cluster.isWorker) await serve(process.env.BASE_URL, process.env.REDIS_URL);
else if (process.send) answerParent(async ({ listen }) => (listen ? startWorkers(listen) : readWorkers()));

async function startWorkers({ size, baseUrl, redisUrl }) {
  let port = 0;
  for (let i = 0; i < size; i++) {
    const worker = cluster.fork({ BASE_URL: baseUrl, REDIS_URL: redisUrl });
    [{ port }] = await once(worker, "listening");
  }
  return `http://127.0.0.1:${port}/tasks`;
}

/** @returns CPU µs of all together, and the resident bytes of each */
async function readWorkers() {
  const answers = Object.values(cluster.workers).map(async (worker) => {
    worker.send("read");
    const [answer] = await once(worker, "message");
    return answer;
  });
  const usage = await Promise.all(answers);
  return { cpu: usage.reduce((sum, { cpu }) => sum + cpu, 0), memory: usage.map(({ memory }) => memory) };
}

async function serve(baseUrl, redisUrl) {
  const store = new Keyv({ store: new KeyvRedis(redisUrl) });
  const agents = agentIdentityAuth(baseUrl, { jwks: { store, cacheMaxAge: CACHE_MAX_AGE } });
  await agents.ready();
  const app = express();
  app.get("/tasks", agents, (req, res) => res.json({ agent: req.agentIdentity.agentRuntimeId }));
  app.use(agentIdentityErrorHandler());
  app.listen(0, "127.0.0.1");
  process.on("disconnect", () => process.exit());
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send({ cpu: user + system, memory: process.memoryUsage().rss });
  });
}
