/**
 * The issuer's documents in its store: JSON with a version, under names that begin with the issuer's name. Each call of the
 * store may take 2 s. A call that fails, hangs or gives something else than text is an error, and never an absent document.
 */

import { hasMethods, type OptionCheck } from "../protocol/options.js";
import { toJsonObject } from "../protocol/encoding.js";
import type { IssuerStore } from "../protocol/issuer-store.js";
import { isThenable, withDeadline } from "../runtime/thenable.js";

const STORE_TIMEOUT = 2_000;
const VERSION = 1;

/** Attempts of a change before the store is taken for one whose `compareAndSet` never succeeds. */
const MOST_ATTEMPTS = 50;

export type MaybePromise<T> = T | Promise<T>;

/** The part of a Keyv that holds agents and tasks. It cannot compare and set. */
export interface KeyvStore {
  /** Gives the value, or `undefined`. */
  get(name: string): unknown;
  /** Sets a value; `ttl` is in ms. */
  set(name: string, value: unknown, ttl?: number): unknown;
  /** Removes an entry. */
  delete(name: string): unknown;
  /** Must be `true`: a Keyv that hides its errors looks empty when its server is down. */
  throwOnErrors: boolean;
  /** The adapter, whose `throwOnErrors` must be `true` as well. */
  store?: unknown;
}

const isStore = hasMethods("get", "set", "delete", "compareAndSet");
const isKeyv = (value: unknown): value is KeyvStore =>
  hasMethods("get", "set", "delete")(value) && "throwOnErrors" in Object(value);

export const anIssuerStore: OptionCheck = {
  expected:
    "a store with get(), set(), delete() and compareAndSet(), such as redisStore(client) of agent-identity-auth/stores, or with signingKeys a Keyv",
  accepts: (value) => isStore(value) || isKeyv(value),
};

/** @throws TypeError for a Keyv that may lose keys, with the line of code that works */
export function refuseUnsafeKeyv(store: IssuerStore | KeyvStore, hasSigningKeys: boolean): void {
  if (isStore(store)) return;
  if (!hasSigningKeys) {
    throw new TypeError(
      "createIssuer: a Keyv cannot compare and set, so it cannot hold signing keys: pass signingKeys, or a store such as createIssuer({ store: redisStore(client) })",
    );
  }
  const { throwOnErrors, store: adapter } = store as KeyvStore;
  const isInMemory = Object.prototype.toString.call(adapter) === "[object Map]";
  if (throwOnErrors && (isInMemory || (Object(adapter) as KeyvStore).throwOnErrors)) return;
  throw new TypeError(
    "createIssuer: this Keyv hides its errors, and then looks empty: write new Keyv({ store: new KeyvRedis(url, { throwOnErrors: true }), throwOnErrors: true })",
  );
}

export class Documents {
  readonly #store: IssuerStore | KeyvStore;
  readonly #prefix: string;

  constructor(store: IssuerStore | KeyvStore, name: string) {
    this.#store = store;
    this.#prefix = `{${name}}:`; // braces: a Redis Cluster keeps all entries of an issuer in one slot
  }

  read<T>(names: readonly string[]): MaybePromise<(T | undefined)[]> {
    const prefixed = names.map((name) => this.#prefix + name);
    const store = this.#store;
    if ("getMany" in store && typeof store.getMany === "function") {
      return this.#call(
        () => store.getMany?.(prefixed),
        (answer) => {
          if (!Array.isArray(answer) || answer.length !== names.length) throw strange("getMany");
          return answer.map((text) => parse(text) as T | undefined);
        },
      );
    }
    const documents = prefixed.map((name) =>
      this.#call(
        () => store.get(name),
        (text) => parse(text) as T | undefined,
      ),
    );
    return documents.some(isThenable) ? (async () => all(documents))() : (documents as (T | undefined)[]);
  }

  write(name: string, document: object, ttl?: number): MaybePromise<void> {
    const text = JSON.stringify({ version: VERSION, ...document });
    return this.#call(
      () => this.#store.set(this.#prefix + name, text, ttl),
      () => undefined,
    );
  }

  remove(name: string): MaybePromise<void> {
    return this.#call(
      () => this.#store.delete(this.#prefix + name),
      () => undefined,
    );
  }

  /**
   * Changes a document: reads, decides, compares and sets, and reads again where another process was faster.
   * @param decide gives the new document, or `undefined` to leave it; it is called again after each lost race
   * @returns the document as it is then
   */
  async change<T extends object>(
    name: string,
    decide: (document: T | undefined) => MaybePromise<T | undefined>,
  ): Promise<T | undefined> {
    const store = this.#store;
    const entry = this.#prefix + name;
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      const text = await this.#call(() => store.get(entry), textOf);
      const document = parse(text) as T | undefined;
      const wanted = await decide(document);
      if (wanted === undefined) return document;
      const next = JSON.stringify({ version: VERSION, ...wanted });
      if (!isStore(store)) {
        await this.#call(
          () => store.set(entry, next),
          () => undefined,
        );
        return wanted;
      }
      const isSet = await this.#call(() => (store as IssuerStore).compareAndSet(entry, text, next), booleanOf);
      if (isSet) return wanted;
    }
    throw new Error("the issuer's store refused every compareAndSet");
  }

  #call<T>(ask: () => unknown, check: (answer: unknown) => T): MaybePromise<T> {
    const answer = ask();
    if (!isThenable(answer)) return check(answer);
    return (async () => {
      const late = new Error(`the issuer's store gave no answer within ${STORE_TIMEOUT} ms`);
      const settled = await withDeadline(answer, STORE_TIMEOUT, () => late);
      if (settled === late) throw late;
      return check(settled);
    })();
  }
}

async function all<T>(values: readonly MaybePromise<T>[]): Promise<T[]> {
  const settled: T[] = [];
  for (const value of values) settled.push(await value);
  return settled;
}

function textOf(answer: unknown): string | undefined {
  if (answer !== undefined && typeof answer !== "string") throw strange("get");
  return answer;
}

function booleanOf(answer: unknown): boolean {
  if (typeof answer !== "boolean") throw strange("compareAndSet");
  return answer;
}

/** @returns `undefined` only where the store has no entry */
function parse(answer: unknown): object | undefined {
  const text = textOf(answer);
  if (text === undefined) return undefined;
  const document = toJsonObject(JSON.parse(text));
  if (document?.["version"] !== VERSION) throw new Error("the issuer's store holds a document of another version");
  return document;
}

function strange(call: string): TypeError {
  return new TypeError(`the issuer's store gave something strange for ${call}()`);
}
