/** What goes wrong on the login side, apart from the verifier's findings. */

/** What went wrong with signing in. */
export type LoginErrorCode =
  | "agent_key_invalid"
  | "agent_record_unsigned"
  | "auth_api_unknown"
  | "auth_file_invalid"
  | "auth_file_unreadable"
  | "auth_file_unwritable"
  | "codex_home_unknown"
  | "credentials_empty"
  | "credentials_unsupported"
  | "login_method_not_allowed"
  | "task_not_registered"
  | "task_registration_failed"
  | "workspace_not_allowed";

/**
 * A failure of signing in that is not the token's. `message` is for the person who signs in, and holds no secret.
 * @example
 * try {
 *   await loginWithAccessToken(config, token);
 * } catch (error) {
 *   if (error instanceof LoginError && error.code === "workspace_not_allowed") console.error(error.message);
 *   else throw error;
 * }
 */
export class LoginError extends Error {
  /** Tells it from other errors, across copies of this package too. */
  override readonly name = "LoginError";
  /** Stable. Branch on this, not on `message`. */
  readonly code: LoginErrorCode;

  constructor(code: LoginErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
