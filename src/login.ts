/**
 * Signing in as an agent: load, save, status, log out, and login restrictions at start-up.
 * @module agent-identity-auth/login
 */

export type { AgentIdentity } from "./protocol/agent-identity.js";
export type { LoginRestrictions } from "./protocol/login-restrictions.js";
export type { AgentIdentityError, AgentIdentityErrorCode } from "./verify/outcome/errors.js";
export type { Fetch, FetchResponse } from "./runtime/fetch.js";
export type {
  AgentSession,
  AuthorizationHeaders,
  RegisterTaskOptions,
  SessionIdentity,
} from "./login/agent-session.js";
export type { AuthConfig } from "./login/auth-config.js";
export type { AuthCredentialsStoreMode } from "./login/auth-store.js";
export { LoginError, type LoginErrorCode } from "./login/login-error.js";
export {
  enforceLoginRestrictions,
  loadAuth,
  loginStatus,
  loginWithAccessToken,
  loginWithApiKey,
  logout,
  type ApiKeyAuth,
  type LoginStatus,
} from "./login/sign-in.js";
