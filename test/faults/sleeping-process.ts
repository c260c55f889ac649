/** A process that is frozen between requests: it verifies one token for each message, and says what became of it. */

import { createVerifier } from "../../src/index.js";

const [baseUrl = "", token = ""] = process.argv.slice(2);
const jwks = { cacheMaxAge: 1_500, staleIfErrorDuration: 500, timeoutDuration: 400 };
const verifier = createVerifier(baseUrl, { jwks });
process.on("message", () => {
  const answer = (refused: boolean) => process.send?.({ refused, lastError: verifier.jwks.status().lastError });
  verifier.verify(token).then(
    () => answer(false),
    () => answer(true),
  );
});
process.send?.("ready");
