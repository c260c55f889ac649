/** The yardstick: the route without any authentication. */

import { randomUUID } from "node:crypto";
import type { Contestant } from "../contestants.js";

/** As long as any agent's id, so that the answer is of the same size. */
const nobody = randomUUID();

export const contestant: Contestant = {
  title: "bare Express",
  packages: [],
  protect: () => [],
  agentOf: () => nobody,
};
