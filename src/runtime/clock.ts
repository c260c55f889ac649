/** In seconds since the epoch. A greater number is a time in milliseconds. */
export const LATEST_TIME = 1e11 - 1;

/** The clock by which tokens and assertions expire, in whole seconds since the epoch (RFC 7519 §2, NumericDate). */
export function nowInSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
