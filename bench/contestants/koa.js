import Koa from "koa";
import { nobody, optionsOf, readAndHideToken, readToken, refuseByHand } from "./by-hand.js";

const contestant = (title, role, protect) => ({
  title,
  roles: [role],
  async createListener(trust) {
    const app = new Koa();
    app.silent = true; // Koa answers errors with their status, and would log them
    for (const middleware of await protect(trust)) app.use(middleware);
    app.use((ctx) => {
      ctx.body = { agent: ctx.state.agentIdentity?.agentRuntimeId ?? nobody };
    });
    return app.callback();
  },
});

/** Two middlewares, because this package has two with its error handler. */
const byHand = (title, role, act) =>
  contestant(title, role, () => [
    (_ctx, next) => next(),
    (ctx, next) => {
      const error = act(ctx);
      if (error) throw error;
      return next();
    },
  ]);

const own = (title, role) =>
  contestant(title, role, async (trust) => {
    const { agentIdentityAuth, agentIdentityErrorHandler } = await import("../../dist/koa.js");
    return [agentIdentityErrorHandler(), agentIdentityAuth(trust.baseUrl, optionsOf(role, trust))];
  });

export const contestants = {
  bare: contestant("bare Koa", "bare", () => []),
  floor: byHand("_floor: header, SHA-256, hiding, property_", "floor", (ctx) => {
    readAndHideToken(ctx.req);
    ctx.state.agentIdentity = { agentRuntimeId: nobody };
  }),
  reader: byHand("_floor without hiding_", "reader", (ctx) => {
    readToken(ctx.req.headers.authorization);
    ctx.state.agentIdentity = { agentRuntimeId: nobody };
  }),
  refuser: byHand("_decoding by hand, `throw`_", "refuser", (ctx) => refuseByHand(ctx.req.headers.authorization)),
  own: own("**agent-identity-auth/koa**", "own"),
  directory: own("**agent-identity-auth/koa** with a directory", "directory"),
};
