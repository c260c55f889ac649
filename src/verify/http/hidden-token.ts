/**
 * Takes the token out of a request, because the token holds the agent's private key, and handlers, access logs, error
 * trackers and proxies copy headers.
 */

import { findAuthorization, type CredentialsSource } from "./request-headers.js";
import { placeholderOf } from "../tokens/token-placeholder.js";
import { PrivateField } from "../../runtime/private-field.js";

type Headers = CredentialsSource["headers"];

interface Kept {
  /** As it was received. */
  readonly authorization: string | undefined;
  /** Other code may have set the header since: the kept one counts only while this stands in the request. */
  readonly placeholder: string;
}

/** Keeps the received header on the headers object, for later mounts on the same request. */
class KeptAuthorization extends PrivateField {
  #kept: Kept;

  private constructor(headers: Headers, kept: Kept) {
    super(headers);
    this.#kept = kept;
  }

  static keep(headers: Headers, kept: Kept): void {
    if (#kept in headers) headers.#kept = kept;
    else new KeptAuthorization(headers, kept);
  }

  static of(headers: Headers): Kept | undefined {
    return #kept in headers ? headers.#kept : undefined;
  }
}

/** The `Authorization` header as it was received. */
export function receivedAuthorization(headers: Headers): string | undefined {
  const current = Object.hasOwn(headers, "authorization") ? headers.authorization : undefined;
  const kept = KeptAuthorization.of(headers);
  return kept !== undefined && kept.placeholder === current ? kept.authorization : current;
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
  KeptAuthorization.keep(headers, { authorization, placeholder });
}

function hideRaw(rawHeaders: string[], placeholder: string): void {
  for (let i = findAuthorization(rawHeaders); i >= 0; i = findAuthorization(rawHeaders, i + 2)) {
    rawHeaders[i + 1] = placeholder;
  }
}

function unchangeable(): Error {
  return new Error("the request's headers cannot be changed, so the token cannot be hidden: set keepCredentials: true");
}
