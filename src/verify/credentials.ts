/** Reads the `Authorization` header (RFC 9110 §11.4, RFC 6750 §2.1). Header only: never the query or the body. */

import { Refusal } from "./errors.js";

/** What the credentials are read from; `IncomingMessage` is one. */
export interface CredentialsSource {
  readonly headers: { readonly authorization?: string | undefined };
  /** Names and values in turn, as received. Node keeps one of two `Authorization` headers: only here are both. */
  readonly rawHeaders?: readonly string[];
}

const BEARER_TOKEN = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;
const BEARER = /^bearer(?![!#$%&'*+.^_`|~\w-])/i;

export function readBearerToken({ headers, rawHeaders }: CredentialsSource): string | Refusal {
  const { authorization } = headers;
  if (rawHeaders !== undefined && countAuthorizationHeaders(rawHeaders) > 1) return new Refusal("request_malformed");
  if (authorization === undefined || authorization.trim() === "") return new Refusal("credentials_missing");
  const token = BEARER_TOKEN.exec(authorization)?.[1];
  return token ?? new Refusal(BEARER.test(authorization) ? "request_malformed" : "scheme_unsupported");
}

function countAuthorizationHeaders(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === "authorization".length && name.toLowerCase() === "authorization") count++;
  }
  return count;
}
