/** What a store does with a client that is not as it should be. Most of these are TypeErrors that say what is expected. */

import type { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import Keyv from "keyv";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { postgresStore, redisStore, sqliteStore, type IssuerStore, type SqliteDatabase } from "../../src/stores.js";

const require = createRequire(import.meta.url);
const { createClient } = require("redis") as { createClient: () => EventEmitter };
const { Redis } = require("ioredis") as { Redis: new (options: object) => unknown };
const { Pool, Client } = require("pg") as Record<"Pool" | "Client", new () => EventEmitter>;
const Libsql = require("libsql") as new (file: string) => SqliteDatabase;

const ignore = () => undefined;

const others = {
  undefined: undefined,
  null: null,
  "an URL": "redis://127.0.0.1",
  "an empty object": {},
  "a function": () => undefined,
  "the promise of a client": Promise.resolve({}),
  "a Map": new Map(),
  "a Keyv": new Keyv(),
};
const clients = {
  "node-redis": createClient().on("error", ignore),
  ioredis: new Redis({ lazyConnect: true }),
  "a pool of pg": new Pool().on("error", ignore),
  "a client of pg": new Client(),
  libsql: new Libsql(":memory:"),
};

interface Row {
  create: (client: never) => IssuerStore;
  takes: string[];
  message: RegExp;
}

const STORES: Record<string, Row> = {
  redisStore: {
    create: redisStore,
    takes: ["node-redis", "ioredis"],
    message: /^redisStore: .*node-redis.* or ioredis/,
  },
  postgresStore: {
    create: postgresStore,
    takes: ["a pool of pg"],
    message: /^postgresStore: .* a pool of pg: new Pool\(/,
  },
  sqliteStore: { create: sqliteStore, takes: ["libsql"], message: /^sqliteStore: .* better-sqlite3 .* node:sqlite / },
};

describe.each(Object.entries(STORES))("%s", (_name, { create, takes, message }) => {
  test.each(Object.entries({ ...others, ...clients }))("of %s", (name, client) => {
    const make = () => create(client as never);
    if (takes.includes(name)) return void make();
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});

test("a client without a listener for errors gets a warning: a lost connection will end the process", () => {
  const warnings = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
  onTestFinished(() => {
    warnings.mockRestore();
  });
  redisStore(createClient() as never);
  postgresStore(new Pool() as never);
  redisStore(createClient().on("error", ignore) as never);
  expect(warnings.mock.calls.map(([message]) => /write (.*) before/.exec(String(message))?.[1])).toEqual([
    'client.on("error", console.error)',
    'pool.on("error", console.error)',
  ]);
});

/** Each has the functions that are asked for, and gives something else. */
const ANSWERS: [string, () => IssuerStore][] = [
  ["query() with a callback", () => postgresStore({ query: () => undefined } as never)],
  ["query() of mysql2", () => postgresStore({ query: () => Promise.resolve([[], []]) } as never)],
  ["prepare() of D1", () => sqliteStore(asynchronousDatabase() as never)],
  ["ioredis that gives undefined", () => redisStore(ioredisThatGives(undefined))],
  ["ioredis that gives buffers", () => redisStore(ioredisThatGives(Buffer.from("text")))],
  ["a pipeline of ioredis", () => redisStore((new Redis({ lazyConnect: true }) as { multi(): never }).multi())],
];

function asynchronousDatabase() {
  const statement = { all: () => Promise.resolve({ results: [] }), run: () => Promise.resolve({ success: true }) };
  return { exec: () => Promise.resolve(), prepare: () => statement };
}

function ioredisThatGives(reply: unknown): never {
  return { mget: () => Promise.resolve(reply), call: () => Promise.resolve(reply) } as never;
}

test.each(ANSWERS)("%s: no answer is taken for an absence", async (_name, create) => {
  await expect(create().get("a")).rejects.toThrow(/(Store: the argument must be|not of the expected type)/);
  await expect(create().getMany?.(["a"])).rejects.toThrow(/Store: the/);
  await expect(create().compareAndSet("a", undefined, "b")).rejects.toThrow(/Store: the/);
  await expect(create().set("a", "b")).rejects.toThrow(/Store: the/);
  await expect(create().set("a", "b", 1_000)).rejects.toThrow(/Store: the/);
  await expect(create().delete("a")).rejects.toThrow(/Store: the/);
});

test("a call that hangs is made once", async () => {
  let calls = 0;
  const hang = () => {
    calls++;
    return new Promise<never>(() => undefined);
  };
  for (const store of [postgresStore({ query: hang }), redisStore({ mget: hang, call: hang })]) {
    calls = 0;
    const work = Promise.resolve(store.compareAndSet("a", undefined, "b"));
    expect(await Promise.race([work, new Promise((resolve) => setTimeout(resolve, 200, "still waiting"))])).toBe(
      "still waiting",
    );
    expect(calls).toBe(1);
  }
});

test("a file that another process switches to WAL at the same moment is used all the same", async () => {
  const db = new Libsql(":memory:");
  const store = sqliteStore({
    exec(sql) {
      if (sql.includes("journal_mode")) throw new Error("database is locked");
      db.exec(sql);
    },
    prepare: (sql) => db.prepare(sql),
  });
  expect(await store.compareAndSet("a", undefined, "b")).toBe(true);
});

test("a SQLite file loses no write with the power: each waits for the disk, whatever the client's default is", async () => {
  const db = new Libsql(":memory:");
  db.exec("PRAGMA synchronous = NORMAL");
  await sqliteStore(db).set("a", "text");
  expect(db.prepare("PRAGMA synchronous").all()).toEqual([{ synchronous: 2 }]);
});
