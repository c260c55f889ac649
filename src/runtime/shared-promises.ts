/**
 * Whether a promise that one request has started may be waited for by another. On Cloudflare Workers it may not: when the first
 * request ends or its caller hangs up, the promise never settles, and the other request hangs.
 */
export const requestsMaySharePromises =
  (globalThis as { navigator?: { userAgent?: unknown } }).navigator?.userAgent !== "Cloudflare-Workers";
