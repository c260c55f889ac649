/** The yardstick on Koa: the route without any authentication. */

import { nobody } from "./nobody.js";
import { onKoa } from "./on-koa.js";

export const contestant = onKoa({
  title: "bare Koa",
  packages: [],
  protect: () => [],
  agentOf: () => nobody,
});
