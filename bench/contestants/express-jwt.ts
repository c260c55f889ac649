import { expressjwt } from "express-jwt";
import jwksRsa from "jwks-rsa";
import type { Contestant } from "../contestants.js";
import { agentOf } from "./by-hand.js";

export const contestant: Contestant = {
  title: "express-jwt + jwks-rsa",
  packages: ["express-jwt", "jwks-rsa"],
  protect({ jwksUrl, issuer, audience }) {
    const secret = jwksRsa.expressJwtSecret({
      jwksUri: jwksUrl,
      cache: true,
      rateLimit: true,
      jwksRequestsPerMinute: 5,
    });
    return [expressjwt({ secret, algorithms: ["RS256"], issuer, audience })];
  },
  agentOf,
};
