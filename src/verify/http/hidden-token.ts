/**
 * Takes the token out of a request, because the token holds the agent's private key, and handlers, access logs, error
 * trackers and proxies copy headers.
 */

import { findAuthorization, type CredentialsSource } from "./request-headers.js";
import { placeholderOf } from "../tokens/token-placeholder.js";
import { PrivateField } from "../../runtime/private-field.js";

type Headers = CredentialsSource["headers"];

/** The received header, kept on the headers object for later mounts on the same request. */
class KeptAuthorization extends PrivateField {
  #authorization: string | undefined;
  #placeholder: string;

  private constructor(headers: Headers, authorization: string | undefined, placeholder: string) {
    super(headers);
    this.#authorization = authorization;
    this.#placeholder = placeholder;
  }

  static keep(headers: Headers, authorization: string | undefined, placeholder: string): void {
    if (#placeholder in headers) {
      headers.#authorization = authorization;
      headers.#placeholder = placeholder;
    } else {
      new KeptAuthorization(headers, authorization, placeholder);
    }
  }

  /** The kept header counts only while its placeholder stands, because other code may have set the header since. */
  static of(headers: Headers, current: string | undefined): string | undefined {
    return #placeholder in headers && headers.#placeholder === current ? headers.#authorization : current;
  }
}

/** The `Authorization` header as it was received. */
export function receivedAuthorization(headers: Headers): string | undefined {
  const current = Object.hasOwn(headers, "authorization") ? headers.authorization : undefined;
  return KeptAuthorization.of(headers, current);
}

/**
 * @param digest SHA-256 of the token, in hexadecimal
 * @throws Error where the headers cannot be changed
 */
export function hideToken({ headers, rawHeaders = [] }: CredentialsSource, digest: string): void {
  const { authorization } = headers;
  const placeholder = `Bearer ${placeholderOf(digest)}`;
  if (authorization === placeholder) return; // an earlier mount has hidden it
  try {
    (headers as { authorization: string }).authorization = placeholder;
    hideRaw(rawHeaders as string[], placeholder);
  } catch {
    throw unchangeable();
  }
  if (headers.authorization !== placeholder) throw unchangeable();
  KeptAuthorization.keep(headers, authorization, placeholder);
}

function hideRaw(rawHeaders: string[], placeholder: string): void {
  for (let i = findAuthorization(rawHeaders); i >= 0; i = findAuthorization(rawHeaders, i + 2)) {
    rawHeaders[i + 1] = placeholder;
  }
}

function unchangeable(): Error {
  return new Error("the request's headers cannot be changed, so the token cannot be hidden: set keepCredentials: true");
}
