/** A real Redis on loopback for one test, where `redis-server` is installed. */

import { onTestFinished } from "vitest";
import { missingFor, startServer } from "./databases.js";

export const redisIsInstalled = missingFor("redis") === undefined;

if (!redisIsInstalled) console.log("SKIPPED: the tests with a real Redis, because redis-server is not installed");

/** Its URL. */
export async function startRedis(): Promise<string> {
  const server = await startServer("redis");
  onTestFinished(() => server.stop());
  return server.url;
}
