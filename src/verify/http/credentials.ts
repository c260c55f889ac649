/** Reads the `Authorization` header (RFC 9110 §11.4, RFC 6750 §2.1). Header only: never the query or the body. */

import { forgetLastMatch } from "../../runtime/last-match.js";
import { Refusal, type AgentIdentityErrorCode } from "../outcome/errors.js";
import { receivedAuthorization } from "./hidden-token.js";
import { findAuthorization, type CredentialsSource } from "./request-headers.js";

/**
 * The credentials of a `Request`. Its `Headers` join two of a name by a comma, which no b64token contains: two
 * `Authorization` headers are refused here too.
 */
export function credentialsOfRequest(request: { readonly headers: Pick<Headers, "get"> }): CredentialsSource {
  const { headers } = Object(request) as { headers: Pick<Headers, "get"> };
  if (typeof (Object(headers) as { get?: unknown }).get !== "function") {
    throw new TypeError(
      "this is not a fetch Request: for Node's own requests, take agentIdentityAuth of agent-identity-auth",
    );
  }
  const read = (name: string) => headers.get(name) ?? undefined;
  return { headers: { authorization: read("authorization"), [ACCOUNT_HEADER]: read(ACCOUNT_HEADER) } };
}

/** Each `Authorization` header that was received: where there are two, Node keeps one of them in `headers`. */
export function authorizationTexts({ headers, rawHeaders = [] }: CredentialsSource): string[] {
  const texts = [receivedAuthorization(headers) ?? ""];
  for (let i = findAuthorization(rawHeaders); i >= 0; i = findAuthorization(rawHeaders, i + 2)) {
    texts.push(rawHeaders[i + 1] ?? "");
  }
  return texts;
}

/** Sent by Codex beside an AgentAssertion. */
const ACCOUNT_HEADER = "chatgpt-account-id";

export function accountIdOf({ headers }: CredentialsSource): string | string[] | undefined {
  return Object.hasOwn(headers, ACCOUNT_HEADER) ? headers[ACCOUNT_HEADER] : undefined;
}

export type Scheme = "Bearer" | "AgentAssertion";

export interface Credentials {
  readonly scheme: Scheme;
  /** Whatever comes after the scheme: see `isB64token`. */
  readonly value: string;
}

const SCHEME = /^[!#$%&'*+.^_`|~\w-]*/;
const B64TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** @param schemes those that are accepted, by their name in lower case */
export function readCredentials(
  { headers, rawHeaders }: CredentialsSource,
  schemes: ReadonlyMap<string, Scheme>,
): Credentials | Refusal {
  const authorization = receivedAuthorization(headers);
  if (rawHeaders !== undefined && hasTwo(rawHeaders)) return new Refusal("request_malformed");
  if (authorization === undefined) return new Refusal("credentials_missing");
  if (typeof (authorization as unknown) !== "string") {
    throw new TypeError("headers.authorization is not a string: pass the request's headers as Node gives them");
  }
  // What is accepted ends at the first space. A regular expression here would cost as much as all the rest of this.
  const end = authorization.indexOf(" ");
  const scheme = schemes.get(authorization.slice(0, Math.max(end, 0)).toLowerCase());
  if (scheme === undefined) return new Refusal(failureWithoutCredentials(authorization, schemes));
  let start = end;
  while (authorization[start] === " ") start++;
  return { scheme, value: authorization.slice(start) };
}

/**
 * Whether it is what the grammar allows after a scheme. To be asked once something is found wrong: it takes as long as
 * all the rest of a cache hit, and what was verified is a b64token.
 */
export function isB64token(value: string): boolean {
  const isMatch = B64TOKEN.test(value);
  forgetLastMatch();
  return isMatch;
}

function hasTwo(rawHeaders: readonly string[]): boolean {
  const first = findAuthorization(rawHeaders);
  return first >= 0 && findAuthorization(rawHeaders, first + 2) >= 0;
}

/** Of a value that does not begin with an accepted scheme and a space. */
function failureWithoutCredentials(
  authorization: string,
  schemes: ReadonlyMap<string, Scheme>,
): AgentIdentityErrorCode {
  if (/^[ \t]*$/.test(authorization)) return "credentials_missing";
  const scheme = SCHEME.exec(authorization)?.[0] ?? "";
  forgetLastMatch(); // a token without a scheme matches too
  return schemes.has(scheme.toLowerCase()) ? "request_malformed" : "scheme_unsupported";
}
