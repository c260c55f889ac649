/** The key set behind a JWKS URL: cached, shared, refreshed in the background, and kept while its endpoint is down. */

import { IntrinsicPromise, monotonicNow } from "../../runtime/captured-globals.js";
import { logText } from "../../protocol/log-text.js";
import { withDeadline } from "../../runtime/thenable.js";
import { BackOff } from "./back-off.js";
import { Refusal, toVerifierError } from "../outcome/errors.js";
import { fetchJwks, type JwksFetch } from "./jwks-fetch.js";
import { readStoredKeySet, writeStoredKeySet, type JwksStore } from "./jwks-store.js";
import type { KeySet, TrustedKey } from "./key-set.js";
import type { JwksStatus, InternalJwksResolver } from "./jwks-resolver.js";

/** Durations in ms; see `JwksOptions`. */
export interface RemoteJwksSettings {
  readonly cacheMaxAge: number;
  readonly cooldownDuration: number;
  readonly timeoutDuration: number;
  readonly staleIfErrorDuration: number;
  readonly fetch: JwksFetch | undefined;
  readonly store: JwksStore | undefined;
}

/** How long a refresh waits for the store before it asks the endpoint as well, and when it stops listening. In ms. */
const STORE_HEAD_START = 100;
const STORE_TIMEOUT = 2_000;

/** ms by which a deadline is late only if the process stood still: a serverless one, between two requests. */
const STANDSTILL = 500;

/** A moment on both clocks. */
interface Moment {
  /** ms on the monotonic clock, which stands still while a machine is suspended. */
  readonly askedAt: number;
  /** ms since the epoch, which somebody may set back. */
  readonly fetchedAt: number;
}

/** A key set and when it was asked for. */
interface DatedKeySet extends Moment {
  readonly keys: KeySet;
}

/** ms since then by the clock that has gone further: neither a suspended machine nor a clock set back makes it younger. */
function ageOf({ askedAt, fetchedAt }: Moment): number {
  return Math.max(monotonicNow() - askedAt, Date.now() - fetchedAt);
}

export class RemoteJwks implements InternalJwksResolver {
  readonly url: string;
  readonly #settings: RemoteJwksSettings;
  readonly #backOff = new BackOff();
  #current: DatedKeySet | undefined;
  #refreshing: Promise<void> | undefined;
  /** How many fetches have been started, and which of them, counted from 1, was the last to succeed. */
  #fetches = 0;
  #lastGoodFetch = 0;
  /** When an unknown `kid` last started a refresh, and the number of its fetch. */
  #unknownKidWindow = { openedAt: -Infinity, fetchNumber: 0 };
  #lastError: string | null = null;
  /** Whether the process stood still during the last fetch: then its failure says nothing of the endpoint. */
  #stoodStill = false;

  constructor(url: string, settings: RemoteJwksSettings) {
    this.url = url;
    this.#settings = settings;
  }

  /** The key for a `kid`: at once, without a promise, whenever nothing has to be waited for. */
  key(kid: string): TrustedKey | Refusal | Promise<TrustedKey | Refusal> {
    const set = this.#current;
    const age = this.#age();
    const fetchesWhenAsked = this.#fetches;
    const { cacheMaxAge } = this.#settings;
    if (set === undefined || !this.#mayServe(age)) return this.#keyAfterRefresh(kid, fetchesWhenAsked);
    if (age >= cacheMaxAge / 2 && this.#backOff.remaining(monotonicNow()) === 0) void this.#refresh();
    if (age >= cacheMaxAge && !this.#backOff.failing) return this.#keyAfterRefresh(kid, fetchesWhenAsked);
    return set.keys.byKid.get(kid) ?? this.#unknownKid(kid, fetchesWhenAsked);
  }

  trusts(key: TrustedKey): boolean {
    return this.#current?.keys.byKid.get(key.kid) === key;
  }

  async ready(): Promise<void> {
    if (this.#age() < this.#settings.cacheMaxAge) return;
    const lastGoodFetchWhenAsked = this.#lastGoodFetch;
    await this.#refreshAndWait();
    if (this.#servingAfter(lastGoodFetchWhenAsked) === undefined) throw toVerifierError(this.#unavailable());
  }

  status(): JwksStatus {
    return {
      url: this.url,
      kids: this.#current?.keys.kids ?? [],
      fetchedAt: this.#current?.fetchedAt ?? null,
      stale: this.#current !== undefined && this.#age() >= this.#settings.cacheMaxAge,
      lastError: this.#lastError,
    };
  }

  /** Whether a set of this age may serve at all, be it while its endpoint fails. */
  #mayServe(age: number): boolean {
    const { cacheMaxAge, staleIfErrorDuration } = this.#settings;
    return age < cacheMaxAge + staleIfErrorDuration;
  }

  /**
   * A set that was waited for serves those who waited, however slow the endpoint and however short its life.
   * @param fetchBefore the number of a fetch: a later one that succeeds was waited for
   */
  #servingAfter(fetchBefore: number): DatedKeySet | undefined {
    return this.#lastGoodFetch > fetchBefore || this.#mayServe(this.#age()) ? this.#current : undefined;
  }

  /** @param fetchesWhenAsked see `#unknownKid`: a fetch that is joined is not among those that are conclusive */
  async #keyAfterRefresh(kid: string, fetchesWhenAsked: number): Promise<TrustedKey | Refusal> {
    const lastGoodFetchWhenAsked = this.#lastGoodFetch;
    const backingOff = this.#backOff.remaining(monotonicNow()) > 0;
    if (this.#refreshing === undefined && backingOff) return this.#unavailable(kid);
    await this.#refreshAndWait();
    const set = this.#servingAfter(lastGoodFetchWhenAsked);
    if (set === undefined) return this.#unavailable(kid);
    return set.keys.byKid.get(kid) ?? this.#unknownKid(kid, fetchesWhenAsked);
  }

  /**
   * One refresh per window may be started by unknown `kid`s, however many there are.
   * @param fetchesWhenAsked how many fetches had been started when the token came: the answer to a later one is conclusive
   */
  async #unknownKid(kid: string, fetchesWhenAsked: number): Promise<TrustedKey | Refusal> {
    for (;;) {
      await this.#refreshing;
      const now = monotonicNow();
      const set = this.#servingAfter(fetchesWhenAsked);
      if (set === undefined) return this.#unavailable(kid);
      const key = set.keys.byKid.get(kid);
      if (key !== undefined) return key;
      if (this.#lastGoodFetch > fetchesWhenAsked) return this.#untrusted(kid);
      if (this.#refreshing) continue;
      const windowRemaining = this.#unknownKidWindow.openedAt + this.#settings.cooldownDuration - now;
      if (windowRemaining > 0) {
        if (this.#lastGoodFetch >= this.#unknownKidWindow.fetchNumber) return this.#untrusted(kid);
        return this.#unavailable(kid, windowRemaining);
      }
      if (this.#backOff.remaining(now) > 0) return this.#unavailable(kid);
      this.#unknownKidWindow = { openedAt: Math.floor(now), fetchNumber: this.#fetches + 1 };
      void this.#refresh({ readStore: false });
    }
  }

  /** Joins the refresh that is running, if one is. Never rejects. */
  #refresh({ readStore = true } = {}): Promise<void> {
    this.#refreshing ??= this.#load(readStore).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /** For somebody who waits: what the process slept through is asked again. Never rejects. */
  async #refreshAndWait(): Promise<void> {
    for (let attempt = 1; attempt <= 3; attempt++) {
      await this.#refresh();
      if (!this.#stoodStill) return;
    }
  }

  async #load(readStore: boolean): Promise<void> {
    const { store } = this.#settings;
    if (!store || !readStore) {
      await this.#fetch();
      return;
    }
    const adopted = this.#adoptStored(store);
    if (await withDeadline(adopted, STORE_HEAD_START, () => false)) return;
    const fetched = this.#fetch();
    // Whichever is good first; if one of them fails, the other is waited for.
    await IntrinsicPromise.race([eitherOf(adopted, fetched), eitherOf(fetched, adopted)]);
  }

  /** @returns whether there was a good answer */
  async #fetch(): Promise<boolean> {
    const { fetch, timeoutDuration, store, cacheMaxAge, staleIfErrorDuration } = this.#settings;
    const started: Moment = { askedAt: monotonicNow(), fetchedAt: Date.now() };
    const fetchNumber = ++this.#fetches;
    const answer = await fetchJwks({ url: this.url, fetch, timeoutDuration, previous: () => this.#current?.keys });
    if ("error" in answer) {
      if (fetchNumber < this.#lastGoodFetch) return false; // a later one has found the endpoint well
      this.#stoodStill = ageOf(started) > timeoutDuration + STANDSTILL;
      if (this.#stoodStill) {
        // An unknown `kid` may start another one at once.
        if (this.#unknownKidWindow.fetchNumber === fetchNumber)
          this.#unknownKidWindow = { openedAt: -Infinity, fetchNumber };
        return false;
      }
      this.#backOff.failed(monotonicNow(), answer.retryAfter);
      this.#lastError = answer.error;
      return false;
    }
    this.#backOff.succeeded();
    this.#stoodStill = false;
    this.#lastError = null;
    this.#lastGoodFetch = Math.max(fetchNumber, this.#lastGoodFetch);
    if (started.askedAt < (this.#current?.askedAt ?? -Infinity)) return true; // another process has asked since
    const { keySet: keys } = answer;
    this.#current = { keys, ...started };
    if (store) writeStoredKeySet(store, this.url, this.#current, cacheMaxAge + staleIfErrorDuration);
    return true;
  }

  /** @returns whether there was a newer set, and a fresh one */
  async #adoptStored(store: JwksStore): Promise<boolean> {
    const read = readStoredKeySet(store, this.url, () => this.#current?.keys);
    const stored = await withDeadline(read, STORE_TIMEOUT, () => undefined);
    // By the wall clock, which is what the entry has: an entry of our own is never newer than the set it came from.
    if (stored === undefined || stored.fetchedAt <= (this.#current?.fetchedAt ?? -Infinity)) return false;
    const age = Date.now() - stored.fetchedAt;
    this.#current = { ...stored, askedAt: monotonicNow() - age };
    return age < this.#settings.cacheMaxAge;
  }

  #untrusted(kid: string): Refusal {
    return new Refusal("key_untrusted", this.#diagnosis(kid));
  }

  /** @param wait ms until it is worth trying again, if not as long as the back-off */
  #unavailable(kid?: string, wait = 0): Refusal {
    const longest = Math.max(this.#backOff.remaining(monotonicNow()), wait);
    return new Refusal("keys_unavailable", this.#diagnosis(kid), Math.max(Math.ceil(longest / 1000), 1));
  }

  #diagnosis(kid: string | undefined): Refusal["details"] {
    return {
      jwksUrl: this.url,
      kids: this.#current?.keys.kids ?? [],
      ...(kid !== undefined && { kid: logText(kid) }),
      ...(this.#current && { keySetAge: Math.round(this.#age()) }),
      ...(this.#lastError !== null && { reason: this.#lastError }),
    };
  }

  #age(): number {
    return this.#current ? ageOf(this.#current) : Infinity;
  }
}

/** Whether the first is good, or else the second. */
async function eitherOf(first: Promise<boolean>, second: Promise<boolean>): Promise<boolean> {
  return (await first) || second;
}
