import { expressjwt } from "express-jwt";
import jwksRsa from "jwks-rsa";
import { agentOf } from "./by-hand.js";
import { onExpress } from "./on-express.js";

export const contestant = onExpress({
  title: "express-jwt + jwks-rsa",
  packages: ["express-jwt", "jwks-rsa"],
  protect({ jwksUrl, issuer, audience, keyOptions }) {
    const secret = jwksRsa.expressJwtSecret({
      jwksUri: jwksUrl,
      cache: true,
      rateLimit: true,
      jwksRequestsPerMinute: 5,
      ...keyOptions,
    });
    return [expressjwt({ secret, algorithms: ["RS256"], issuer, audience })];
  },
  agentOf,
});
