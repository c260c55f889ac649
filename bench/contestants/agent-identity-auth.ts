import type { Contestant } from "../contestants.js";
// What `npm run build` made: the code that users get.
import { agentIdentityAuth } from "../../dist/index.js";

export const contestant: Contestant = {
  title: "agent-identity-auth",
  packages: ["agent-identity-auth"],
  protect: ({ baseUrl }) => [agentIdentityAuth(baseUrl)],
  agentOf: (req) => req.agentIdentity?.agentRuntimeId,
};
