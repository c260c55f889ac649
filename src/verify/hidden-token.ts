/**
 * Takes the token out of a request. It holds the agent's private key, and handlers, access logs, error trackers and proxies
 * copy headers. A placeholder stands for it that differs by token, so that caches and rate limits which go by the header
 * do not take one agent for another.
 */

import { findAuthorization, type CredentialsSource } from "./request-headers.js";
import { PrivateField } from "./private-field.js";

type Headers = CredentialsSource["headers"];

/** What the header was, kept on the headers themselves for later mounts on the same request. */
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

  /** What was kept counts only while its placeholder stands: other code may have set the header since. */
  static of(headers: Headers, current: string | undefined): string | undefined {
    return #placeholder in headers && headers.#placeholder === current ? headers.#authorization : current;
  }
}

/** The `Authorization` header as it was received. */
export function receivedAuthorization(headers: Headers): string | undefined {
  const current = Object.hasOwn(headers, "authorization") ? headers.authorization : undefined;
  return KeptAuthorization.of(headers, current);
}

const PLACEHOLDER = "hidden.";

/** Whether what stands in place of a token says that this package, or another copy of it, has hidden the token. */
export function isPlaceholder(token: string): boolean {
  return token.startsWith(PLACEHOLDER);
}

/**
 * @param digest SHA-256 of the token, in hexadecimal
 * @throws Error where the headers cannot be changed
 */
export function hideToken({ headers, rawHeaders = [] }: CredentialsSource, digest: string): void {
  const { authorization } = headers;
  const placeholder = `Bearer ${PLACEHOLDER}${digest.slice(0, 16)}`;
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
