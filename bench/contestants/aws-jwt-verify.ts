import { JwtVerifier } from "aws-jwt-verify";
import { SimpleFetcher } from "aws-jwt-verify/https";
import { SimpleJwksCache } from "aws-jwt-verify/jwk";
import { agentOf, bearerMiddleware } from "./by-hand.js";
import { onExpress } from "./on-express.js";

export const contestant = onExpress({
  title: "aws-jwt-verify",
  packages: ["aws-jwt-verify"],
  protect({ jwksUrl, issuer, audience }) {
    // Its own fetcher speaks https only; a fetcher of one's own is the documented way to anything else.
    const plainFetcher = { fetch: async (uri: string) => (await fetch(uri)).arrayBuffer() };
    const fetcher = jwksUrl.startsWith("https:") ? new SimpleFetcher() : plainFetcher;
    const jwksCache = new SimpleJwksCache({ fetcher });
    const verifier = JwtVerifier.create({ issuer, audience, jwksUri: jwksUrl }, { jwksCache });
    return [bearerMiddleware((token) => verifier.verify(token))];
  },
  agentOf,
});
