/** The directory in which Codex keeps `auth.json`. */

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { LoginError } from "./login-error.js";

/** `undefined` where nothing says where it is: credentials of the environment and of memory need none. */
export function findCodexHome(configured: string | undefined): string | undefined {
  if (configured !== undefined) return resolve(configured);
  const home = findHome();
  return home === "" ? undefined : join(home, ".codex");
}

/** @throws {LoginError} `codex_home_unknown` */
export function requireCodexHome(codexHome: string | undefined): string {
  if (codexHome !== undefined) return codexHome;
  throw new LoginError(
    "codex_home_unknown",
    "this user has no home directory (HOME is empty or not set): set CODEX_HOME, or codexHome",
  );
}

/** Empty for `HOME=""`, and for a user who is not in the system's list of users. */
function findHome(): string {
  try {
    return homedir();
  } catch {
    return "";
  }
}
