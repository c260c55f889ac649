/**
 * Seals the documents of an issuer (AES-256-GCM, NIST SP 800-38D). The name of the entry is authenticated with the text, so a
 * sealed document counts under its own name only. Deletion, and an older document of the same name, cannot be noticed.
 */

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { types } from "node:util";
import type { OptionCheck } from "../protocol/options.js";

const PREFIX = "sealed.1.";
const NONCE_LENGTH = 12;
const TAG_LENGTH = 16;
const SHORTEST_SECRET = 32;

/** At least 32 characters of text, or 32 bytes. */
export type StoreSecret = string | Uint8Array;

export const aSecretList: OptionCheck = {
  expected: `a list of secrets, each of at least ${SHORTEST_SECRET} characters or bytes`,
  accepts: (value) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every(
      (secret) => (typeof secret === "string" || types.isUint8Array(secret)) && secret.length >= SHORTEST_SECRET,
    ),
};

export interface Seal {
  seal(name: string, text: string): string;
  /** @throws Error for a document that is plain, damaged, of another name, or sealed with an unknown secret */
  open(name: string, text: string): string;
  /** Whether the newest secret has sealed it. */
  isCurrent(name: string, text: string): boolean;
}

/** @param secrets the first one seals, and all of them open */
export function createSeal(secrets: readonly StoreSecret[]): Seal {
  const keys = secrets.map((secret) => Buffer.from(hkdfSync("sha256", secret, "", "agent-identity-auth store", 32)));
  const [newest = Buffer.alloc(0)] = keys;
  return {
    seal(name, text) {
      const nonce = randomBytes(NONCE_LENGTH);
      const cipher = createCipheriv("aes-256-gcm", newest, nonce).setAAD(Buffer.from(name));
      const parts = [nonce, cipher.update(text, "utf8"), cipher.final()];
      return PREFIX + Buffer.concat([...parts, cipher.getAuthTag()]).toString("base64url");
    },
    open(name, text) {
      for (const key of keys) {
        const opened = openWith(key, name, text);
        if (opened !== undefined) return opened;
      }
      throw new Error("the issuer's store holds a document that none of the secrets has sealed under this name");
    },
    isCurrent: (name, text) => openWith(newest, name, text) !== undefined,
  };
}

/** For an issuer without `secrets`. */
export const UNSEALED: Seal = {
  seal: (_name, text) => text,
  open(_name, text) {
    if (text.startsWith(PREFIX)) throw new Error("the issuer's store holds sealed documents: pass the option secrets");
    return text;
  },
  isCurrent: () => true,
};

function openWith(key: Buffer, name: string, text: string): string | undefined {
  if (!text.startsWith(PREFIX)) return undefined;
  const bytes = Buffer.from(text.slice(PREFIX.length), "base64url");
  if (bytes.length < NONCE_LENGTH + TAG_LENGTH) return undefined;
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE_LENGTH), { authTagLength: TAG_LENGTH });
  decipher.setAAD(Buffer.from(name)).setAuthTag(bytes.subarray(-TAG_LENGTH));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_LENGTH, -TAG_LENGTH)), decipher.final()]).toString();
  } catch {
    return undefined;
  }
}
