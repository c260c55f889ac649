/** Opens the SQLite file of `serve --store` with the driver that this machine has. */

import { closeSync, openSync } from "node:fs";
import type { IssuerStore } from "../protocol/issuer-store.js";
import { sqliteStore, type SqliteDatabase } from "../stores.js";
import { UsageError } from "./arguments.js";

/** By preference. The second and third are packages that the user installs beside this one. */
const DRIVERS = [
  { module: "node:sqlite", exportName: "DatabaseSync" },
  { module: "better-sqlite3", exportName: "default" },
  { module: "libsql", exportName: "default" },
];

/** @throws {UsageError} that says what to install */
export async function openStoreFile(file: string): Promise<IssuerStore> {
  for (const { module, exportName } of DRIVERS) {
    const driver = (await import(module).catch(() => undefined)) as Record<string, unknown> | undefined;
    if (driver === undefined) continue;
    closeSync(openSync(file, "a", 0o600)); // it will hold private signing keys
    const Database = driver[exportName] as new (file: string) => SqliteDatabase;
    return sqliteStore(new Database(file));
  }
  throw new UsageError("--store needs a driver for SQLite: run npm install better-sqlite3, or use Node 22.13 or later");
}
