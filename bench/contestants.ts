/** Who is measured. Each is set up as its own README says for RS256 and a JWKS, and answers with the same JSON. */

import type { RequestListener } from "node:http";
import type { Trust } from "./backend.js";

export interface Contestant {
  readonly title: string;
  /** The packages that it is made of. */
  readonly packages: readonly string[];
  /** One route, `/tasks`, that answers only the backend's agents: each with its id. */
  createListener(trust: Trust): RequestListener;
}

type Contestants = Record<string, () => Promise<{ contestant: Contestant }>>;

// Loaded one by one, so that a server holds nothing of the others.
const yardsticksOnExpress = {
  bare: () => import("./contestants/bare.js"),
  property: () => import("./contestants/property.js"),
  least: () => import("./contestants/least.js"),
} satisfies Contestants;

const verifiersOnExpress = {
  "agent-identity-auth": () => import("./contestants/agent-identity-auth.js"),
  jose: () => import("./contestants/jose.js"),
  "express-oauth2-jwt-bearer": () => import("./contestants/express-oauth2-jwt-bearer.js"),
  "express-jwt": () => import("./contestants/express-jwt.js"),
  "aws-jwt-verify": () => import("./contestants/aws-jwt-verify.js"),
  "fast-jwt": () => import("./contestants/fast-jwt.js"),
  "fast-jwt-cached": () => import("./contestants/fast-jwt-cached.js"),
} satisfies Contestants;

const yardsticksOnKoa = {
  "bare-koa": () => import("./contestants/bare-koa.js"),
  "least-koa": () => import("./contestants/least-koa.js"),
} satisfies Contestants;

const verifiersOnKoa = {
  "agent-identity-auth-koa-alone": () => import("./contestants/agent-identity-auth-koa-alone.js"),
  "agent-identity-auth-koa": () => import("./contestants/agent-identity-auth-koa.js"),
} satisfies Contestants;

const onExpress = { ...yardsticksOnExpress, ...verifiersOnExpress };
const onKoa = { ...yardsticksOnKoa, ...verifiersOnKoa };

export const contestants = { ...onExpress, ...onKoa };

export type ContestantName = keyof typeof contestants;
export type ExpressVerifierName = keyof typeof verifiersOnExpress;
export type ExpressName = keyof typeof onExpress;
export type KoaName = keyof typeof onKoa;

/** The yardsticks: they verify nothing. */
export const letEverybodyThrough: ReadonlySet<string> = new Set(
  Object.keys({ ...yardsticksOnExpress, ...yardsticksOnKoa }),
);

/** Who competes with whom. The ratios are to the first of each. */
export const expressNames = Object.keys(onExpress) as ExpressName[];
export const koaNames = Object.keys(onKoa) as KoaName[];
