import { createRemoteJWKSet, jwtVerify } from "jose";
import { agentOf, bearerMiddleware } from "./by-hand.js";
import { onExpress } from "./on-express.js";

export const contestant = onExpress({
  title: "jose by hand",
  packages: ["jose"],
  protect({ jwksUrl, issuer, audience, keyOptions, tokenOptions }) {
    const jwks = createRemoteJWKSet(new URL(jwksUrl), { ...keyOptions });
    const options = { algorithms: ["RS256"], issuer, audience, requiredClaims: ["exp"], ...tokenOptions };
    return [bearerMiddleware(async (token) => (await jwtVerify(token, jwks, options)).payload)];
  },
  agentOf,
});
