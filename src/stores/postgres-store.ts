/** Postgres, through the pool that the application has already. */

import type { IssuerStore } from "../protocol/issuer-store.js";
import { hasMethods } from "../protocol/options.js";
import { warnWithoutErrorListener } from "./error-listener.js";
import { createSweep, SWEEP_LIMIT } from "./expiry.js";

/** What `postgresStore` needs of a pool of pg. */
export interface PostgresPool {
  /** Runs one statement outside any transaction. */
  query(
    text: string,
    values: unknown[],
  ): PromiseLike<{
    /** Objects, with a member for each column. */
    rows: unknown[];
  }>;
}

interface Row {
  readonly name: string;
  readonly value: string;
}

const UNDEFINED_TABLE = "42P01";

/**
 * One statement, so that the table is never without its index. If two processes create it at the same time, `IF NOT EXISTS` does
 * not help: one of them fails when the other has committed, and the table is there.
 */
const CREATE_TABLE = `
DO $$ BEGIN
  CREATE TABLE IF NOT EXISTS agent_identity_auth (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    expires_at timestamptz
  );
  CREATE INDEX IF NOT EXISTS agent_identity_auth_expires_at
    ON agent_identity_auth (expires_at) WHERE expires_at IS NOT NULL;
EXCEPTION WHEN unique_violation OR duplicate_table OR duplicate_object THEN NULL;
END $$`;

const SELECT = `
SELECT name, value FROM agent_identity_auth
WHERE name = ANY($1::text[]) AND (expires_at IS NULL OR expires_at > clock_timestamp())`;

const UPSERT = `
INSERT INTO agent_identity_auth AS entry (name, value, expires_at)
VALUES ($1, $2, clock_timestamp() + $3::double precision * interval '1 millisecond')
ON CONFLICT (name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`;

const DELETE = "DELETE FROM agent_identity_auth WHERE name = $1";

/** Replaces an expired row only. */
const INSERT_IF_ABSENT = `${UPSERT} WHERE entry.expires_at <= clock_timestamp() RETURNING 1`;

/** If another writer holds the row, Postgres waits for it and then compares again, in the isolation "read committed". */
const UPDATE_IF_EQUAL = `
UPDATE agent_identity_auth
SET value = $2, expires_at = clock_timestamp() + $3::double precision * interval '1 millisecond'
WHERE name = $1 AND value = $4 AND (expires_at IS NULL OR expires_at > clock_timestamp())
RETURNING 1`;

/** Skips rows that another process is writing or deleting at this moment. */
const SWEEP = `
DELETE FROM agent_identity_auth WHERE name IN (
  SELECT name FROM agent_identity_auth WHERE expires_at <= clock_timestamp() LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING 1`;

/**
 * A store in Postgres 9.5 or later, in the table `agent_identity_auth`. The first call makes the table, in the first schema of
 * the `search_path`. Once a minute, a write with a ttl first deletes up to 1000 expired rows. The isolation has to be "read
 * committed", which is the default.
 *
 * @param pool a `Pool` of pg 8, connected to the primary; closed by the application
 * @returns a store whose calls reject when a statement fails
 * @throws TypeError if it is not a pool. A single client of pg is refused too: the store
 * would take part in its transactions
 *
 * @example
 * ```ts
 * const pool = new Pool({ connectionString: process.env.DATABASE_URL });
 * pool.on("error", console.error);
 * const issuer = await createIssuer({ store: postgresStore(pool) });
 * ```
 */
export function postgresStore(pool: PostgresPool): IssuerStore {
  if (!hasMethods("query")(pool) || hasMethods("getTypeParser")(pool)) throw new TypeError(EXPECTED);
  warnWithoutErrorListener("postgresStore", pool, "pool");

  const runOnce = async (statement: string, values: unknown[]): Promise<unknown[]> => {
    const { rows } = Object(await pool.query(statement, values)) as { rows?: unknown };
    if (!Array.isArray(rows)) throw new TypeError(EXPECTED);
    return rows as unknown[];
  };
  const run = async (statement: string, values: unknown[]): Promise<unknown[]> => {
    try {
      return await runOnce(statement, values);
    } catch (error) {
      if ((error as { code?: unknown } | null)?.code !== UNDEFINED_TABLE) throw error;
    }
    await runOnce(CREATE_TABLE, []);
    return runOnce(statement, values);
  };
  const getMany = async (names: readonly string[]) => {
    const rows = (await run(SELECT, [names])) as Row[];
    const texts = new Map(rows.map(({ name, value }) => [name, value]));
    return names.map((name) => texts.get(name));
  };
  const beforeWrite = createSweep(async () => (await run(SWEEP, [SWEEP_LIMIT])).length);

  return {
    getMany,
    async get(name) {
      return (await getMany([name]))[0];
    },
    async set(name, text, ttl) {
      await beforeWrite(ttl);
      await run(UPSERT, [name, text, ttl ?? null]);
    },
    async delete(name) {
      await run(DELETE, [name]);
    },
    async compareAndSet(name, expected, text, ttl) {
      await beforeWrite(ttl);
      const values = [name, text, ttl ?? null];
      const rows =
        expected === undefined
          ? await run(INSERT_IF_ABSENT, values)
          : await run(UPDATE_IF_EQUAL, [...values, expected]);
      return rows.length === 1;
    },
  };
}

const EXPECTED = "postgresStore: the argument must be a pool of pg: new Pool({ connectionString })";
