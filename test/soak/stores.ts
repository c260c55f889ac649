/** Where the issuer of a run keeps its documents. */

import type { IssuerStore } from "../../src/issuer.js";
import { TextStore } from "../support/text-store.js";
import { missingFor, startServer } from "../support/databases.js";

const ENGINES: Partial<Record<string, string>> = { redis: "node-redis 6", postgres: "pg", sqlite: "better-sqlite3" };

/** @param name `memory`, or a database that is started for the run */
export async function openStore(name: string): Promise<{ store: IssuerStore; close(): Promise<void> }> {
  if (name === "memory") return { store: new TextStore(), close: () => Promise.resolve() };
  const { engines } = await import("../stores/engines.js");
  const engine = engines.find((engine) => engine.name === ENGINES[name]);
  if (engine === undefined) throw new RangeError("--store must be memory, redis, postgres or sqlite");
  const missing = missingFor(engine.server);
  if (missing !== undefined) throw new Error(`${missing} is not installed`);
  const server = await startServer(engine.server);
  const opened = await engine.open(await engine.createPlace(server.url));
  return {
    store: opened.store,
    async close() {
      await opened.close();
      await server.stop();
    },
  };
}
