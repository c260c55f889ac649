/** The yardstick: the route without any authentication. */

import { nobody } from "./nobody.js";
import { onExpress } from "./on-express.js";

export const contestant = onExpress({
  title: "bare Express",
  packages: [],
  protect: () => [],
  agentOf: () => nobody,
});
