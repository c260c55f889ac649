/**
 * MCP servers, with the TypeScript SDK 1.x or 2.x.
 * @module agent-identity-auth/mcp
 */

import type { AgentIdentity } from "./protocol/agent-identity.js";
import type { LoginRestrictions } from "./protocol/login-restrictions.js";
import { createMetadata, resourceUrlOf, type McpMetadata } from "./mcp/metadata.js";
import { createTokenVerifier, type McpErrorClasses, type McpTokenVerifier } from "./mcp/token-verifier.js";
import { createGate, type McpAuthInfo, type McpGate, type McpNodeRequest } from "./mcp/gate.js";
import {
  createAuthenticator,
  type AgentIdentityAuthOptions,
  type Authenticate,
  type IdentityRule,
} from "./verify/http/authenticator.js";
import { hideToken } from "./verify/http/hidden-token.js";
import type { AgentIdentityError } from "./verify/outcome/errors.js";
import type { Outcome } from "./verify/outcome/verdict.js";
import type { Verifier } from "./verify/tokens/create-verifier.js";

export type { AgentIdentity } from "./protocol/agent-identity.js";
export type { LoginRestrictions } from "./protocol/login-restrictions.js";
export type { McpAuthInfo, McpGate, McpNodeRequest, McpNodeResponse } from "./mcp/gate.js";
export type { McpMetadata } from "./mcp/metadata.js";
export type { McpErrorClasses, McpTokenVerifier } from "./mcp/token-verifier.js";
export type { IdentityRule } from "./verify/http/authenticator.js";
export { AgentIdentityError, isAgentIdentityError } from "./verify/outcome/errors.js";
export type { AgentIdentityErrorCause, AgentIdentityErrorCode } from "./verify/outcome/errors.js";

/** Options of `agentIdentityAuth` for MCP servers. Credentials are always required, and the token always leaves the request. */
export interface McpAuthOptions extends Omit<
  AgentIdentityAuthOptions,
  "credentialsRequired" | "keepCredentials" | "resourceMetadata"
> {
  /** The URL of the MCP server, as its clients know it: https, or http on loopback. */
  resource: string | URL;
  /** Called with each refusal that the gate answers, before the answer: for your log. Default: none. */
  onError?: ((error: AgentIdentityError, request: McpNodeRequest | Request) => void) | undefined;
}

/** What `agentIdentityAuth` returns: mount it in front of the MCP transport. */
export interface McpAuthGate extends McpGate {
  /**
   * Authenticates and applies login restrictions, against the same base URL.
   * @throws TypeError if nothing is restricted
   */
  restrictTo(restrictions: LoginRestrictions): McpGate;
  /**
   * Authenticates and applies a rule of yours. Any other value than `true` is a 403 `identity_not_allowed`.
   * @throws TypeError if it is not a function
   */
  require(rule: IdentityRule): McpGate;
  /**
   * Serves the metadata of the protected resource (RFC 9728), which every challenge names. It has no `authorization_servers`,
   * because agents bring their token along.
   * @example
   * app.use(agents.metadata());
   */
  metadata(): McpMetadata;
  /**
   * For those who keep the SDK's own `requireBearerAuth`. That gate knows no 503: an outage is a 500 `server_error`. It leaves the
   * token in the request's headers.
   * @param classes `{ InvalidTokenError, InsufficientScopeError, ServerError }` of SDK 1, or `{ OAuthError }` of SDK 2
   * @throws TypeError for other classes
   * @example
   * app.use("/mcp", requireBearerAuth({ verifier: agents.tokenVerifier({ OAuthError }) }));
   */
  tokenVerifier(classes: McpErrorClasses): McpTokenVerifier;
  /**
   * Resolves when there is a usable key set.
   * @throws {AgentIdentityError} `keys_unavailable`
   */
  ready(): Promise<void>;
  /** The core without a framework, with the same base URL and options. */
  readonly verifier: Verifier;
}

/**
 * A gate in front of an MCP server: it verifies the bearer token, sets `req.auth` for the SDK, and answers refusals itself.
 * @param baseUrl the base URL of the backend that issues the tokens; there is no default
 * @throws TypeError that names the fix
 * @example
 * const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { resource: "https://tasks.example/mcp" });
 * app.use(agents.metadata()).use("/mcp", agents);
 */
export function agentIdentityAuth(baseUrl: string | URL, options: McpAuthOptions): McpAuthGate {
  const { resource, onError, ...others } = Object(options) as McpAuthOptions;
  for (const name of ["credentialsRequired", "keepCredentials", "resourceMetadata"]) {
    if (Object.hasOwn(others, name)) throw new TypeError(`agentIdentityAuth: MCP servers have no option ${name}`);
  }
  if (onError !== undefined && typeof onError !== "function") {
    throw new TypeError("agentIdentityAuth: onError must be a function");
  }
  const resourceUrl = resourceUrlOf(resource);
  const metadata = createMetadata(resourceUrl);
  const authenticator = createAuthenticator(baseUrl, { ...others, resourceMetadata: metadata.url }, hideToken);
  const { verifier, toError } = authenticator;
  const gateOf = (authenticate: Authenticate<Outcome>) => createGate(authenticate, toError, resourceUrl, onError);
  return Object.assign(gateOf(authenticator.authenticate), {
    restrictTo: (restrictions: LoginRestrictions) => gateOf(authenticator.restrictTo(restrictions)),
    require: (rule: IdentityRule) => gateOf(authenticator.require(rule)),
    metadata: () => metadata,
    tokenVerifier: (classes: McpErrorClasses) =>
      createTokenVerifier(authenticator.authenticate, resourceUrl, classes, others.clockTolerance),
    ready: () => verifier.jwks.ready(),
    verifier,
  });
}

/**
 * The caller, in a tool. It does not check the stamp of the identity, because the SDK may copy `authInfo`.
 * @throws Error that names the missing gate
 * @example
 * server.registerTool("whoami", {}, ({ authInfo }) => ({ content: [{ type: "text", text: agentOf(authInfo).agentRuntimeId }] }));
 */
export function agentOf(
  authInfo: Partial<Pick<McpAuthInfo, "extra">> | { extra?: Record<string, unknown> } | undefined,
): AgentIdentity {
  const { extra } = Object(authInfo) as { extra?: { agentIdentity?: AgentIdentity } };
  if (extra?.agentIdentity === undefined) {
    throw new Error("authInfo holds no agent: put the gate of agent-identity-auth/mcp in front of the MCP transport");
  }
  return extra.agentIdentity;
}
