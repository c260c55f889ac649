/** Where credentials are kept: Codex's own `auth.json`, compatible both ways, and the memory of this process. */

import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { isJsonObject, parseUtf8Json } from "../protocol/encoding.js";
import { LoginError } from "./login-error.js";

/** Credentials before anything in them is verified. */
export type StoredCredentials =
  { readonly mode: "agentIdentity"; readonly token: string } | { readonly mode: "apikey"; readonly apiKey: string };

/** Codex's setting: where credentials are kept. */
export type AuthCredentialsStoreMode = "file" | "ephemeral";

/** By Codex home. */
const inMemory = new Map<string, StoredCredentials>();

export function readFromMemory(codexHome: string): StoredCredentials | undefined {
  return inMemory.get(codexHome);
}

/** @throws {LoginError} that names the file if it is not one of Codex's, or holds another kind of sign-in */
export async function readFromFile(codexHome: string): Promise<StoredCredentials | undefined> {
  const path = authFile(codexHome);
  const content = await readAuthFile(path);
  if (content === undefined) return undefined;
  const { auth_mode, OPENAI_API_KEY: apiKey, agent_identity: token } = content;
  // As Codex does it: a file without a mode is an API key's if it has one.
  switch (auth_mode ?? (typeof apiKey === "string" ? "apikey" : "chatgpt")) {
    case "agentIdentity":
      if (typeof token !== "string") throw invalid(path, "agent identity auth is missing an agent identity token");
      return { mode: "agentIdentity", token };
    case "apikey":
      if (typeof apiKey !== "string") throw invalid(path, "API key auth is missing a key");
      return { mode: "apikey", apiKey };
    default:
      throw new LoginError(
        "credentials_unsupported",
        `${path} holds another kind of sign-in: sign in with an access token or an API key to replace it`,
      );
  }
}

/** @throws {LoginError} and changes nothing, if there is a file that is not one of Codex's */
export async function saveCredentials(
  codexHome: string,
  storeMode: AuthCredentialsStoreMode,
  credentials: StoredCredentials,
): Promise<void> {
  if (storeMode === "ephemeral") {
    inMemory.set(codexHome, credentials);
    return;
  }
  const path = authFile(codexHome);
  await readAuthFile(path);
  const content =
    credentials.mode === "apikey"
      ? { auth_mode: credentials.mode, OPENAI_API_KEY: credentials.apiKey }
      : { auth_mode: credentials.mode, OPENAI_API_KEY: null, agent_identity: credentials.token };
  try {
    await mkdir(codexHome, { recursive: true, mode: 0o700 });
    await writeFileAtomic(path, JSON.stringify(content, null, 2), { mode: 0o600 });
  } catch (error) {
    throw new LoginError("auth_file_unwritable", `${path} cannot be written${systemCode(error)}`);
  }
}

/** From both stores. @returns whether anything was there */
export async function removeCredentials(codexHome: string): Promise<boolean> {
  const wasInMemory = inMemory.delete(codexHome);
  const path = authFile(codexHome);
  try {
    await rm(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return wasInMemory;
    throw new LoginError("auth_file_unwritable", `${path} cannot be removed${systemCode(error)}`);
  }
}

interface AuthFileContent {
  auth_mode?: unknown;
  OPENAI_API_KEY?: unknown;
  agent_identity?: unknown;
}

const authFile = (codexHome: string): string => join(codexHome, "auth.json");

/** Members of which Codex's file has at least one, unless it is empty. */
const KNOWN_MEMBERS = ["auth_mode", "OPENAI_API_KEY", "agent_identity", "tokens"];

async function readAuthFile(path: string): Promise<AuthFileContent | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw new LoginError("auth_file_unreadable", `${path} cannot be read${systemCode(error)}`);
  }
  let content: unknown;
  try {
    content = parseUtf8Json(bytes);
  } catch {
    throw invalid(path, "it is not JSON");
  }
  if (!isJsonObject(content)) throw invalid(path, "it is not a JSON object");
  const members = Object.keys(content);
  if (members.length > 0 && !members.some((name) => KNOWN_MEMBERS.includes(name))) {
    throw invalid(path, "it is some other program's");
  }
  for (const name of ["auth_mode", "OPENAI_API_KEY", "agent_identity"] as const) {
    const value = (content as AuthFileContent)[name];
    // Newer clients may keep an object where the token was.
    const isObject = name === "agent_identity" && typeof value === "object";
    if (value !== undefined && value !== null && typeof value !== "string" && !isObject) {
      throw invalid(path, `${name} is not a string`);
    }
  }
  return content;
}

function invalid(path: string, reason: string): LoginError {
  return new LoginError("auth_file_invalid", `${path} is not a valid auth.json, and was left alone: ${reason}`);
}

/** There is no such file, or no such directory. */
function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

function systemCode(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined ? "" : ` (${code})`;
}
