/** A stand-in for a verified identity. */

import type { AgentIdentity } from "../protocol/agent-identity.js";
import { nowInSeconds } from "../runtime/clock.js";
import { verifiedIdentity } from "../verify/outcome/verified-identity.js";

/**
 * An identity that `agentOf` takes for a verified one, for tests of handlers without a token. Never call it in a server:
 * `agentOf` would return its result as a verified caller.
 * @param members in place of the defaults: `agentRuntimeId` `"agent-1"`, `accountId` `"acct-1"`, `chatgptUserId` `"user-1"`,
 *   `email` `null`, `planType` `"pro"`, `chatgptAccountIsFedramp` `false`, issued now, for an hour
 * @example
 * const req = { agentIdentity: fakeIdentity({ accountId: "acct-2" }) };
 * handler(req, res);
 */
export function fakeIdentity(members: Partial<AgentIdentity> = {}): AgentIdentity {
  const issuedAt = nowInSeconds();
  return verifiedIdentity({
    agentRuntimeId: "agent-1",
    accountId: "acct-1",
    chatgptUserId: "user-1",
    email: null,
    planType: "pro",
    chatgptAccountIsFedramp: false,
    issuedAt,
    expiresAt: issuedAt + 3600,
    ...members,
  });
}
