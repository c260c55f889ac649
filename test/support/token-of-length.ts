/** Good tokens of any length, for the bounds. */

import { claims, now, signToken } from "./agents.js";

/** A token that is good for a month, of exactly so many characters. */
export function tokenOfLength(length: number): string {
  for (let more = 0; more < 4; more++) {
    const make = (fill: number): string =>
      signToken(
        { alg: "RS256", kid: "key-1", x: "x".repeat(more) },
        claims({ exp: now() + 30 * 86_400, fill: "x".repeat(fill) }),
      );
    const fill = Math.floor((length - make(0).length) * 0.75) - 2;
    for (let i = fill; i < fill + 5; i++) {
      const token = make(i);
      if (token.length === length) return token;
    }
  }
  throw new Error(`no token has ${length} characters`);
}
