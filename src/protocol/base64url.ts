/**
 * Decodes base64url only if it is the one canonical spelling of its bytes (RFC 4648 §3.5, §5): no padding, no `+` or
 * `/`, no stray trailing bits. `Buffer` alone skips whatever it does not understand.
 */
export function decodeCanonicalBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}
