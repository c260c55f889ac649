/** Every security decision of `src`, by where it is taken. */

import type { Decision } from "./decision.js";
import { DECISIONS_ON_ASSERTIONS } from "./decisions/assertions.js";
import { DECISIONS_ON_THE_COMMAND } from "./decisions/command.js";
import { DECISIONS_ON_THE_ISSUER } from "./decisions/issuer.js";
import { DECISIONS_ON_KEYS } from "./decisions/keys.js";
import { DECISIONS_ON_LOGIN } from "./decisions/login.js";
import { DECISIONS_ON_REQUESTS } from "./decisions/requests.js";
import { DECISIONS_ON_TOKENS } from "./decisions/tokens.js";

export const DECISIONS: readonly Decision[] = [
  ...DECISIONS_ON_TOKENS,
  ...DECISIONS_ON_KEYS,
  ...DECISIONS_ON_REQUESTS,
  ...DECISIONS_ON_ASSERTIONS,
  ...DECISIONS_ON_THE_ISSUER,
  ...DECISIONS_ON_LOGIN,
  ...DECISIONS_ON_THE_COMMAND,
];
