/** Codex's own `auth.json`: read with care, replaced as a whole, and removed. */

import { constants } from "node:fs";
import { lstat, mkdir, open, realpath, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { isJsonObject, parseUtf8Json, type JsonObject } from "../protocol/encoding.js";
import { LoginError } from "./login-error.js";

/** Members of which Codex's file has at least one, unless it is empty. */
const KNOWN_MEMBERS = ["auth_mode", "OPENAI_API_KEY", "agent_identity", "tokens", "last_refresh"];

/** Bytes: a hundred times what Codex writes. */
const MAX_SIZE = 1024 * 1024;

export const authFilePath = (codexHome: string): string => join(codexHome, "auth.json");

export interface AuthFile {
  readonly content: JsonObject;
  /** Permission bits and type, as the system has them. */
  readonly mode: number;
}

/**
 * @returns `undefined` if there is no such file
 * @throws {LoginError} that names the file, if it cannot be read or is not one of Codex's
 */
export async function readAuthFile(path: string): Promise<AuthFile | undefined> {
  const file = await readRegularFile(path);
  if (file === undefined) return undefined;
  let content: unknown;
  try {
    content = parseUtf8Json(file.bytes);
  } catch {
    throw invalidAuthFile(path, "it is not JSON");
  }
  if (!isJsonObject(content)) throw invalidAuthFile(path, "it is not a JSON object");
  const members = Object.keys(content);
  if (members.length > 0 && !members.some((name) => KNOWN_MEMBERS.includes(name))) {
    throw invalidAuthFile(path, "another program wrote it");
  }
  return { content, mode: file.mode };
}

/** Replaces the file, through a symbolic link too. Only its owner can read it. @throws {LoginError} `auth_file_unwritable` */
export async function writeAuthFile(codexHome: string, content: object): Promise<void> {
  const path = authFilePath(codexHome);
  try {
    await mkdir(codexHome, { recursive: true, mode: 0o700 });
    await writeFileAtomic(path, JSON.stringify(content, null, 2), { mode: 0o600 });
  } catch (error) {
    throw new LoginError("auth_file_unwritable", `${path} cannot be written${systemCode(error)}`);
  }
}

/**
 * Removes the file, whatever it holds. If it is a symbolic link, its target is emptied first: the credentials are there.
 * @returns whether there was one
 * @throws {LoginError} `auth_file_unwritable`
 */
export async function removeAuthFile(path: string): Promise<boolean> {
  try {
    if ((await lstat(path)).isSymbolicLink()) await emptyTarget(path);
    await rm(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw new LoginError("auth_file_unwritable", `${path} cannot be removed${systemCode(error)}`);
  }
}

export function invalidAuthFile(path: string, reason: string): LoginError {
  return new LoginError("auth_file_invalid", `${path} is not a valid auth.json, and was left alone: ${reason}`);
}

async function emptyTarget(link: string): Promise<void> {
  let target: string;
  try {
    target = await realpath(link);
  } catch (error) {
    if (isAbsent(error)) return; // the link leads nowhere
    throw error;
  }
  if ((await lstat(target)).isFile()) await truncate(target);
}

async function readRegularFile(path: string): Promise<{ bytes: Buffer; mode: number } | undefined> {
  try {
    // Without O_NONBLOCK, opening a named pipe waits for a writer.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      if (!stats.isFile() && !stats.isDirectory()) throw unreadable(path, " (it is not a regular file)");
      if (stats.size > MAX_SIZE) throw invalidAuthFile(path, `it has more than ${MAX_SIZE} bytes`);
      return { bytes: await file.readFile(), mode: stats.mode };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error instanceof LoginError ? error : unreadable(path, systemCode(error));
  }
}

function unreadable(path: string, details: string): LoginError {
  return new LoginError("auth_file_unreadable", `${path} cannot be read${details}`);
}

/** There is no such file, or no such directory. */
function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

function systemCode(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined ? "" : ` (${code})`;
}
