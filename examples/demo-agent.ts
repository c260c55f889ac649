/** An agent to try the other examples with, of an issuer in the same process: nothing here needs a network. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIssuer } from "agent-identity-auth/issuer";

export async function createDemoAgent() {
  const issuer = await createIssuer();
  const { token } = await issuer.mint({ accountId: "acct-demo", chatgptUserId: "user-demo" });

  // curl reads the header from a file, so that the token is in no command line.
  const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-"));
  const headerFile = join(directory, "agent.header");
  writeFileSync(headerFile, `Authorization: Bearer ${token}\n`, { mode: 0o600 });
  process.once("exit", () => {
    rmSync(directory, { recursive: true });
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit());

  return { headerFile, keySet: await issuer.jwks() };
}
