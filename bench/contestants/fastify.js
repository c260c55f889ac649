import Fastify from "fastify";
import { nobody, optionsOf, readAndHideToken, readToken, refuseByHand } from "./by-hand.js";

/** @param protect sets the app up, and returns the `onRequest` hook of the route */
const contestant = (title, role, protect, agentOf = ({ agent }) => agent ?? nobody) => ({
  title,
  roles: [role],
  async createListener(trust) {
    const app = Fastify();
    app.decorateRequest("agent");
    const onRequest = (await protect(trust, app)) ?? [];
    app.get("/tasks", { onRequest }, async (request) => ({ agent: agentOf(request) }));
    await app.ready();
    return (req, res) => app.routing(req, res);
  },
});

const byHand = (title, role, act) =>
  contestant(title, role, (_trust, app) => {
    app.setErrorHandler((error, _request, reply) => reply.code(error.status).send({ error: "refused" }));
    return (request, _reply, done) => done(act(request));
  });

const own = (title, role) =>
  contestant(
    title,
    role,
    async ({ baseUrl, ...trust }, app) => {
      const { agentIdentityAuth, agentIdentityErrorHandler } = await import("../../dist/fastify.js");
      await app.register(agentIdentityAuth, { baseUrl, ...optionsOf(role, trust) });
      app.setErrorHandler(agentIdentityErrorHandler());
      return app.agents;
    },
    ({ agentIdentity }) => agentIdentity.agentRuntimeId,
  );

export const contestants = {
  bare: contestant("bare Fastify", "bare", () => undefined),
  floor: byHand("_floor: header, SHA-256, hiding, property_", "floor", (request) => {
    readAndHideToken(request.raw);
    request.agent = nobody;
  }),
  reader: byHand("_floor without hiding_", "reader", (request) => {
    readToken(request.raw.headers.authorization);
    request.agent = nobody;
  }),
  refuser: byHand("_decoding by hand, `done(error)`_", "refuser", ({ headers }) => refuseByHand(headers.authorization)),
  own: own("**agent-identity-auth/fastify**", "own"),
  directory: own("**agent-identity-auth/fastify** with a directory", "directory"),
  "@fastify/jwt": contestant(
    "@fastify/jwt with its cache + get-jwks",
    "peer",
    async ({ origin, jwksPath, issuer, audience }, app) => {
      const { default: jwt } = await import("@fastify/jwt");
      const { default: buildGetJwks } = await import("get-jwks");
      const getJwks = buildGetJwks({ issuersWhitelist: [origin], jwksPath });
      await app.register(jwt, {
        decode: { complete: true },
        secret: (_request, { header: { kid, alg } }) => getJwks.getPublicKey({ domain: origin, kid, alg }),
        verify: { algorithms: ["RS256"], allowedIss: issuer, allowedAud: audience, cache: true },
      });
      return (request) => request.jwtVerify();
    },
    ({ user }) => user?.agent_runtime_id,
  ),
};
