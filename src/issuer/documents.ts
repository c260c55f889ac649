/**
 * The issuer's documents in its store: JSON with a version, under names that begin with the issuer's name. Each call of the
 * store may take 2 s. A call that fails, hangs or gives something else than text is an error, and never an absent document.
 * Each error is made here: the client's own may hold its command, and with it a private key (ioredis, pg).
 */

import { hasMethods, type OptionCheck } from "../protocol/options.js";
import { toJsonObject } from "../protocol/encoding.js";
import type { IssuerStore } from "../protocol/issuer-store.js";
import { IntrinsicPromise } from "../runtime/captured-globals.js";
import { isThenable, pause, whenSettled, withDeadline, type MaybePromise } from "../runtime/thenable.js";
import { publishIssuerEvent } from "./diagnostics.js";
import type { Seal } from "./seal.js";

const STORE_TIMEOUT = 2_000;
const VERSION = 1;

/** Attempts at a document that nobody else changes, before the store's `compareAndSet` is taken for broken. */
const MOST_IN_VAIN = 10;

/** ms. After each lost race, a random pause lets the others through; it grows up to this. */
const LONGEST_PAUSE = 64;

/** The part of a Keyv that holds agents and tasks. It cannot compare and set. */
export interface KeyvStore {
  /** Gives the value, or `undefined`. */
  get(name: string): unknown;
  /** Sets a value; `ttl` is in ms, and 0 is no end. The answer `false` is a failure. */
  set(name: string, value: unknown, ttl?: number): unknown;
  /** Removes an entry. */
  delete(name: string): unknown;
  /** Must be `true`: a Keyv that hides its errors looks empty when its server is down. */
  throwOnErrors: boolean;
  /** The adapter, whose `throwOnErrors` must be `true` as well. */
  store?: unknown;
}

const isStore = (value: unknown): value is IssuerStore => hasMethods("get", "set", "delete", "compareAndSet")(value);
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
  const { throwOnErrors, store: adapter } = store;
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

  /** Without a promise where the store answers without one. */
  read<T>(names: readonly string[]): MaybePromise<(T | undefined)[]> {
    const entries = names.map((name) => this.#prefix + name);
    return whenSettled(this.#readTexts(entries), (texts) =>
      texts.map((text, i) => this.#open(entries[i] ?? "", text) as T | undefined),
    );
  }

  #readTexts(entries: readonly string[]): MaybePromise<readonly Text[]> {
    const store = this.#store;
    if ("getMany" in store && typeof store.getMany === "function") {
      const areTexts = (answer: unknown) =>
        Array.isArray(answer) && answer.length === entries.length && answer.every(isText);
      return this.#call("getMany", () => store.getMany?.(entries), areTexts);
    }
    return this.#getEach(entries);
  }

  /** The first promise makes the rest asynchronous: all of them are awaited, so that none can reject unseen. */
  #getEach([first, ...others]: readonly string[]): MaybePromise<readonly Text[]> {
    if (first === undefined) return [];
    const text = this.#get(first);
    if (!isThenable(text)) return whenSettled(this.#getEach(others), (texts) => [text, ...texts]);
    return IntrinsicPromise.all([text, ...others.map(async (entry) => this.#get(entry))]);
  }

  #get(entry: string): MaybePromise<Text> {
    return this.#call("get", () => this.#store.get(entry), isText);
  }

  write(name: string, document: object, ttl?: number): MaybePromise<unknown> {
    const entry = this.#prefix + name;
    return this.#set(entry, this.#close(entry, document), ttl);
  }

  /** A Keyv takes 0 for "no end", and `undefined` for a ttl of its own: after that, a revocation would be forgotten. */
  #set(entry: string, sealed: string, ttl?: number): MaybePromise<unknown> {
    const store = this.#store;
    return this.#call("set", () => store.set(entry, sealed, isStore(store) ? ttl : (ttl ?? 0)), isDone);
  }

  remove(name: string): MaybePromise<unknown> {
    return this.#call(
      "delete",
      () => this.#store.delete(this.#prefix + name),
      () => true,
    );
  }

  /**
   * Changes a document: reads, decides, compares and sets, and reads again where another process was faster. A document that an
   * older secret has sealed is sealed again.
   * @param decide gives the new document, or `undefined` to leave it; it is called again after each lost race
   * @param ttlOf gives the ms until the new document is of no use; without it, the document stays
   */
  async change<T extends object>(
    name: string,
    decide: (document: T | undefined) => MaybePromise<T | undefined>,
    ttlOf?: (document: T) => number,
  ): Promise<void> {
    const store = this.#store;
    const entry = this.#prefix + name;
    let previous: Text = "";
    let inVain = 0;
    for (let attempt = 1; inVain < MOST_IN_VAIN; attempt++) {
      const text = await this.#get(entry);
      inVain = text === previous ? inVain + 1 : 1; // where another process was faster, the store works
      previous = text;
      const document = this.#open(entry, text) as T | undefined;
      const wanted = await decide(document);
      const next = wanted ?? (text !== undefined && !this.#seal.isCurrent(entry, text) ? document : undefined);
      if (next === undefined) return;
      const sealed = this.#close(entry, next);
      const ttl = ttlOf?.(next);
      const isSet = isStore(store)
        ? await this.#call("compareAndSet", () => store.compareAndSet(entry, text, sealed, ttl), isBoolean)
        : await this.#set(entry, sealed, ttl);
      if (isSet !== false) return;
      await pause(Math.random() * Math.min(2 ** attempt, LONGEST_PAUSE));
    }
    throw new Error("the issuer's store refused every compareAndSet");
  }

  #close(entry: string, document: object): string {
    return this.#seal.seal(entry, JSON.stringify({ ...document, version: VERSION }));
  }

  /** @returns `undefined` only where the store has no entry */
  #open(entry: string, text: Text): object | undefined {
    if (text === undefined) return undefined;
    const document = parseObject(this.#seal.open(entry, text));
    if (document?.["version"] !== VERSION) throw new Error("the issuer's store holds a document of another version");
    return document;
  }

  #call<T>(call: Call, ask: () => unknown, isExpected: Check): MaybePromise<T> {
    let answer: unknown;
    try {
      answer = ask();
      if (isThenable(answer)) return this.#settle(call, answer, isExpected);
    } catch (error) {
      throw failure(call, `failed in ${call}()${codeOf(error)}`);
    }
    if (!isExpected(answer)) throw failure(call, `gave something strange for ${call}()`);
    return answer as T;
  }

  async #settle<T>(call: Call, answer: PromiseLike<unknown>, isExpected: Check): Promise<T> {
    const late = {};
    let settled: unknown;
    try {
      settled = await withDeadline(answer, STORE_TIMEOUT, () => late);
    } catch (error) {
      throw failure(call, `failed in ${call}()${codeOf(error)}`);
    }
    if (settled === late) throw failure(call, `gave no answer to ${call}() within ${STORE_TIMEOUT} ms`);
    if (!isExpected(settled)) throw failure(call, `gave something strange for ${call}()`);
    return settled as T;
  }
}

type Text = string | undefined;
type Check = (answer: unknown) => boolean;
type Call = "get" | "getMany" | "set" | "delete" | "compareAndSet";

const isText = (answer: unknown) => answer === undefined || typeof answer === "string";
const isBoolean = (answer: unknown) => typeof answer === "boolean";

/** A Keyv says `false` for a value that its adapter did not take. */
const isDone = (answer: unknown) => answer !== false;

function failure(call: Call, what: string): Error {
  publishIssuerEvent({ type: "store.failed", call });
  return new Error(`the issuer's store ${what}`);
}

/** The code of a client's error, such as ECONNREFUSED, or the word with which Redis begins its own: OOM, READONLY, LOADING. */
function codeOf(error: unknown): string {
  const { code, message } = Object(error) as { code?: unknown; message?: unknown };
  const word = /^[A-Z][A-Z0-9_]{1,30}(?= |$)/.exec(String(message))?.[0];
  const found = typeof code === "string" && /^\w{1,40}$/.test(code) ? code : word;
  return found === undefined ? "" : `: ${found}`;
}

/** V8 quotes the text in its error, and here that is a private key. */
function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    return toJsonObject(JSON.parse(text));
  } catch {
    throw new Error("the issuer's store holds a document that is not JSON");
  }
}
