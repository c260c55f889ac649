/** What every middleware with a cache of verified tokens has to do at the least, and nothing else: lets everybody through. */

import { hash } from "node:crypto";
import { nobody } from "./nobody.js";
import { onExpress } from "./on-express.js";

interface WithAgent {
  agent?: string;
}

export const contestant = onExpress({
  title: "_header, SHA-256, property_",
  packages: [],
  protect: () => [
    (req, _res, next) => {
      hash("sha256", req.headers.authorization ?? "", "base64url");
      (req as WithAgent).agent = nobody;
      next();
    },
  ],
  agentOf: (req) => (req as WithAgent).agent,
});
