/** What stands in a header in place of a token that was hidden. */

const PREFIX = "hidden.";

/**
 * It differs by token, so that caches and rate limits keyed by the header do not take one agent for another.
 * @param digest SHA-256 of the token, in hexadecimal
 */
export function placeholderOf(digest: string): string {
  return `${PREFIX}${digest.slice(0, 16)}`;
}

/** Whether this package, or another copy of it, has hidden the token. */
export function isPlaceholder(token: string): boolean {
  return token.startsWith(PREFIX);
}
