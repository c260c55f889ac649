import { JwtVerifier } from "aws-jwt-verify";
import { SimpleJwksCache } from "aws-jwt-verify/jwk";
import { agentOf, bearerMiddleware } from "./by-hand.js";
import { onExpress } from "./on-express.js";

export const contestant = onExpress({
  title: "aws-jwt-verify",
  packages: ["aws-jwt-verify"],
  protect({ jwksUrl, issuer, audience }) {
    // Its own fetcher speaks https only; a fetcher of one's own is the documented way to anything else.
    const fetcher = { fetch: async (uri: string) => (await fetch(uri)).arrayBuffer() };
    const verifier = JwtVerifier.create(
      { issuer, audience, jwksUri: jwksUrl },
      { jwksCache: new SimpleJwksCache({ fetcher }) },
    );
    return [bearerMiddleware((token) => verifier.verify(token))];
  },
  agentOf,
});
