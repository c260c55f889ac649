/** Where credentials are kept: Codex's own `auth.json`, compatible both ways, and the memory of this process. */

import { isJsonObject, type JsonObject } from "../protocol/encoding.js";
import { warn } from "../runtime/warn.js";
import { parseAgentRecord, type AgentRecord } from "./agent-record.js";
import { authFilePath, invalidAuthFile, readAuthFile, removeAuthFile, writeAuthFile } from "./auth-file.js";
import { requireCodexHome } from "./codex-home.js";
import { LoginError } from "./login-error.js";

/** Credentials before anything in them is verified. */
export type StoredCredentials =
  | { readonly mode: "agentIdentity"; readonly token: string }
  | { readonly mode: "agentRecord"; readonly record: AgentRecord; readonly path: string }
  | { readonly mode: "apikey"; readonly apiKey: string };

/** Codex's setting: where credentials are kept. */
export type AuthCredentialsStoreMode = "file" | "ephemeral";

/** By Codex home; the empty string where there is none. */
const inMemory = new Map<string, StoredCredentials>();

export function readFromMemory(codexHome: string | undefined): StoredCredentials | undefined {
  return inMemory.get(codexHome ?? "");
}

/** @throws {LoginError} that names the file, if it is not one of Codex's or holds another kind of sign-in */
export async function readFromFile(codexHome: string): Promise<StoredCredentials | undefined> {
  const path = authFilePath(codexHome);
  const file = await readAuthFile(path);
  if (file === undefined) return undefined;
  warnIfOthersCanRead(path, file.mode);
  return readCredentials(path, file.content);
}

/** @throws {LoginError} and changes nothing, if there is a file that is not one of Codex's */
export async function saveCredentials(
  codexHome: string | undefined,
  storeMode: AuthCredentialsStoreMode,
  credentials: Exclude<StoredCredentials, { mode: "agentRecord" }>,
): Promise<void> {
  if (storeMode === "ephemeral") {
    inMemory.set(codexHome ?? "", credentials);
    return;
  }
  const home = requireCodexHome(codexHome);
  const path = authFilePath(home);
  const file = await readAuthFile(path);
  if (file !== undefined) requireKnownTypes(path, file.content);
  await writeAuthFile(
    home,
    credentials.mode === "apikey"
      ? { auth_mode: credentials.mode, OPENAI_API_KEY: credentials.apiKey }
      : { auth_mode: credentials.mode, OPENAI_API_KEY: null, agent_identity: credentials.token },
  );
}

/** From both stores. @returns whether anything was there @throws {LoginError} `auth_file_unwritable` */
export async function removeCredentials(codexHome: string | undefined): Promise<boolean> {
  const wasInMemory = inMemory.delete(codexHome ?? "");
  const wasInFile = codexHome !== undefined && (await removeAuthFile(authFilePath(codexHome)));
  return wasInMemory || wasInFile;
}

/** @throws {LoginError} that names the file */
export function readCredentials(path: string, content: JsonObject): StoredCredentials {
  requireKnownTypes(path, content);
  const { auth_mode, OPENAI_API_KEY: apiKey, agent_identity: agent } = content;
  // As Codex does it: a file without a mode is an API key's if it has one.
  const mode = auth_mode ?? (typeof apiKey === "string" ? "apikey" : "chatgpt");
  if (mode === "apikey") {
    if (typeof apiKey !== "string") throw invalidAuthFile(path, "API key auth is missing a key");
    return { mode, apiKey };
  }
  // Newer clients keep an agent that they enrolled themselves beside a ChatGPT sign-in.
  if ((mode === "agentIdentity" || mode === "chatgpt") && isJsonObject(agent)) {
    const record = parseAgentRecord(agent);
    if (record === undefined)
      throw invalidAuthFile(path, "agent_identity is no agent record: a member is missing or wrong");
    return { mode: "agentRecord", record, path };
  }
  if (mode === "agentIdentity") {
    if (typeof agent !== "string")
      throw invalidAuthFile(path, "agent identity auth is missing an agent identity token");
    return { mode, token: agent };
  }
  throw new LoginError(
    "credentials_unsupported",
    `${path} holds another kind of sign-in: sign in with an access token or an API key to replace it`,
  );
}

/** @throws {LoginError} `auth_file_invalid` */
function requireKnownTypes(path: string, content: JsonObject): void {
  for (const name of ["auth_mode", "OPENAI_API_KEY", "agent_identity"]) {
    const value = content[name] ?? "";
    const isRecord = name === "agent_identity" && isJsonObject(value);
    if (typeof value !== "string" && !isRecord) throw invalidAuthFile(path, `${name} is not a string`);
  }
}

/** Of which files a warning has been given. */
const warnedOf = new Set<string>();

/** Codex itself reads such a file, so it is no error. */
function warnIfOthersCanRead(path: string, mode: number): void {
  if ((mode & 0o077) === 0 || process.platform === "win32" || warnedOf.has(path)) return;
  warnedOf.add(path);
  warn(`other users of this machine may read ${path}: run chmod 600 on it`);
}
