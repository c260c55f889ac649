import type { AgentIdentity } from "../../protocol/agent-identity.js";
import { isVerifiedIdentity } from "../outcome/verified-identity.js";

/**
 * The identity that the middleware has set.
 * @param carrier what it was set on
 * @param name what the message calls its property
 * @throws Error that names the mistake
 */
export function identityOf(carrier: object, name: string): AgentIdentity {
  const { agentIdentity } = carrier as { agentIdentity?: unknown };
  if (isVerifiedIdentity(agentIdentity)) return agentIdentity;
  if (agentIdentity !== undefined) {
    throw new Error(
      `${name} was not set by this package's middleware: in tests, take fakeIdentity() of agent-identity-auth/testing`,
    );
  }
  throw new Error(
    Object.hasOwn(carrier, "agentIdentity")
      ? `${name} is undefined: the request had no credentials, and credentialsRequired is false on this mount`
      : `${name} is not set: mount agentIdentityAuth(baseUrl) in front of this handler`,
  );
}
