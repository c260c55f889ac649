/**
 * What it costs to hand on anything at all. Express gives every request a prototype by `Object.setPrototypeOf`, and V8
 * then makes a hidden class for every property that is added to it, request by request. Lets everybody through.
 */

import { nobody } from "./nobody.js";
import { onExpress } from "./on-express.js";

interface WithAgent {
  agent?: string;
}

export const contestant = onExpress({
  title: "_only sets a property_",
  packages: [],
  protect: () => [
    (req, _res, next) => {
      (req as WithAgent).agent = nobody;
      next();
    },
  ],
  agentOf: (req) => (req as WithAgent).agent,
});
