/** A real Redis on loopback, where `redis-server` is installed. */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export const redisIsInstalled = spawnSync("redis-server", ["--version"]).status === 0;

if (!redisIsInstalled) console.log("SKIPPED: the tests with a real Redis, because redis-server is not installed");

/** Its URL. */
export async function startRedis(): Promise<string> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-redis-"));
  const redis = spawn("redis-server", [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--dir",
    directory,
  ]);
  onTestFinished(async () => {
    redis.kill();
    await once(redis, "exit");
    rmSync(directory, { recursive: true });
  });
  for await (const chunk of redis.stdout) if (String(chunk).includes("Ready to accept connections")) break;
  redis.stdout.resume();
  return `redis://127.0.0.1:${port}`;
}
