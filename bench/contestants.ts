/** Who is measured. Each is set up as its own README says for RS256 and a JWKS, and answers with the same JSON. */

import type { Request, RequestHandler } from "express";
import type { Trust } from "./backend.js";

export interface Contestant {
  readonly title: string;
  /** The packages that it is made of, beside Express. */
  readonly packages: readonly string[];
  /** The handlers that let only the backend's agents through. */
  protect(trust: Trust): RequestHandler[];
  /** The agent that they found. */
  agentOf(req: Request): string | undefined;
}

/** Loaded one by one, so that a server holds nothing of the others. */
export const contestants = {
  bare: () => import("./contestants/bare.js"),
  "agent-identity-auth": () => import("./contestants/agent-identity-auth.js"),
  jose: () => import("./contestants/jose.js"),
  "express-oauth2-jwt-bearer": () => import("./contestants/express-oauth2-jwt-bearer.js"),
  "express-jwt": () => import("./contestants/express-jwt.js"),
  "aws-jwt-verify": () => import("./contestants/aws-jwt-verify.js"),
  "fast-jwt": () => import("./contestants/fast-jwt.js"),
  "fast-jwt-cached": () => import("./contestants/fast-jwt-cached.js"),
} satisfies Record<string, () => Promise<{ contestant: Contestant }>>;

export type ContestantName = keyof typeof contestants;

export const contestantNames = Object.keys(contestants) as ContestantName[];
