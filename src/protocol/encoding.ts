/** Strict decoding: one spelling for one value, and nothing skipped. */

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

/** `ignoreBOM` keeps a byte-order mark in the text, where `JSON.parse` refuses it. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @throws if the bytes are not UTF-8 JSON without a byte-order mark (RFC 8259 §8.1) */
export function parseUtf8Json(bytes: Uint8Array): unknown {
  return JSON.parse(utf8.decode(bytes));
}
