/** Every client that a store takes, as an application makes it. Loaded by name: they are installed in this folder only. */

import { createRequire } from "node:module";
import { join } from "node:path";
import {
  postgresStore,
  redisStore,
  sqliteStore,
  type IoredisClient,
  type IssuerStore,
  type NodeRedisClient,
  type PostgresPool,
  type SqliteDatabase,
} from "../../src/stores.js";
import type { ServerKind } from "../support/databases.js";

const require = createRequire(import.meta.url);

export interface Opened {
  store: IssuerStore;
  /** Of all entries that begin so, expired ones too: asked of the database itself. */
  count(prefix: string): Promise<number>;
  /** Runs an SQL statement on this very connection: SQLite only. */
  exec?(sql: string): void;
  close(): unknown;
}

export interface Engine {
  name: string;
  server: ServerKind;
  /** A place in which nothing has been yet, on the server. */
  createPlace(url: string): Promise<string>;
  open(place: string): Promise<Opened>;
}

const nothing = () => undefined;
let places = 0;

interface OpenNodeRedis extends NodeRedisClient {
  on(event: "error", listener: () => void): unknown;
  connect(): Promise<unknown>;
  destroy(): void;
  keys(pattern: string): Promise<string[]>;
}

function nodeRedis(release: string, name: string): Engine[] {
  interface Package {
    createClient(options: object): OpenNodeRedis;
    createCluster(options: object): OpenNodeRedis;
  }
  const open = async (client: OpenNodeRedis): Promise<Opened> => {
    client.on("error", nothing);
    await client.connect();
    return {
      store: redisStore(client),
      count: async (prefix) => (await client.keys(`${prefix}*`)).length,
      close: () => {
        client.destroy();
      },
    };
  };
  const alone = (url: string) => (require(name) as Package).createClient({ url, disableOfflineQueue: true });
  const cluster = (url: string) =>
    (require(name) as Package).createCluster({ rootNodes: [{ url }], defaults: { disableOfflineQueue: true } });
  const createPlace = (url: string) => Promise.resolve(url);
  return [
    { name: `node-redis ${release}`, server: "redis", createPlace, open: (url) => open(alone(url)) },
    { name: `node-redis ${release}, cluster`, server: "redis-cluster", createPlace, open: (url) => open(cluster(url)) },
  ];
}

interface OpenIoredis extends IoredisClient {
  on(event: "error", listener: () => void): unknown;
  once(event: "ready", listener: () => void): unknown;
  disconnect(): void;
}

function ioredis(release: string, name: string): Engine[] {
  type Constructor = new (where: unknown, options: object) => OpenIoredis;
  const open = async (Client: Constructor, where: unknown): Promise<Opened> => {
    const client = new Client(where, { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
    client.on("error", nothing);
    await new Promise<void>((resolve) => client.once("ready", resolve));
    return {
      store: redisStore(client),
      count: async (prefix) => ((await client.call("keys", `${prefix}*`)) as string[]).length,
      close: () => {
        client.disconnect();
      },
    };
  };
  const { Redis, Cluster } = require(name) as Record<"Redis" | "Cluster", Constructor>;
  const createPlace = (url: string) => Promise.resolve(url);
  return [
    { name: `ioredis ${release}`, server: "redis", createPlace, open: (url) => open(Redis, url) },
    { name: `ioredis ${release}, cluster`, server: "redis-cluster", createPlace, open: (url) => open(Cluster, [url]) },
  ];
}

interface OpenPool extends PostgresPool {
  on(event: "error", listener: () => void): unknown;
  end(): Promise<void>;
}

const postgres: Engine = {
  name: "pg",
  server: "postgres",
  /** A schema: the table goes to the first one of the search path. */
  async createPlace(url) {
    const schema = `place_${++places}`;
    const pool = createPool(url);
    await pool.query(`CREATE SCHEMA ${schema}`, []);
    await pool.end();
    return `${url}?options=-csearch_path%3D${schema}`;
  },
  open(url) {
    const pool = createPool(url);
    return Promise.resolve({
      store: postgresStore(pool),
      async count(prefix) {
        const { rows } = await pool.query("SELECT 1 FROM agent_identity_auth WHERE starts_with(name, $1)", [prefix]);
        return rows.length;
      },
      close: () => pool.end(),
    });
  },
};

function createPool(connectionString: string): OpenPool {
  const { Pool } = require("pg") as { Pool: new (options: object) => OpenPool };
  const pool = new Pool({ connectionString });
  pool.on("error", nothing);
  return pool;
}

type OpenDatabase = SqliteDatabase & { close(): void };
type DatabaseConstructor = new (file: string) => OpenDatabase;

const sqlite = (name: string, Database: DatabaseConstructor): Engine => ({
  name,
  server: "file",
  createPlace: (folder) => Promise.resolve(join(folder, `place-${++places}.db`)),
  open(file) {
    const db = new Database(file);
    return Promise.resolve({
      store: sqliteStore(db),
      count: (prefix) => {
        const rows = db.prepare("SELECT 1 FROM agent_identity_auth WHERE substr(name, 1, ?) = ?");
        return Promise.resolve((rows.all(prefix.length, prefix) as unknown[]).length);
      },
      exec: (sql) => void db.exec(sql),
      close: () => {
        db.close();
      },
    });
  },
});

/** Why a client cannot be tested on this Node: better-sqlite3 is compiled for one release, and `node:sqlite` is in 22.13. */
export const unavailable: string[] = [];

function sqliteIfAvailable(name: string, load: () => DatabaseConstructor): Engine[] {
  try {
    const Database = load();
    new Database(":memory:").close();
    return [sqlite(name, Database)];
  } catch (error) {
    unavailable.push(`${name} on Node ${process.version}: ${String(error).split("\n", 1).join()}`);
    return [];
  }
}

export const engines: readonly Engine[] = [
  ...nodeRedis("6", "redis"),
  ...nodeRedis("5", "redis5"),
  ...ioredis("6", "ioredis"),
  ...ioredis("5", "ioredis5"),
  postgres,
  ...sqliteIfAvailable("better-sqlite3", () => require("better-sqlite3") as DatabaseConstructor),
  ...sqliteIfAvailable("libsql", () => require("libsql") as DatabaseConstructor),
  ...sqliteIfAvailable(
    "node:sqlite",
    () => (require("node:sqlite") as { DatabaseSync: DatabaseConstructor }).DatabaseSync,
  ),
];

export function engineNamed(name = ""): Engine {
  const engine = engines.find((engine) => engine.name === name);
  if (engine === undefined) throw new Error(`no such engine: ${name}`);
  return engine;
}
