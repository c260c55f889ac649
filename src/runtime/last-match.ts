const ANY = /./;

/**
 * The engine keeps the text that a regular expression has matched last, and with it the whole string of which that is a
 * part: here a header, and the private key in its token. Call this after a regular expression has read a header.
 */
export function forgetLastMatch(): void {
  ANY.exec("x");
}
