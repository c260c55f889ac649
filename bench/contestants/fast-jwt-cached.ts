import { agentOf, bearerMiddleware } from "./by-hand.js";
import { createFastVerifier } from "./fast-jwt.js";
import { onExpress } from "./on-express.js";

export const contestant = onExpress({
  title: "fast-jwt with its cache",
  packages: ["fast-jwt", "get-jwks"],
  protect: (trust) => [bearerMiddleware(createFastVerifier(trust, true))],
  agentOf,
});
