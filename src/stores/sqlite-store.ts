/** A SQLite file, for the processes of one machine. */

import type { IssuerStore } from "../protocol/issuer-store.js";
import { hasMethods } from "../protocol/options.js";
import { monotonicNow } from "../runtime/captured-globals.js";
import { pause } from "../runtime/thenable.js";
import { createSweep, SWEEP_LIMIT } from "./expiry.js";

/** What `sqliteStore` needs of a database: better-sqlite3, libsql and `node:sqlite` have it. */
export interface SqliteDatabase {
  /** Runs statements without parameters. */
  exec(sql: string): unknown;
  /** Compiles one statement. */
  prepare(sql: string): {
    /** Runs it and gives all rows. */
    all(...values: (string | number | null)[]): unknown;
    /** Runs it and counts the rows that it changed. */
    run(...values: (string | number | null)[]): {
      /** How many. */
      changes: number | bigint;
    };
  };
}

type Statement = ReturnType<SqliteDatabase["prepare"]>;

/** ms for which a call tries again while another process writes. */
const BUSY_TIMEOUT = 1_500;

/** ms between two tries, at most. */
const BUSY_PAUSE = 10;

const NOW = "(unixepoch('subsec') * 1000)";

const CREATE_TABLE = `
CREATE TABLE IF NOT EXISTS agent_identity_auth (name TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at REAL) STRICT;
CREATE INDEX IF NOT EXISTS agent_identity_auth_expires_at
  ON agent_identity_auth (expires_at) WHERE expires_at IS NOT NULL;`;

/** The names are one parameter: a JSON array. */
const SELECT = `
SELECT name, value FROM agent_identity_auth
WHERE name IN (SELECT value FROM json_each(?)) AND (expires_at IS NULL OR expires_at > ${NOW})`;

const UPSERT = `
INSERT INTO agent_identity_auth (name, value, expires_at) VALUES (?, ?, ${NOW} + ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`;

const DELETE = "DELETE FROM agent_identity_auth WHERE name = ?";

/** Replaces an expired row only. */
const INSERT_IF_ABSENT = `${UPSERT} WHERE agent_identity_auth.expires_at <= ${NOW}`;

const UPDATE_IF_EQUAL = `
UPDATE agent_identity_auth SET value = ?, expires_at = ${NOW} + ?
WHERE name = ? AND value = ? AND (expires_at IS NULL OR expires_at > ${NOW})`;

const SWEEP = `
DELETE FROM agent_identity_auth WHERE name IN (
  SELECT name FROM agent_identity_auth WHERE expires_at <= ${NOW} LIMIT ${SWEEP_LIMIT}
)`;

const EXPECTED =
  "sqliteStore: the argument must be a database of better-sqlite3 (new Database(file)) or node:sqlite (new DatabaseSync(file))";

/**
 * A store in a SQLite file (SQLite 3.42 or later), in the table `agent_identity_auth`, which the first call makes. The
 * processes of one machine may share the file, which must not be on a network file system. Once a minute, a write with a ttl
 * first deletes up to 1000 expired rows.
 *
 * The first call sets `journal_mode = WAL` on the file, and `synchronous = FULL` and `busy_timeout = 0` on the connection: while
 * another process writes, a write is tried again for 1.5 s, and this process goes on meanwhile.
 *
 * @param db a database of better-sqlite3 12, libsql 0.5 or `node:sqlite`. Open it for the store alone, because the store would
 * take part in your transactions; closed by the application
 * @returns a store whose calls reject when a statement fails
 * @throws TypeError if it is not a database
 *
 * @example
 * ```ts
 * const issuer = await createIssuer({ store: sqliteStore(new Database("/var/lib/issuer/issuer.db")) });
 * ```
 */
export function sqliteStore(db: SqliteDatabase): IssuerStore {
  if (!hasMethods("exec", "prepare")(db)) throw new TypeError(EXPECTED);
  const statements = new Map<string, Statement>();

  /** Compiles it at its first use. */
  const statement = (sql: string): Statement => {
    if (statements.size === 0) prepareFile(db);
    let compiled = statements.get(sql);
    if (compiled === undefined) statements.set(sql, (compiled = db.prepare(sql)));
    return compiled;
  };
  const change = (sql: string, ...values: (string | number | null)[]): number => {
    const { changes } = Object(statement(sql).run(...values)) as { changes?: unknown };
    if (typeof changes !== "number" && typeof changes !== "bigint") throw new TypeError(EXPECTED);
    return Number(changes);
  };
  const getMany = (names: readonly string[]) => {
    const rows = statement(SELECT).all(JSON.stringify(names));
    if (!Array.isArray(rows)) throw new TypeError(EXPECTED);
    const texts = new Map((rows as { name: string; value: string }[]).map(({ name, value }) => [name, value]));
    return names.map((name) => texts.get(name));
  };
  const beforeWrite = createSweep(() => whenFree(() => change(SWEEP)));

  return {
    get: (name) => whenFree(() => getMany([name])[0]),
    getMany: (names) => whenFree(() => getMany(names)),
    async set(name, text, ttl) {
      await beforeWrite(ttl);
      await whenFree(() => change(UPSERT, name, text, ttl ?? null));
    },
    delete: (name) => whenFree(() => change(DELETE, name)),
    async compareAndSet(name, expected, text, ttl) {
      await beforeWrite(ttl);
      return whenFree(() => {
        const changes =
          expected === undefined
            ? change(INSERT_IF_ABSENT, name, text, ttl ?? null)
            : change(UPDATE_IF_EQUAL, text, ttl ?? null, name, expected);
        return changes === 1;
      });
    },
  };
}

/** What the database throws is a rejection. SQLite itself would wait for other processes by stopping this one. */
async function whenFree<T>(work: () => T): Promise<T> {
  const end = monotonicNow() + BUSY_TIMEOUT;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || monotonicNow() >= end) throw error;
    }
    await pause(Math.random() * BUSY_PAUSE);
  }
}

/** better-sqlite3 and libsql give the name of SQLite's code, and `node:sqlite` its number, whose last byte is the code. */
function isBusy(error: unknown): boolean {
  const { code, errcode } = Object(error) as { code?: unknown; errcode?: unknown };
  return String(code).startsWith("SQLITE_BUSY") || (Number(errcode) & 0xff) === 5;
}

function prepareFile(db: SqliteDatabase): void {
  db.exec("PRAGMA busy_timeout = 0");
  try {
    db.exec("PRAGMA journal_mode = WAL");
  } catch (error) {
    if (isBusy(error)) throw error; // another process is switching the file to WAL
    // A file that this process may only read.
  }
  db.exec("PRAGMA synchronous = FULL"); // better-sqlite3 has a weaker default, with which a loss of power undoes the last writes
  db.exec(CREATE_TABLE);
}
