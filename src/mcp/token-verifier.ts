/** A verifier for the SDK's own gate, which throws the SDK's own errors. */

import type { Authenticate } from "../verify/http/authenticator.js";
import { Refusal, toVerifierError } from "../verify/outcome/errors.js";
import { identityOrThrow, type Outcome } from "../verify/outcome/verdict.js";
import { authInfoOf, type McpAuthInfo } from "./gate.js";

type ErrorClass = new (message: string) => Error;
type OAuthErrorClass = new (code: string, message: string) => Error;

/** The SDK's error classes, which its gate recognises. */
export type McpErrorClasses =
  | {
      /** Of SDK 1. */
      readonly InvalidTokenError: ErrorClass;
      /** Of SDK 1. */
      readonly InsufficientScopeError: ErrorClass;
      /** Of SDK 1. */
      readonly ServerError: ErrorClass;
    }
  | {
      /** Of SDK 2. */
      readonly OAuthError: OAuthErrorClass;
    };

/** The SDK's `OAuthTokenVerifier`. */
export interface McpTokenVerifier {
  /**
   * Verifies a token. `expiresAt` includes the clock tolerance, because the SDK's gate allows none.
   * @throws the class that was passed for `invalid_token`, `insufficient_scope` or `server_error`
   */
  verifyAccessToken(token: string): Promise<McpAuthInfo>;
}

/** @throws TypeError for classes of neither SDK */
export function createTokenVerifier(
  authenticate: Authenticate<Outcome>,
  resource: URL,
  classes: McpErrorClasses,
  clockTolerance = 60,
): McpTokenVerifier {
  const createError = errorsOf(classes);
  return {
    async verifyAccessToken(token) {
      const outcome = await authenticate({ headers: { authorization: `Bearer ${token}` } });
      if (outcome instanceof Refusal) {
        const { status, message } = toVerifierError(outcome);
        throw createError(
          status === 503 ? "server_error" : status === 403 ? "insufficient_scope" : "invalid_token",
          message,
        );
      }
      const identity = identityOrThrow(outcome, toVerifierError);
      return authInfoOf(identity, resource, identity.expiresAt + clockTolerance);
    },
  };
}

type ErrorCode = "invalid_token" | "insufficient_scope" | "server_error";

function errorsOf(classes: McpErrorClasses): (code: ErrorCode, message: string) => Error {
  const given = Object(classes) as Partial<Record<string, unknown>>;
  if (typeof given["OAuthError"] === "function") {
    const { OAuthError } = classes as Extract<McpErrorClasses, { OAuthError: unknown }>;
    return (code, message) => new OAuthError(code, message);
  }
  const names = {
    invalid_token: "InvalidTokenError",
    insufficient_scope: "InsufficientScopeError",
    server_error: "ServerError",
  } as const;
  if (Object.values(names).some((name) => typeof given[name] !== "function")) {
    throw new TypeError(
      "tokenVerifier takes { InvalidTokenError, InsufficientScopeError, ServerError } of SDK 1, or { OAuthError } of SDK 2",
    );
  }
  return (code, message) => new (given[names[code]] as ErrorClass)(message);
}
