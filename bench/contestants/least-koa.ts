/** The least on Koa: two middlewares, because ours are two with the error handler. Lets everybody through. */

import { hash } from "node:crypto";
import { nobody } from "./nobody.js";
import { onKoa } from "./on-koa.js";

interface WithAgent {
  agent?: string;
}

export const contestant = onKoa<WithAgent>({
  title: "_header, SHA-256, property_",
  packages: [],
  protect: () => [
    (_ctx, next) => next(), // where an error handler would be
    (ctx, next) => {
      hash("sha256", ctx.req.headers.authorization ?? "", "base64url");
      ctx.state.agent = nobody;
      return next();
    },
  ],
  agentOf: ({ agent }) => agent,
});
