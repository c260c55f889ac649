/** An agent to try the other examples with, of an issuer in the same process: nothing here needs a network. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createIssuer } from "agent-identity-auth/issuer";
import { createTemporaryDirectory } from "./temporary-directory.js";

export async function createDemoAgent() {
  const issuer = await createIssuer();
  const { token, agentRuntimeId } = await issuer.mint({ accountId: "acct-demo", chatgptUserId: "user-demo" });

  // curl reads the header from a file, so that the token is in no command line.
  const headerFile = join(createTemporaryDirectory(), "agent.header");
  writeFileSync(headerFile, `Authorization: Bearer ${token}\n`, { mode: 0o600 });

  return { issuer, keySet: await issuer.jwks(), agentRuntimeId, token, headerFile };
}
