/**
 * Stores that several processes share: for `createIssuer({ store })`, and for `jwks: { store }`.
 * @module agent-identity-auth/stores
 */

export type { IssuerStore } from "./protocol/issuer-store.js";
export { postgresStore, type PostgresPool } from "./stores/postgres-store.js";
export { redisStore, type IoredisClient, type NodeRedisClient } from "./stores/redis-store.js";
export { sqliteStore, type SqliteDatabase } from "./stores/sqlite-store.js";
