/** Reads the `Authorization` header (RFC 9110 §11.4, RFC 6750 §2.1), and never the query or the body. */

import { forgetLastMatch } from "../../runtime/last-match.js";
import { Refusal } from "../outcome/errors.js";
import { receivedAuthorization } from "./hidden-token.js";
import { findAuthorization, type CredentialsSource } from "./request-headers.js";

/**
 * The credentials of a `Request`. Its `Headers` join two headers of one name with a comma. No b64token contains a comma, so two
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
  const authorization = read("authorization");
  const other = authorization === undefined ? RUNTIME_ASSERTION_HEADER : ACCOUNT_HEADER;
  return { headers: { authorization, [other]: read(other) } };
}

/**
 * A copy of a request without its `Authorization` header, for an upstream, a handler or a log. The body moves to the copy.
 * @example
 * export default { fetch: agents.protect((request) => fetch(withoutCredentials(request))) };
 */
export function withoutCredentials(request: Request): Request {
  const copy = new Request(request);
  copy.headers.delete("authorization");
  return copy;
}

/** All `Authorization` headers of the request. Node keeps only one of two in `headers`. */
// Stryker disable next-line ArrayDeclaration: a default list with another name in it has no `Authorization` either
export function authorizationTexts({ headers, rawHeaders = [] }: CredentialsSource): string[] {
  const texts = [receivedAuthorization(headers) ?? ""];
  for (let i = findAuthorization(rawHeaders); i >= 0; i = findAuthorization(rawHeaders, i + 2)) {
    texts.push(rawHeaders[i + 1] ?? "");
  }
  return texts;
}

/** Codex sends it beside an AgentAssertion. */
const ACCOUNT_HEADER = "chatgpt-account-id";

export function accountIdOf({ headers }: CredentialsSource): string | string[] | undefined {
  return Object.hasOwn(headers, ACCOUNT_HEADER) ? headers[ACCOUNT_HEADER] : undefined;
}

/** In it, the newest Codex clients send another form of assertion to OpenAI's own backends. */
const RUNTIME_ASSERTION_HEADER = "x-openai-agent-assertion";

const RUNTIME_ASSERTION = { reason: "runtime assertion" };

/** What a request without credentials has in their place: nothing, or the header of a runtime assertion. */
export function refusalWithoutCredentials({ headers }: CredentialsSource): Refusal | undefined {
  const isSent = Object.hasOwn(headers, RUNTIME_ASSERTION_HEADER) && headers[RUNTIME_ASSERTION_HEADER];
  return isSent ? new Refusal("scheme_unsupported", RUNTIME_ASSERTION) : undefined;
}

export type Scheme = "Bearer" | "AgentAssertion";

export interface Credentials {
  readonly scheme: Scheme;
  /** The text after the scheme, not yet checked by `isB64token`. */
  readonly value: string;
}

const SCHEME = /^[!#$%&'*+.^_`|~\w-]*/;
const B64TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** @param schemes the accepted ones */
export function readCredentials(
  { headers, rawHeaders }: CredentialsSource,
  schemes: readonly Scheme[],
): Credentials | Refusal {
  const authorization = receivedAuthorization(headers);
  if (rawHeaders !== undefined && hasTwo(rawHeaders)) return new Refusal("request_malformed");
  if (authorization === undefined) return new Refusal("credentials_missing");
  if (typeof (authorization as unknown) !== "string") {
    throw new TypeError("headers.authorization is not a string: pass the request's headers as Node gives them");
  }
  const scheme = schemes.find((scheme) => isOfScheme(authorization, scheme));
  if (scheme === undefined) return refusalOf(authorization, schemes);
  let start = scheme.length;
  while (authorization[start] === " ") start++;
  const value = authorization.slice(start);
  // A JWS after its version, where our form has base64url alone.
  if (scheme === "AgentAssertion" && value.startsWith("1."))
    return new Refusal("scheme_unsupported", RUNTIME_ASSERTION);
  return { scheme, value };
}

/** Whether the scheme stands before the first space. A regular expression would double the cost of `readCredentials`. */
function isOfScheme(authorization: string, scheme: Scheme): boolean {
  if (authorization[scheme.length] !== " ") return false;
  // Stryker disable next-line MethodExpression: the second half alone is right as well, and takes longer
  return authorization.startsWith(scheme) || isSameScheme(authorization.slice(0, scheme.length), scheme);
}

const isSameScheme = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

/**
 * Whether the grammar allows this text after a scheme. Only refused credentials are checked, because the check costs as much
 * as the rest of a cache hit, and every verified token is a b64token.
 */
export function isB64token(value: string): boolean {
  const isMatch = B64TOKEN.test(value);
  forgetLastMatch();
  return isMatch;
}

function hasTwo(rawHeaders: readonly string[]): boolean {
  const first = findAuthorization(rawHeaders);
  return first !== -1 && findAuthorization(rawHeaders, first + 2) !== -1;
}

/** For a value that does not begin with an accepted scheme and a space. */
function refusalOf(authorization: string, schemes: readonly Scheme[]): Refusal {
  if (/^[ \t]*$/.test(authorization)) return new Refusal("credentials_missing");
  // Stryker disable next-line OptionalChaining,StringLiteral: the expression matches every text, if only its empty start
  const scheme = SCHEME.exec(authorization)?.[0] ?? "";
  const isRuntimeAssertion = /^AgentAssertion +1\./i.test(authorization);
  forgetLastMatch(); // the text may be a token without a scheme
  if (schemes.some((accepted) => isSameScheme(accepted, scheme))) return new Refusal("request_malformed");
  return new Refusal("scheme_unsupported", isRuntimeAssertion ? RUNTIME_ASSERTION : undefined);
}
