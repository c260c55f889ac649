import { admins } from "../../agents.js";

// It verifies again, which costs microseconds: a matcher of proxy.js that misses a path opens nothing.
export const GET = admins.protect((request, identity) => Response.json({ admin: identity.agentRuntimeId }));
