/** Every security decision of `src`, by where it is taken. */

import type { Decision } from "./decision.js";
import { DECISIONS_ON_TOKENS } from "./decisions/tokens.js";

export const DECISIONS: readonly Decision[] = [...DECISIONS_ON_TOKENS];
