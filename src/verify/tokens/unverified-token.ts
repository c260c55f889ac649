/** Checks of a token before a key is looked up: shape, header and claims. Nothing that they read is trusted yet. */

import {
  decodeBase64urlJsonObject,
  decodeCanonicalBase64url,
  parseUtf8Json,
  toJsonObject,
  type JsonObject,
} from "../../protocol/encoding.js";
import { findClaimFailure, type AgentIdentityClaims, type ClaimExpectations } from "../../protocol/claims.js";
import { Refusal } from "../outcome/errors.js";

/** In characters, which are all ASCII. */
export const MAX_TOKEN_LENGTH = 16 * 1024;
export const MAX_KID_LENGTH = 256;

export interface UnverifiedToken {
  readonly unverifiedKid: string;
  readonly unverifiedClaims: AgentIdentityClaims;
}

/** @param now whole seconds since the epoch */
export function decodeUnverifiedToken(
  token: string,
  expected: ClaimExpectations,
  now: number,
): UnverifiedToken | Refusal {
  const [header, payload] = decodeShape(token) ?? [];
  if (header === undefined || payload === undefined) return new Refusal("token_malformed");

  if (header["alg"] !== "RS256") return new Refusal("algorithm_not_allowed");
  const kid = header["kid"];
  if (!isKid(kid) || hasExtensions(header)) return new Refusal("token_malformed");

  const failure = findClaimFailure(payload, expected, now);
  if (failure !== undefined) return new Refusal(failure);
  return { unverifiedKid: kid, unverifiedClaims: payload as unknown as AgentIdentityClaims };
}

export function isKid(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_KID_LENGTH;
}

/** RFC 7515 §4.1.11: a recipient refuses extensions that it does not understand, and this package understands none. */
export function hasExtensions(header: JsonObject): boolean {
  return "crit" in header || header["b64"] === false;
}

/**
 * Whether a header holds an agent's token, and with it a private key, in a wrong form: without a scheme, with a character too
 * many, two tokens at once.
 */
export function holdsAgentToken(authorization: string, { issuer, audience }: ClaimExpectations): boolean {
  if (authorization.length > 2 * MAX_TOKEN_LENGTH) return false;
  return authorization.split(".", 8).some((part) => {
    if (!part.startsWith("e")) return false; // "{" in base64url begins with "e"
    try {
      const claims = toJsonObject(parseUtf8Json(Buffer.from(part, "base64url")));
      return claims?.["iss"] === issuer && claims["aud"] === audience;
    } catch {
      return false;
    }
  });
}

/** The header and the payload of three well-formed parts. */
export function decodeShape(token: string): [header: JsonObject, payload: JsonObject] | undefined {
  const { 0: header, 1: payload, 2: signature, length } = token.split(".", 4);
  if (length !== 3 || !header || !payload || !signature) return undefined;
  if (decodeCanonicalBase64url(signature) === undefined) return undefined;
  const headerObject = decodeHeader(header);
  const payloadObject = headerObject && decodeBase64urlJsonObject(payload);
  return payloadObject && [headerObject, payloadObject];
}

/** Tokens of one key have the same header, so the last header is remembered. */
let lastHeader: { part: string; object: JsonObject | undefined } = { part: "", object: undefined };

function decodeHeader(part: string): JsonObject | undefined {
  if (part !== lastHeader.part) lastHeader = { part: copyOf(part), object: decodeBase64urlJsonObject(part) };
  return lastHeader.object;
}

/** In the engine, a part of a string keeps the whole string alive, here the token with the agent's private key. */
function copyOf(part: string): string {
  return Buffer.from(part).toString();
}
