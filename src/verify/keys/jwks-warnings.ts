/** Tells the operator of trouble with the keys: once, and never per request. */

import { warn } from "../../runtime/warn.js";

/** What a warning says. Nothing of a request is in it. */
interface Trouble {
  readonly url: string;
  /** Why the last fetch failed. */
  readonly reason: string;
}

/** How many keys a warning names. */
const NAMED_KIDS = 8;

export class JwksWarnings {
  #isOutage = false;
  #isStale = false;
  /** The kids of the set that the last warning was about. */
  #toldOfKids = "";

  keysUnavailable({ url, reason }: Trouble): void {
    if (this.#isOutage) return;
    this.#isOutage = true;
    warn(
      `there are no keys from ${url} (${reason}), so requests are answered with 503. Check the base URL, and whether this server can reach it`,
    );
  }

  /** @param remaining ms for which the set may still serve */
  staleSetServes({ url, reason }: Trouble, remaining: number): void {
    if (this.#isStale) return;
    this.#isStale = true;
    warn(
      `the keys of ${url} cannot be refreshed (${reason}). The last set serves for ${Math.ceil(remaining / 60_000)} more minutes; after that, requests are answered with 503`,
    );
  }

  keysAreBack(url: string): void {
    if (this.#isOutage || this.#isStale) warn(`the keys of ${url} are back`);
    this.#isOutage = this.#isStale = false;
  }

  /** @param kids of the set: each set is told of once */
  kidUnknown(url: string, kids: readonly string[]): void {
    if (this.#toldOfKids === kids.join()) return;
    this.#toldOfKids = kids.join();
    const more = kids.length > NAMED_KIDS ? ` and ${kids.length - NAMED_KIDS} more` : "";
    warn(
      `a token was refused because ${url} does not have its key. It has ${kids.slice(0, NAMED_KIDS).join(", ")}${more}. Compare the base URL with the backend that issues the tokens`,
    );
  }
}
