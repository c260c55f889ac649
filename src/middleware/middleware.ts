/** The factory of every framework that has middleware on Node's own requests. */

import type { Duplex } from "node:stream";
import type { AgentIdentity } from "../protocol/agent-identity.js";
import type { LoginRestrictions } from "../protocol/login-restrictions.js";
import { createAuthenticator, type AgentIdentityAuthOptions, type Authenticate } from "../verify/authenticator.js";
import type { CredentialsSource } from "../verify/credentials.js";
import type { ErrorFactory } from "../verify/errors.js";
import { identityOrThrow, type Outcome } from "../verify/verdict.js";
import type { Verifier } from "../verify/verifier.js";
import { upgrade } from "./upgrade.js";

/** What both a middleware and its `restrictTo` can do beside being mounted. Credentials are always required. */
export interface Authenticating {
  /**
   * For whatever has no middleware.
   * @throws {AgentIdentityError}
   * @example
   * const identity = await agents.authenticate(req);
   */
  authenticate(req: CredentialsSource): Promise<AgentIdentity>;
  /**
   * For WebSocket upgrades. A refusal is answered on the socket, with its status and headers, and the socket is closed.
   * A socket that its client has reset does no harm.
   * @returns the identity, or `undefined` if there is nothing left to do
   * @example
   * server.on("upgrade", async (req, socket, head) => {
   *   const identity = await agents.upgrade(req, socket);
   *   if (identity) webSockets.handleUpgrade(req, socket, head, (ws) => webSockets.emit("connection", ws, req, identity));
   * });
   */
  upgrade(req: CredentialsSource, socket: Duplex): Promise<AgentIdentity | undefined>;
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
 * @param createHandler makes the framework's own kind of handler
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
    upgrade: (req, socket) => upgrade(authenticate, req, socket, toError),
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
