/** One factory for all routes, which share its keys. The base URL is read when the server starts, not when it is built. */

import { agentIdentityAuth } from "agent-identity-auth/fetch";

export const agents = agentIdentityAuth(process.env.AGENTS_BASE_URL ?? "https://chatgpt.com/backend-api");
export const admins = agents.restrictTo({ forcedChatgptWorkspaceId: "acct-admin" });
