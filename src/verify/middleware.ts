/** The factory of every framework that has middleware. */

import type { AgentIdentity } from "../protocol/agent-identity.js";
import type { LoginRestrictions } from "../protocol/login-restrictions.js";
import { createAuthenticator, type AgentIdentityAuthOptions, type Authenticate } from "./authenticator.js";
import type { CredentialsSource } from "./credentials.js";
import type { ErrorFactory } from "./errors.js";
import { identityOrThrow, type Outcome } from "./outcome.js";
import type { Verifier } from "./verifier.js";

/** What both a middleware and its `restrictTo` can do beside being mounted. */
export interface Authenticating {
  /**
   * For WebSocket upgrades and whatever else has no middleware. Credentials are always required.
   * @throws {AgentIdentityError}
   */
  authenticate(req: CredentialsSource): Promise<AgentIdentity>;
}

/** What a middleware carries beside being one. */
export interface MiddlewareMembers<Handler> extends Authenticating {
  /**
   * Authenticates and applies login restrictions, against the same base URL. It never trusts an identity it finds.
   * @throws TypeError if nothing is restricted: `{}`, an unset environment variable, an empty list
   */
  restrictTo(restrictions: LoginRestrictions): Handler & Authenticating;
  /** The core without a framework, with the same base URL and options. */
  readonly verifier: Verifier;
}

/**
 * @param createHandler makes what takes one request through the framework, as the verdict on it says
 * @throws TypeError that names the fix
 */
export function createMiddleware<Handler extends object>(
  baseUrl: string,
  options: AgentIdentityAuthOptions | undefined,
  createHandler: (authenticate: Authenticate, toError: ErrorFactory) => Handler,
): Handler & MiddlewareMembers<Handler> {
  const authenticator = createAuthenticator(baseUrl, options);
  const { verifier, toError, authenticateAsConfigured } = authenticator;
  const authenticating = (authenticate: Authenticate<Outcome>): Authenticating => ({
    authenticate: async (req) => identityOrThrow(await authenticate(req), toError),
  });
  return Object.assign(createHandler(authenticateAsConfigured, toError), {
    ...authenticating(authenticator.authenticate),
    restrictTo(restrictions: LoginRestrictions) {
      const restricted = authenticator.restrictTo(restrictions);
      return Object.assign(createHandler(restricted, toError), authenticating(restricted));
    },
    verifier,
  });
}
