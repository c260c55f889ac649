import { auth } from "express-oauth2-jwt-bearer";
import { onExpress } from "./on-express.js";

interface WithAuthResult {
  auth?: { payload: { agent_runtime_id?: string } };
}

export const contestant = onExpress({
  title: "express-oauth2-jwt-bearer",
  packages: ["express-oauth2-jwt-bearer"],
  protect({ jwksUrl, issuer, audience, keyOptions }) {
    // With `jwksUri` beside `issuer` there is no discovery: this issuer has no metadata document.
    return [auth({ issuer, audience, jwksUri: jwksUrl, tokenSigningAlg: "RS256", ...keyOptions })];
  },
  agentOf: (req) => (req as unknown as WithAuthResult).auth?.payload.agent_runtime_id,
});
