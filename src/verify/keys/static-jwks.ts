/** A key set that was given as an object: it needs no network. */

import { IntrinsicPromise } from "../../runtime/captured-globals.js";
import { logText } from "../../protocol/log-text.js";
import { Refusal } from "../outcome/errors.js";
import { parseKeySet, type KeySet, type TrustedKey } from "./key-set.js";
import type { JwksStatus, InternalJwksResolver } from "./jwks-resolver.js";

export class StaticJwks implements InternalJwksResolver {
  readonly url: string;
  readonly #keys: KeySet;

  /** @throws TypeError */
  constructor(url: string, jwks: unknown) {
    const keys = parseKeySet(jwks);
    if (typeof keys === "string") {
      throw new TypeError(`keySet must be a JWKS ({ keys: [...] }) with at least one usable RSA key; this is ${keys}`);
    }
    this.url = url;
    this.#keys = keys;
  }

  key(kid: string): TrustedKey | Refusal {
    return this.#keys.byKid.get(kid) ?? new Refusal("key_untrusted", { kid: logText(kid), kids: this.#keys.kids });
  }

  trusts(key: TrustedKey): boolean {
    return this.#keys.byKid.get(key.kid) === key;
  }

  ready(): Promise<void> {
    return IntrinsicPromise.resolve();
  }

  status(): JwksStatus {
    return { url: this.url, kids: this.#keys.kids, fetchedAt: null, stale: false, lastError: null };
  }
}
