import { admins } from "../../agents.js";

// It authenticates again: a path that the matcher of proxy.js misses stays closed, and the handler gets the identity.
export const GET = admins.protect((request, identity) => Response.json({ admin: identity.agentRuntimeId }));
