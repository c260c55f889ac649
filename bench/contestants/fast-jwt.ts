import { createVerifier } from "fast-jwt";
import buildGetJwks from "get-jwks";
import type { Trust } from "../backend.js";
import { agentOf, bearerMiddleware } from "./by-hand.js";
import { onExpress } from "./on-express.js";

export const contestant = onExpress({
  title: "fast-jwt",
  packages: ["fast-jwt", "get-jwks"],
  protect: (trust) => [bearerMiddleware(createFastVerifier(trust, false))],
  agentOf,
});

export function createFastVerifier(
  { origin, jwksPath, issuer, audience, keyOptions, tokenOptions }: Trust,
  cache: boolean,
) {
  const getJwks = buildGetJwks({ issuersWhitelist: [origin], jwksPath, ...keyOptions });
  return createVerifier({
    key: ({ header: { kid, alg } }) => getJwks.getPublicKey({ domain: origin, kid, alg }),
    algorithms: ["RS256"],
    allowedIss: issuer,
    allowedAud: audience,
    cache,
    ...tokenOptions,
  });
}
