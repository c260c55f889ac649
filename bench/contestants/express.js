import express from "express";
import { bearerMiddleware, nobody, optionsOf, readAndHideToken, readToken, refuseByHand } from "./by-hand.js";

/** @param protect returns the handlers that let only the backend's agents through, and where they leave the agent */
const contestant = (title, roles, protect) => ({
  title,
  roles,
  async createListener(trust) {
    const {
      handlers,
      agentOf = (req) => req.auth?.agent_runtime_id,
      errorHandler = answerError,
    } = await protect(trust);
    const app = express();
    app.get("/tasks", ...handlers, (req, res) => res.json({ agent: agentOf(req) }));
    app.use(errorHandler);
    return app;
  },
});

function answerError(error, _req, res, next) {
  if (res.headersSent) next(error);
  else res.status(error.status ?? 500).json({ error: "refused" });
}

const byHand = (title, role, act) =>
  contestant(title, [role], () => ({
    handlers: [(req, _res, next) => next(act(req))],
    agentOf: (req) => req.agent ?? nobody,
  }));

const own = (title, role) =>
  contestant(title, [role], async (trust) => {
    const { agentIdentityAuth, agentIdentityErrorHandler } = await import("../../dist/index.js");
    const agents = agentIdentityAuth(trust.baseUrl, { jwks: trust.keyOptions, ...optionsOf(role, trust) });
    const agentOf = (req) => req.agentIdentity?.agentRuntimeId;
    return { handlers: [agents], agentOf, errorHandler: agentIdentityErrorHandler() };
  });

const fastJwt = (title, cache) =>
  contestant(title, ["peer"], async ({ origin, jwksPath, issuer, audience, keyOptions, tokenOptions }) => {
    const { createVerifier } = await import("fast-jwt");
    const { default: buildGetJwks } = await import("get-jwks");
    const getJwks = buildGetJwks({ issuersWhitelist: [origin], jwksPath, ...keyOptions });
    const key = ({ header: { kid, alg } }) => getJwks.getPublicKey({ domain: origin, kid, alg });
    const expected = { algorithms: ["RS256"], allowedIss: issuer, allowedAud: audience };
    const verify = createVerifier({ key, ...expected, cache, ...tokenOptions });
    return { handlers: [bearerMiddleware(verify)] };
  });

/** Each peer is set up as its own README says for RS256 and a JWKS. */
export const contestants = {
  bare: contestant("bare Express", ["bare"], () => ({ handlers: [], agentOf: () => nobody })),
  floor: byHand("_floor: header, SHA-256, hiding, property_", "floor", (req) => {
    readAndHideToken(req);
    req.agent = nobody;
  }),
  reader: byHand("_floor without hiding_", "reader", (req) => {
    readToken(req.headers.authorization);
    req.agent = nobody;
  }),
  refuser: byHand("_decoding by hand, `next(error)`_", "refuser", (req) => refuseByHand(req.headers.authorization)),
  "agent-identity-auth": own("**agent-identity-auth**", "own"),
  keeping: own("**agent-identity-auth** with `keepCredentials`", "keeping"),
  directory: own("**agent-identity-auth** with a directory", "directory"),
  jose: contestant("jose by hand", ["jose"], async ({ jwksUrl, issuer, audience, keyOptions, tokenOptions }) => {
    const { createRemoteJWKSet, jwtVerify } = await import("jose");
    const jwks = createRemoteJWKSet(new URL(jwksUrl), { ...keyOptions });
    const options = { algorithms: ["RS256"], issuer, audience, requiredClaims: ["exp"], ...tokenOptions };
    return { handlers: [bearerMiddleware(async (token) => (await jwtVerify(token, jwks, options)).payload)] };
  }),
  "express-oauth2-jwt-bearer": contestant("express-oauth2-jwt-bearer", ["peer"], async (trust) => {
    const { auth } = await import("express-oauth2-jwt-bearer");
    const { jwksUrl, issuer, audience, keyOptions } = trust;
    // With `jwksUri` beside `issuer` it asks for no metadata document: this issuer has none.
    const handlers = [auth({ issuer, audience, jwksUri: jwksUrl, tokenSigningAlg: "RS256", ...keyOptions })];
    return { handlers, agentOf: (req) => req.auth?.payload.agent_runtime_id };
  }),
  "express-jwt": contestant("express-jwt + jwks-rsa", ["peer"], async ({ jwksUrl, issuer, audience, keyOptions }) => {
    const { expressjwt } = await import("express-jwt");
    const { default: jwksRsa } = await import("jwks-rsa");
    const limits = { cache: true, rateLimit: true, jwksRequestsPerMinute: 5 };
    const secret = jwksRsa.expressJwtSecret({ jwksUri: jwksUrl, ...limits, ...keyOptions });
    return { handlers: [expressjwt({ secret, algorithms: ["RS256"], issuer, audience })] };
  }),
  "aws-jwt-verify": contestant("aws-jwt-verify", ["peer"], async ({ jwksUrl, issuer, audience }) => {
    const { JwtVerifier } = await import("aws-jwt-verify");
    const { SimpleFetcher } = await import("aws-jwt-verify/https");
    const { SimpleJwksCache } = await import("aws-jwt-verify/jwk");
    // Its own fetcher takes https only. Its README says to pass a fetcher for anything else.
    const plainFetcher = { fetch: async (uri) => (await fetch(uri)).arrayBuffer() };
    const fetcher = jwksUrl.startsWith("https:") ? new SimpleFetcher() : plainFetcher;
    const jwksCache = new SimpleJwksCache({ fetcher });
    const verifier = JwtVerifier.create({ issuer, audience, jwksUri: jwksUrl }, { jwksCache });
    return { handlers: [bearerMiddleware((token) => verifier.verify(token))] };
  }),
  "fast-jwt": fastJwt("fast-jwt", false),
  "fast-jwt-cached": fastJwt("fast-jwt with its cache", true),
};
