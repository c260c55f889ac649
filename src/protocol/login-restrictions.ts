/** Login restrictions, in Codex's own terms; one check for the middleware and for the login side. */

import { checkOptions, type OptionCheck, type OptionChecks } from "./options.js";

/** How an agent must be signed in, and to which workspaces (accounts). The terms are those of Codex's configuration. */
export interface LoginRestrictions {
  /** The one allowed way of signing in. An agent identity counts as `"chatgpt"`. Default: any. */
  forcedLoginMethod?: "chatgpt" | "api" | undefined;
  /** Account ids, compared exactly but for white space around them; blank entries of a list are dropped. Default: any. */
  forcedChatgptWorkspaceId?: string | readonly string[] | undefined;
}

/** What the check needs to know of a sign-in. */
export interface SignedInAs {
  mode: "agentIdentity" | "apikey";
  accountId: string | undefined;
}

export interface LoginViolation {
  code: "login_method_not_allowed" | "workspace_not_allowed";
  /** Codex's words. They name the allowed workspaces, so they are for the user who signs in, never for a remote caller. */
  message: string;
}

export interface ParsedRestrictions {
  loginMethod: "chatgpt" | "api" | undefined;
  workspaceIds: readonly string[] | undefined;
}

const isString = (value: unknown) => typeof value === "string";
const isBlank = (text: string) => text.trim() === "";

const aLoginMethod: OptionCheck = {
  expected: '"chatgpt" or "api"',
  accepts: (value) => value === "chatgpt" || value === "api",
};

const accountIds: OptionCheck = {
  expected: "an account id, or an array of account ids that are not all blank",
  accepts(value) {
    if (isString(value) && value.includes(",")) return false; // a list that somebody wrote as one string
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    return ids.every(isString) && !ids.every(isBlank);
  },
};

export const LOGIN_RESTRICTION_CHECKS: OptionChecks<LoginRestrictions> = {
  forcedLoginMethod: aLoginMethod,
  forcedChatgptWorkspaceId: accountIds,
};

/** @throws TypeError for anything that could silently come to mean "everyone" */
export function parseLoginRestrictions(where: string, restrictions: LoginRestrictions): ParsedRestrictions {
  const { forcedLoginMethod, forcedChatgptWorkspaceId } = checkOptions(where, restrictions, LOGIN_RESTRICTION_CHECKS);
  const ids = typeof forcedChatgptWorkspaceId === "string" ? [forcedChatgptWorkspaceId] : forcedChatgptWorkspaceId;
  return { loginMethod: forcedLoginMethod, workspaceIds: ids?.filter((id) => !isBlank(id)).map((id) => id.trim()) };
}

export function findLoginViolation(
  { loginMethod, workspaceIds }: ParsedRestrictions,
  signedIn: SignedInAs,
): LoginViolation | undefined {
  switch (signedIn.mode) {
    case "apikey":
      // A workspace restriction says nothing of API keys: they belong to no workspace.
      return loginMethod === "chatgpt"
        ? methodViolation("ChatGPT login is required, but an API key is currently being used.")
        : undefined;
    case "agentIdentity": {
      if (loginMethod === "api") {
        return methodViolation("API key login is required, but ChatGPT is currently being used.");
      }
      if (workspaceIds === undefined) return undefined;
      const { accountId } = signedIn;
      if (accountId !== undefined && workspaceIds.includes(accountId)) return undefined;
      const current = accountId === undefined ? "lack a workspace identifier" : `belong to ${accountId}`;
      return {
        code: "workspace_not_allowed",
        message: `Login is restricted to workspace(s) ${workspaceIds.join(", ")}, but current credentials ${current}.`,
      };
    }
    default:
      return signedIn.mode satisfies never;
  }
}

function methodViolation(message: string): LoginViolation {
  return { code: "login_method_not_allowed", message };
}
