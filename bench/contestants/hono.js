import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { nobody, optionsOf, readToken, refuseByHand } from "./by-hand.js";

/** @param protect sets the app up, and returns the middleware of the route */
const contestant = (title, roles, protect, agentOf = (c) => c.get("agent") ?? nobody) => ({
  title,
  roles,
  async createListener(trust) {
    const app = new Hono();
    const middleware = await protect(trust, app);
    if (middleware) app.use("/tasks", middleware);
    app.get("/tasks", (c) => c.json({ agent: agentOf(c) }));
    return getRequestListener(app.fetch);
  },
});

const own = (title, role) =>
  contestant(
    title,
    [role],
    async (trust) => (await import("../../dist/hono.js")).agentIdentityAuth(trust.baseUrl, optionsOf(role, trust)),
    (c) => c.var.agentIdentity.agentRuntimeId,
  );

const honoJwk = (title, keysOf) =>
  contestant(
    title,
    ["peer"],
    async (trust) => {
      const { jwk } = await import("hono/jwk");
      const verification = { iss: trust.issuer, aud: trust.audience };
      return jwk({ alg: ["RS256"], verification, ...(await keysOf(trust)) });
    },
    (c) => c.get("jwtPayload").agent_runtime_id,
  );

export const contestants = {
  bare: contestant("bare Hono", ["bare"], () => undefined),
  floor: contestant("_floor: header, SHA-256, variable_", ["floor", "reader"], () => (c, next) => {
    readToken(c.req.header("authorization"));
    c.set("agent", nobody);
    return next();
  }),
  refuser: contestant("_decoding by hand, `throw`_", ["refuser"], (_trust, app) => {
    app.onError((error, c) => c.json({ error: "refused" }, error.status));
    return (c, next) => {
      const error = refuseByHand(c.req.header("authorization"));
      if (error) throw error;
      return next();
    };
  }),
  own: own("**agent-identity-auth/hono**", "own"),
  directory: own("**agent-identity-auth/hono** with a directory", "directory"),
  jwk: honoJwk("hono/jwk, which fetches the keys for each request", ({ jwksUrl }) => ({ jwks_uri: jwksUrl })),
  "jwk-keys": honoJwk("hono/jwk with keys that were fetched once", async ({ jwksUrl }) => ({
    keys: (await (await fetch(jwksUrl)).json()).keys,
  })),
};
