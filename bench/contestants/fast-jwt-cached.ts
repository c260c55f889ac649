import type { Contestant } from "../contestants.js";
import { agentOf, bearerMiddleware } from "./by-hand.js";
import { createFastVerifier } from "./fast-jwt.js";

export const contestant: Contestant = {
  title: "fast-jwt with its cache",
  packages: ["fast-jwt", "get-jwks"],
  protect: (trust) => [bearerMiddleware(createFastVerifier(trust, true))],
  agentOf,
};
