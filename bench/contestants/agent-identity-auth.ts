// What `npm run build` made: the code that users get.
import { agentIdentityAuth } from "../../dist/index.js";
import { onExpress } from "./on-express.js";

export const contestant = onExpress({
  title: "agent-identity-auth",
  packages: ["agent-identity-auth"],
  protect: ({ baseUrl, keyOptions }) => [agentIdentityAuth(baseUrl, { jwks: keyOptions && { ...keyOptions } })],
  agentOf: (req) => req.agentIdentity?.agentRuntimeId,
});
