/**
 * The key set behind a JWKS URL: cached, shared, refreshed in the background, and kept while its endpoint is down.
 *
 * What the set's age decides, from left to right:
 *
 *     no set ──fetch──▶ fresh ──#refreshAge──▶ due ──cacheMaxAge──▶ stale ──staleIfErrorDuration──▶ no set
 *
 * - no set: a request waits for a fetch. While the back-off runs, it gets a 503 at once.
 * - fresh: the set serves at once.
 * - due: the set serves at once, and one refresh runs in the background.
 * - stale: a request waits for a refresh. Once an attempt has failed, the set serves at once, and retries run in the
 *   background.
 *
 * A good answer makes the set fresh. A failed one leaves the set alone and starts the back-off. A `kid` that the set does not
 * have starts at most one fetch in each `cooldownDuration`, and the answer to that fetch decides.
 */

import { IntrinsicPromise, monotonicNow } from "../../runtime/captured-globals.js";
import { logText } from "../../protocol/log-text.js";
import { requestsMaySharePromises } from "../../runtime/shared-promises.js";
import { withDeadline } from "../../runtime/thenable.js";
import { Refusal, toVerifierError } from "../outcome/errors.js";
import { BackOff } from "./back-off.js";
import type { Fetch } from "../../runtime/fetch.js";
import { fetchJwks } from "./jwks-fetch.js";
import { JwksWarnings } from "./jwks-warnings.js";
import { readStoredKeySet, writeStoredKeySet, type JwksStore } from "./jwks-store.js";
import type { InternalJwksResolver, JwksStatus } from "./jwks-resolver.js";
import { SILENT_ASKER, type KeyAsker } from "./key-asker.js";
import type { KeySet, TrustedKey } from "./key-set.js";
import { SingleRefresh } from "./single-refresh.js";

/** Durations in ms; see `JwksOptions`. */
export interface RemoteJwksSettings {
  readonly cacheMaxAge: number;
  readonly cooldownDuration: number;
  readonly timeoutDuration: number;
  readonly staleIfErrorDuration: number;
  readonly fetch: Fetch | undefined;
  readonly store: JwksStore | undefined;
}

/** ms that a refresh waits for the store before it asks the endpoint as well. */
const STORE_HEAD_START = 100;
/** ms after which the store's answer no longer counts. */
const STORE_TIMEOUT = 2_000;
/**
 * How much newer a stored set must be, because the clock of the process that wrote it may be ahead: this many ms, or this share
 * of `cacheMaxAge` where that is less. The share is below a half, because the other processes refresh from half the age on.
 */
const LONGEST_CLOCK_DIFFERENCE = 60_000;
const CLOCK_DIFFERENCE_SHARE = 0.4;

/** ms by which a deadline is late only if the process stood still, as a serverless one does between two requests. */
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

/** ms by the clock that has gone further: neither a suspended machine nor a clock set back makes a set younger. */
function ageOf({ askedAt, fetchedAt }: Moment): number {
  return Math.max(monotonicNow() - askedAt, Date.now() - fetchedAt);
}

export class RemoteJwks implements InternalJwksResolver {
  readonly url: string;
  readonly #settings: RemoteJwksSettings;
  readonly #backOff = new BackOff();
  #current: DatedKeySet | undefined;
  /** ms of age from which the current set is refreshed in the background. */
  #refreshAge = 0;
  readonly #refreshes: SingleRefresh;
  readonly #warnings = new JwksWarnings();
  /** Fetches are counted from 1. The count tells whether an answer was asked for before or after a token came. */
  #fetchesStarted = 0;
  /** The number of the newest fetch with a good answer. */
  #lastGoodFetch = 0;
  /** When an unknown `kid` last started a fetch, and the number of that fetch. */
  // Stryker disable next-line ObjectLiteral: a window without a beginning is over, too
  #unknownKidWindow = { openedAt: -Infinity, fetchNumber: 0 };
  #lastError: string | null = null;
  /** Whether the process stood still during the last fetch. Its failure then says nothing about the endpoint. */
  #stoodStill = false;

  constructor(url: string, settings: RemoteJwksSettings) {
    this.url = url;
    this.#settings = settings;
    this.#refreshes = new SingleRefresh(settings.timeoutDuration);
  }

  customFetch(): Fetch | undefined {
    return this.#settings.fetch;
  }

  /** The key for a `kid`: without a promise wherever the request need not wait. */
  key(kid: string, asker: KeyAsker): TrustedKey | Refusal | Promise<TrustedKey | Refusal> {
    const age = this.#age();
    const set = this.#mayServe(age) ? this.#current : undefined;
    const fetchesWhenAsked = this.#fetchesStarted;
    if (set === undefined) return this.#keyAfterRefresh(kid, fetchesWhenAsked, asker);
    const isDue = age >= this.#refreshAge && this.#backOff.remaining(monotonicNow()) === 0;
    const needsRefresh = isDue && !this.#refreshInBackground(asker);
    if (age >= this.#settings.cacheMaxAge) {
      if (!this.#backOff.failing || needsRefresh) return this.#keyAfterRefresh(kid, fetchesWhenAsked, asker);
      this.#warnOfStaleSet(age, asker);
    }
    return (
      set.keys.byKid.get(kid) ??
      this.#refusalInWindow(kid, asker) ??
      this.#keyForUnknownKid(kid, fetchesWhenAsked, asker)
    );
  }

  trusts(key: TrustedKey): boolean {
    // Stryker disable next-line OptionalChaining: a key comes from a set, so there is one
    return this.#current?.keys.byKid.get(key.kid) === key;
  }

  async ready(): Promise<void> {
    if (this.#age() < this.#settings.cacheMaxAge) return;
    const lastGoodFetchWhenAsked = this.#lastGoodFetch;
    await this.#refreshAndWait();
    if (this.#setFetchedAfter(lastGoodFetchWhenAsked) === undefined) {
      throw toVerifierError(this.#unavailable(SILENT_ASKER));
    }
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

  #age(): number {
    return this.#current ? ageOf(this.#current) : Infinity;
  }

  /** Whether a set of this age may serve, if only because its endpoint fails. */
  #mayServe(age: number): boolean {
    const { cacheMaxAge, staleIfErrorDuration } = this.#settings;
    return age < cacheMaxAge + staleIfErrorDuration;
  }

  /**
   * The set for a request that has waited: one that a later fetch brought, however old it is by now, because the endpoint may
   * be slow and `cacheMaxAge` short; or else one that may serve by its age.
   */
  #setFetchedAfter(fetchNumber: number): DatedKeySet | undefined {
    return this.#lastGoodFetch > fetchNumber || this.#mayServe(this.#age()) ? this.#current : undefined;
  }

  async #keyAfterRefresh(kid: string, fetchesWhenAsked: number, asker: KeyAsker): Promise<TrustedKey | Refusal> {
    const lastGoodFetchWhenAsked = this.#lastGoodFetch;
    const isBackingOff = this.#backOff.remaining(monotonicNow()) > 0;
    if (!this.#refreshes.isRunning && isBackingOff) return this.#unavailable(asker, kid);
    await this.#refreshAndWait();
    const set = this.#setFetchedAfter(lastGoodFetchWhenAsked);
    if (set === undefined) return this.#unavailable(asker, kid);
    return set.keys.byKid.get(kid) ?? this.#keyForUnknownKid(kid, fetchesWhenAsked, asker);
  }

  /** For an unknown `kid` while nothing is under way, and the fetch of this window has been answered without it. */
  #refusalInWindow(kid: string, asker: KeyAsker): Refusal | undefined {
    const { openedAt, fetchNumber } = this.#unknownKidWindow;
    const isOpen = monotonicNow() < openedAt + this.#settings.cooldownDuration;
    const isAnswered = !this.#refreshes.isRunning && this.#lastGoodFetch >= fetchNumber;
    return isOpen && isAnswered ? this.#untrusted(asker, kid) : undefined;
  }

  /**
   * Unknown `kid`s together start one fetch in each window.
   * @param fetchesWhenAsked the fetches that had been started when the token came: the answer to a later one decides
   */
  async #keyForUnknownKid(kid: string, fetchesWhenAsked: number, asker: KeyAsker): Promise<TrustedKey | Refusal> {
    for (;;) {
      await this.#refreshes.shared;
      const set = this.#setFetchedAfter(fetchesWhenAsked);
      if (set === undefined) return this.#unavailable(asker, kid);
      const key = set.keys.byKid.get(kid);
      if (key !== undefined) return key;
      if (this.#lastGoodFetch > fetchesWhenAsked) return this.#untrusted(asker, kid);
      if (this.#refreshes.shared) continue;
      if (this.#refreshes.isRunning) return this.#unavailable(asker, kid); // another request's, which this one cannot join
      const now = monotonicNow();
      const windowRemaining = this.#unknownKidWindow.openedAt + this.#settings.cooldownDuration - now;
      // Stryker disable next-line EqualityOperator: no request comes in the very moment in which the window ends
      if (windowRemaining > 0) {
        const windowHadGoodAnswer = this.#lastGoodFetch >= this.#unknownKidWindow.fetchNumber;
        return windowHadGoodAnswer ? this.#untrusted(asker, kid) : this.#unavailable(asker, kid, windowRemaining);
      }
      if (this.#backOff.remaining(now) > 0) return this.#unavailable(asker, kid);
      this.#unknownKidWindow = { openedAt: Math.floor(now), fetchNumber: this.#fetchesStarted + 1 };
      await this.#refresh({ readStore: false });
    }
  }

  /** Starts a refresh, or joins the one that is running. Never rejects. */
  #refresh({ readStore = true } = {}): Promise<void> {
    return this.#refreshes.run(() => this.#load(readStore));
  }

  /** @returns `false` where nothing may run after the answer: then a request has to wait for a refresh */
  #refreshInBackground({ waitUntil }: KeyAsker): boolean {
    if (this.#refreshes.isRunning) return true;
    if (!requestsMaySharePromises && waitUntil === undefined) return false;
    const refresh = this.#refresh();
    waitUntil?.(refresh);
    return true;
  }

  /** Refreshes for a request that waits, and again where the process stood still meanwhile. Never rejects. */
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
    // Stryker disable next-line ArrowFunction: undefined is no good answer, either
    if (await withDeadline(adopted, STORE_HEAD_START, () => false)) return;
    const fetched = this.#fetch();
    // The first good answer counts, and if one of the two fails, the other is waited for.
    await IntrinsicPromise.race([eitherOf(adopted, fetched), eitherOf(fetched, adopted)]);
  }

  /** @returns whether the answer was good */
  async #fetch(): Promise<boolean> {
    const { fetch, timeoutDuration, store, cacheMaxAge, staleIfErrorDuration } = this.#settings;
    const started: Moment = { askedAt: monotonicNow(), fetchedAt: Date.now() };
    const fetchNumber = ++this.#fetchesStarted;
    const answer = await fetchJwks({ url: this.url, fetch, timeoutDuration, previous: () => this.#current?.keys });
    if ("error" in answer) {
      // Stryker disable next-line EqualityOperator,BooleanLiteral: this fetch is not the good one, and no request waits for it any more
      if (fetchNumber < this.#lastGoodFetch) return false; // a later fetch has found the endpoint well
      // Stryker disable next-line EqualityOperator: no deadline is late by exactly so much
      this.#stoodStill = ageOf(started) > timeoutDuration + STANDSTILL;
      if (this.#stoodStill) {
        // The next unknown `kid` may start a fetch at once.
        if (this.#unknownKidWindow.fetchNumber === fetchNumber) {
          // Stryker disable next-line ObjectLiteral: a window without a beginning is over, too
          this.#unknownKidWindow = { openedAt: -Infinity, fetchNumber };
        }
        // Stryker disable next-line BooleanLiteral: those who wait start another refresh in either case
        return false;
      }
      this.#backOff.failed(monotonicNow(), answer.retryAfter);
      this.#lastError = answer.error;
      return false;
    }
    this.#backOff.succeeded();
    this.#warnings.keysAreBack(this.url);
    this.#stoodStill = false;
    this.#lastError = null;
    this.#lastGoodFetch = Math.max(fetchNumber, this.#lastGoodFetch);
    // Stryker disable next-line BooleanLiteral: the set of the other process has ended this refresh already
    if (started.askedAt < (this.#current?.askedAt ?? -Infinity)) return true; // another process has asked since
    const set: DatedKeySet = { keys: answer.keySet, ...started };
    this.#replaceCurrent(set);
    if (store) {
      const written = writeStoredKeySet(store, this.url, set, cacheMaxAge + staleIfErrorDuration);
      if (!requestsMaySharePromises) await withDeadline(written, STORE_TIMEOUT, () => undefined);
    }
    return true;
  }

  /** @returns whether the store had a fresh set that is newer than the current one */
  async #adoptStored(store: JwksStore): Promise<boolean> {
    const { cacheMaxAge } = this.#settings;
    const read = readStoredKeySet(store, this.url, () => this.#current?.keys);
    const stored = await withDeadline(read, STORE_TIMEOUT, () => undefined);
    if (stored === undefined) return false;
    // A writer whose clock is ahead must not bring a withdrawn key back.
    const newerBy = stored.fetchedAt - (this.#current?.fetchedAt ?? -Infinity);
    if (newerBy <= Math.min(LONGEST_CLOCK_DIFFERENCE, CLOCK_DIFFERENCE_SHARE * cacheMaxAge)) return false;
    const age = Date.now() - stored.fetchedAt;
    this.#replaceCurrent({ ...stored, askedAt: monotonicNow() - age });
    return age < cacheMaxAge;
  }

  /**
   * The processes of a fleet refresh at different ages, so that one of them fetches and the others find its set in the store.
   * The square root makes early ages rare: few processes are then about to refresh while the first one fetches.
   */
  #replaceCurrent(set: DatedKeySet): void {
    const { cacheMaxAge, store } = this.#settings;
    this.#current = set;
    this.#refreshAge = cacheMaxAge * (store ? 0.5 + 0.4 * Math.sqrt(Math.random()) : 0.5);
  }

  #untrusted({ warnings }: KeyAsker, kid: string): Refusal {
    if (warnings) this.#warnings.kidUnknown(this.url, this.#current?.keys.kids ?? []);
    return new Refusal("key_untrusted", this.#diagnosis(kid));
  }

  /** @param wait ms until another attempt makes sense, where that is longer than the back-off */
  #unavailable({ warnings }: KeyAsker, kid?: string, wait = 0): Refusal {
    if (warnings) this.#warnings.keysUnavailable(this.#trouble());
    const longest = Math.max(this.#backOff.remaining(monotonicNow()), wait);
    return new Refusal("keys_unavailable", this.#diagnosis(kid), Math.max(Math.ceil(longest / 1000), 1));
  }

  #warnOfStaleSet(age: number, { warnings }: KeyAsker): void {
    const { cacheMaxAge, staleIfErrorDuration } = this.#settings;
    if (warnings) this.#warnings.staleSetServes(this.#trouble(), cacheMaxAge + staleIfErrorDuration - age);
  }

  #trouble() {
    return { url: this.url, reason: this.#lastError ?? "no answer yet" };
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
}

/** Whether the first is good, or else the second. */
async function eitherOf(first: Promise<boolean>, second: Promise<boolean>): Promise<boolean> {
  return (await first) || second;
}
