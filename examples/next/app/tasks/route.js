import { agents } from "../../agents.js";

export const GET = agents.protect((request, identity) => Response.json({ agent: identity.agentRuntimeId }));
