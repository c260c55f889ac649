/** Strict decoding: one spelling for one value, and nothing skipped. */

import { isUtf8 } from "node:buffer";
import { withoutStack } from "../runtime/without-stack.js";

/**
 * Decodes base64url only if it is the one canonical spelling of its bytes (RFC 4648 §3.5, §5): no padding, no `+` or
 * `/`, no stray trailing bits. `Buffer` alone skips whatever it does not understand.
 */
export function decodeCanonicalBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/** The same for standard base64 with padding (RFC 4648 §4). */
export function decodeCanonicalBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

/** @throws if the bytes are not UTF-8 JSON without a byte-order mark, which `JSON.parse` refuses (RFC 8259 §8.1) */
export function parseUtf8Json(bytes: Buffer): unknown {
  return withoutStack(() => {
    if (!isUtf8(bytes)) throw new SyntaxError("not UTF-8");
    return JSON.parse(bytes.toString()) as unknown;
  });
}

/**
 * The JSON object in a canonical base64url text; `undefined` if it is not one. It has no prototype: a member that was
 * not sent is not read from a polluted `Object.prototype`.
 */
export function decodeBase64urlJsonObject(text: string): JsonObject | undefined {
  const bytes = decodeCanonicalBase64url(text);
  try {
    return bytes && toJsonObject(parseUtf8Json(bytes));
  } catch {
    return undefined;
  }
}

export type JsonObject = Record<string, unknown>;

/** Neither `null` nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `undefined` for what is no object or is an array. Members are own ones only: the prototype is taken away. */
export function toJsonObject(value: unknown): JsonObject | undefined {
  if (!isJsonObject(value)) return undefined;
  return Object.setPrototypeOf(value, null) as JsonObject;
}
