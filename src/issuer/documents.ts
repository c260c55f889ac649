/**
 * The issuer's documents in its store: JSON with a version, under names that begin with the issuer's name. Each call of the
 * store may take 2 s. A call that fails, hangs or gives something else than text is an error, and never an absent document.
 */

import { hasMethods, type OptionCheck } from "../protocol/options.js";
import { toJsonObject } from "../protocol/encoding.js";
import type { IssuerStore } from "../protocol/issuer-store.js";
import { IntrinsicPromise } from "../runtime/captured-globals.js";
import { isThenable, pause, withDeadline } from "../runtime/thenable.js";
import { publishIssuerEvent } from "./diagnostics.js";
import type { Seal } from "./seal.js";

const STORE_TIMEOUT = 2_000;
const VERSION = 1;

/** Attempts of a change before the store is taken for one whose `compareAndSet` never succeeds. */
const MOST_ATTEMPTS = 50;

/** ms. After each lost race, a random pause lets the others through; it grows up to this. */
const LONGEST_PAUSE = 64;

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
  readonly #seal: Seal;

  /** @param seal encrypts what the store gets */
  constructor(store: IssuerStore | KeyvStore, name: string, seal: Seal) {
    this.#store = store;
    this.#prefix = `{${name}}:`; // braces: a Redis Cluster keeps all entries of an issuer in one slot
    this.#seal = seal;
  }

  /** Without a promise where the store has a `getMany` that answers without one. */
  read<T>(names: readonly string[]): MaybePromise<(T | undefined)[]> {
    const entries = names.map((name) => this.#prefix + name);
    const open = (texts: readonly unknown[]) =>
      texts.map((text, i) => this.#open(entries[i] ?? "", text) as T | undefined);
    const store = this.#store;
    if ("getMany" in store && typeof store.getMany === "function") {
      return this.#call(
        "getMany",
        () => store.getMany?.(entries),
        (answer) => {
          if (!Array.isArray(answer) || answer.length !== names.length) throw strange("getMany");
          return open(answer);
        },
      );
    }
    const texts = entries.map(async (entry) => this.#call("get", () => store.get(entry), textOf));
    return (async () => open(await IntrinsicPromise.all(texts)))();
  }

  write(name: string, document: object, ttl?: number): MaybePromise<void> {
    const entry = this.#prefix + name;
    return this.#call(
      "set",
      () => this.#store.set(entry, this.#close(entry, document), ttl),
      () => undefined,
    );
  }

  remove(name: string): MaybePromise<void> {
    return this.#call(
      "delete",
      () => this.#store.delete(this.#prefix + name),
      () => undefined,
    );
  }

  /**
   * Changes a document: reads, decides, compares and sets, and reads again where another process was faster. A document that an
   * older secret has sealed is sealed again.
   * @param decide gives the new document, or `undefined` to leave it; it is called again after each lost race
   */
  async change<T extends object>(
    name: string,
    decide: (document: T | undefined) => MaybePromise<T | undefined>,
  ): Promise<void> {
    const store = this.#store;
    const entry = this.#prefix + name;
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      const text = await this.#call("get", () => store.get(entry), textOf);
      const document = this.#open(entry, text) as T | undefined;
      const wanted = await decide(document);
      const next = wanted ?? (text !== undefined && !this.#seal.isCurrent(entry, text) ? document : undefined);
      if (next === undefined) return;
      if (!isStore(store)) return this.write(name, next);
      const sealed = this.#close(entry, next);
      const isSet = await this.#call(
        "compareAndSet",
        () => (store as IssuerStore).compareAndSet(entry, text, sealed),
        booleanOf,
      );
      if (isSet) return;
      await pause(Math.random() * Math.min(2 ** attempt, LONGEST_PAUSE));
    }
    throw new Error("the issuer's store refused every compareAndSet");
  }

  #close(entry: string, document: object): string {
    return this.#seal.seal(entry, JSON.stringify({ ...document, version: VERSION }));
  }

  /** @returns `undefined` only where the store has no entry */
  #open(entry: string, answer: unknown): object | undefined {
    const text = textOf(answer);
    if (text === undefined) return undefined;
    const document = toJsonObject(JSON.parse(this.#seal.open(entry, text)));
    if (document?.["version"] !== VERSION) throw new Error("the issuer's store holds a document of another version");
    return document;
  }

  #call<T>(call: string, ask: () => unknown, check: (answer: unknown) => T): MaybePromise<T> {
    try {
      const answer = ask();
      return isThenable(answer) ? this.#settle(call, answer, check) : check(answer);
    } catch (error) {
      publishIssuerEvent({ type: "store.failed", call });
      throw error;
    }
  }

  async #settle<T>(call: string, answer: PromiseLike<unknown>, check: (answer: unknown) => T): Promise<T> {
    try {
      const late = new Error(`the issuer's store gave no answer within ${STORE_TIMEOUT} ms`);
      const settled = await withDeadline(answer, STORE_TIMEOUT, () => late);
      if (settled === late) throw late;
      return check(settled);
    } catch (error) {
      publishIssuerEvent({ type: "store.failed", call });
      throw error;
    }
  }
}

function textOf(answer: unknown): string | undefined {
  if (answer !== undefined && typeof answer !== "string") throw strange("get");
  return answer;
}

function booleanOf(answer: unknown): boolean {
  if (typeof answer !== "boolean") throw strange("compareAndSet");
  return answer;
}

function strange(call: string): TypeError {
  return new TypeError(`the issuer's store gave something strange for ${call}()`);
}
