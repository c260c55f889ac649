/** Redis and Valkey, through the client that the application has already. */

import type { IssuerStore } from "../protocol/issuer-store.js";
import { hasMethods } from "../protocol/options.js";
import { warnWithoutErrorListener } from "./error-listener.js";
import { checkTtl } from "./expiry.js";

/** What `redisStore` needs of node-redis 5 or 6: `createClient`, `createClientPool` and `createCluster` give it. */
export interface NodeRedisClient {
  /** GET */
  get(name: string): PromiseLike<unknown>;
  /** MGET */
  mGet(names: string[]): PromiseLike<unknown>;
  /** SET */
  set(name: string, text: string): PromiseLike<unknown>;
  /** PSETEX */
  pSetEx(name: string, ttl: number, text: string): PromiseLike<unknown>;
  /** DEL */
  del(name: string): PromiseLike<unknown>;
  /** EVAL */
  eval(script: string, options: { keys: string[]; arguments: string[] }): PromiseLike<unknown>;
}

/** What `redisStore` needs of ioredis: `new Redis` and `new Cluster` give it. */
export interface IoredisClient {
  /** By this name, the store knows ioredis. */
  mget(...names: string[]): PromiseLike<unknown>;
  /** Any command. */
  call(command: string, ...args: string[]): PromiseLike<unknown>;
}

/** `GET` gives `false` for an entry that is not there. `SET` also removes a ttl. */
const COMPARE_AND_SET = `
if redis.call("GET", KEYS[1]) ~= (ARGV[3] or false) then return 0 end
if ARGV[2] == "" then redis.call("SET", KEYS[1], ARGV[1]) else redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2]) end
return 1`;

/**
 * A store in Redis 4 or later, or Valkey; a single server or a cluster. Redis removes expired entries itself. The compare
 * and set is a Lua script (`EVAL`).
 *
 * On a cluster, the names of one `getMany` must be in one hash slot. The names of an issuer are.
 *
 * @param client node-redis 5 or 6, or ioredis 5 or 6; connected and closed by the application
 * @returns a store whose calls reject when a command fails
 * @throws TypeError if it is another client
 *
 * @example
 * ```ts
 * const client = createClient({ url: process.env.REDIS_URL, disableOfflineQueue: true });
 * client.on("error", console.error);
 * await client.connect();
 * const issuer = await createIssuer({ store: redisStore(client) });
 * ```
 */
export function redisStore(client: NodeRedisClient | IoredisClient): IssuerStore {
  const redis = asNodeRedis(client);
  return {
    async get(name) {
      return textOf(await redis.get(name));
    },
    async getMany(names) {
      if (names.length === 0) return []; // MGET needs a name
      const replies = await redis.mGet([...names]);
      if (!Array.isArray(replies) || replies.length !== names.length) throw unexpected("MGET");
      return replies.map(textOf);
    },
    async set(name, text, ttl) {
      if (ttl !== undefined) checkTtl(ttl);
      const reply = await (ttl === undefined ? redis.set(name, text) : redis.pSetEx(name, ttl, text));
      if (reply !== "OK") throw unexpected("SET");
    },
    async delete(name) {
      if (typeof (await redis.del(name)) !== "number") throw unexpected("DEL");
    },
    async compareAndSet(name, expected, text, ttl) {
      if (ttl !== undefined) checkTtl(ttl);
      const args = [text, String(ttl ?? ""), ...(expected === undefined ? [] : [expected])];
      const reply = await redis.eval(COMPARE_AND_SET, { keys: [name], arguments: args });
      if (reply !== 0 && reply !== 1) throw unexpected("EVAL");
      return reply === 1;
    },
  };
}

function asNodeRedis(client: NodeRedisClient | IoredisClient): NodeRedisClient {
  if (isNodeRedis(client)) {
    warnWithoutErrorListener("redisStore", client, "client");
    return client;
  }
  if (!isIoredis(client)) {
    throw new TypeError(
      "redisStore: the argument must be a client of node-redis (createClient({ url })) or ioredis (new Redis(url))",
    );
  }
  return {
    get: (name) => client.call("get", name),
    mGet: (names) => client.call("mget", ...names),
    set: (name, text) => client.call("set", name, text),
    pSetEx: (name, ttl, text) => client.call("psetex", name, String(ttl), text),
    del: (name) => client.call("del", name),
    eval: (script, { keys, arguments: args }) => client.call("eval", script, String(keys.length), ...keys, ...args),
  };
}

function isNodeRedis(client: unknown): client is NodeRedisClient {
  return hasMethods("get", "mGet", "set", "pSetEx", "del", "eval")(client);
}

function isIoredis(client: unknown): client is IoredisClient {
  return hasMethods("mget", "call")(client);
}

/** Only Redis's own "nothing" is an absence. `undefined`, or a buffer where the client is set to give those, is a failure. */
function textOf(reply: unknown): string | undefined {
  if (reply === null) return undefined;
  if (typeof reply !== "string") throw unexpected("GET");
  return reply;
}

function unexpected(command: string): Error {
  return new Error(`redisStore: the client's answer to ${command} is not of the expected type`);
}
