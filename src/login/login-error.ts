/** What goes wrong on the login side, apart from what the verifier finds. */

/** What went wrong with signing in. */
export type LoginErrorCode =
  | "auth_file_invalid"
  | "auth_file_unreadable"
  | "auth_file_unwritable"
  | "credentials_empty"
  | "credentials_unsupported"
  | "login_method_not_allowed"
  | "workspace_not_allowed"
  | "agent_key_invalid"
  | "auth_api_unknown"
  | "task_registration_failed"
  | "task_not_registered";

/** A failure of signing in that is not the token's. `message` is for whoever signs in, and holds no secret. */
export class LoginError extends Error {
  /** Tells it from other errors, across packages too. */
  override readonly name = "LoginError";
  /** Stable: to be decided by. */
  readonly code: LoginErrorCode;

  constructor(code: LoginErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
