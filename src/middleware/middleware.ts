/** The factory of every framework that has middleware on Node's own requests. */

import type { Duplex } from "node:stream";
import type { AgentIdentity } from "../protocol/agent-identity.js";
import type { LoginRestrictions } from "../protocol/login-restrictions.js";
import {
  createAuthenticator,
  type AgentIdentityAuthOptions,
  type Authenticate,
  type IdentityRule,
} from "../verify/http/authenticator.js";
import { requireNodeRequest, type CredentialsSource } from "../verify/http/request-headers.js";
import type { ErrorFactory } from "../verify/outcome/errors.js";
import { hideToken } from "../verify/http/hidden-token.js";
import { identityOrThrow, type Outcome } from "../verify/outcome/verdict.js";
import type { Verifier } from "../verify/tokens/create-verifier.js";
import { toHttpError } from "./http-error.js";
import { upgrade } from "./upgrade.js";

/** Members of a middleware, and of what its `restrictTo` and `require` return. They always require credentials. */
export interface Authenticating {
  /**
   * For frameworks without middleware. The token leaves the headers that it is given: see `keepCredentials`.
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

/** The members of a middleware. */
export interface MiddlewareMembers<Handler> extends Authenticating {
  /**
   * Authenticates and applies login restrictions, against the same base URL. It never trusts an identity it finds.
   * @throws TypeError if nothing is restricted: `{}`, an unset environment variable, an empty list
   */
  restrictTo(restrictions: LoginRestrictions): Handler & Authenticating;
  /**
   * Authenticates and applies a rule of yours. Only `true`, or a promise of it, lets a request through; otherwise it is a 403
   * `identity_not_allowed`. What the rule throws goes to the framework unchanged.
   * @throws TypeError if it is not a function
   * @example
   * app.get("/reports", agents.require((identity) => identity.planType === "enterprise"), handler);
   */
  require(rule: IdentityRule): Handler & Authenticating;
  /**
   * Resolves once there is a usable key set: for readiness probes. Short for `agents.verifier.jwks.ready()`.
   * @throws {AgentIdentityError} `keys_unavailable`
   */
  ready(): Promise<void>;
  /** The core without a framework, with the same base URL and options. */
  readonly verifier: Verifier;
}

/**
 * @param createHandler makes the framework's own kind of handler
 * @throws TypeError that names the fix
 */
export function createMiddleware<Handler extends object>(
  baseUrl: string | URL,
  options: AgentIdentityAuthOptions | undefined,
  createHandler: (authenticate: Authenticate, toError: ErrorFactory) => Handler,
): Handler & MiddlewareMembers<Handler> {
  const authenticator = createAuthenticator(baseUrl, options, hideToken);
  const { verifier, authenticateOnMount } = authenticator;
  const toError: ErrorFactory = (refusal) => toHttpError(authenticator.toError(refusal));
  const authenticating = (authenticate: Authenticate<Outcome>): Authenticating => ({
    authenticate(req, ...rest: unknown[]) {
      refuseMounting("authenticate", rest, "mount agents itself, as in app.use(agents)");
      return identityOf(authenticate, req, toError);
    },
    upgrade(req, socket, ...rest: unknown[]) {
      const next = rest.filter((argument) => typeof argument === "function");
      refuseMounting("upgrade", next, "call it in a listener of the server's event upgrade");
      return upgrade(authenticate, req, socket, toError);
    },
  });
  const handlerOf = (authenticate: Authenticate<Outcome>) =>
    Object.assign(createHandler(authenticate, toError), authenticating(authenticate));
  return Object.assign(createHandler(authenticateOnMount, toError), {
    ...authenticating(authenticator.authenticate),
    restrictTo(restrictions: LoginRestrictions, ...rest: unknown[]) {
      refuseMounting("restrictTo", rest, "call it, as in agents.restrictTo({ forcedChatgptWorkspaceId })");
      return handlerOf(authenticator.restrictTo(restrictions));
    },
    require(rule: IdentityRule, ...rest: unknown[]) {
      refuseMounting("require", rest, "call it with a rule, as in agents.require((identity) => …)");
      return handlerOf(authenticator.require(rule));
    },
    ready(...rest: unknown[]) {
      refuseMounting("ready", rest.slice(1), "call it in a handler, as in await agents.ready()");
      return verifier.jwks.ready();
    },
    verifier,
  });
}

async function identityOf(
  authenticate: Authenticate<Outcome>,
  req: CredentialsSource,
  toError: ErrorFactory,
): Promise<AgentIdentity> {
  requireNodeRequest(req);
  return identityOrThrow(await authenticate(req), toError);
}

/** A framework calls a mounted function with more than one argument, and waits for `next`. These never call it. */
function refuseMounting(name: string, furtherArguments: unknown[], fix: string): void {
  if (furtherArguments.length > 0) throw new TypeError(`agents.${name} is mounted as middleware: ${fix}`);
}
