/** What the command prints for an error: one line, without a stack and without a secret. */

import type { AgentIdentityErrorCause } from "../verify/outcome/errors.js";
import { UsageError } from "./arguments.js";

/** @returns the exit status */
export function printError(error: unknown, args: readonly string[]): 1 | 2 {
  const isUsage = error instanceof UsageError || error instanceof TypeError;
  const { message, code, cause } = error as { message: string; code?: string; cause?: AgentIdentityErrorCause };
  const reason = cause?.reason;
  if (args.includes("--json")) console.error(JSON.stringify({ error: { message, code: code ?? "usage", reason } }));
  else if (isUsage) console.error(`agent-identity-auth: ${message}; see agent-identity-auth --help`);
  else if (code === "credentials_empty") console.error(message);
  else {
    const details = reason === undefined ? "" : ` (${reason})`;
    console.error(`${failedAction(args)}: ${code === undefined ? "" : `${code}: `}${message}${details}`);
  }
  return isUsage ? 2 : 1;
}

/** In Codex's words, if Codex has the command. */
function failedAction(args: readonly string[]): string {
  if (args.includes("status")) return "Error checking login status";
  if (args.includes("--with-access-token")) return "Error logging in with access token";
  return args.includes("--with-api-key") ? "Error logging in with API key" : "agent-identity-auth";
}
