/** The table of environments. What each name in `prepare` and `touch` does is in `children/prepare.js`. */

import { POLLUTED_NAMES } from "./children/prepare.js";
import type { Row, Verdict } from "./requests.js";

export interface Environment {
  /** Its row in the grid; several may share one. */
  row: string;
  /** Default: `node`. Runners are in `run.ts`. */
  runner?: "node" | "esbuild CommonJS" | "esbuild ESM" | "jest CommonJS" | "jest ESM" | "vitest";
  /** Relative to the import of the package and of the frameworks. */
  when?: "before" | "after";
  prepare?: string;
  argument?: string;
  touch?: string;
  /** Which frameworks; default: Express, Koa, `/fetch` and `createVerifier`. */
  adapters?: string[];
  /** The child's clock, in seconds, where it has one of its own. */
  now?: number;
  /** The backend has a host that only a mock knows. */
  isMocked?: boolean;
  flags?: string[];
  /** Of Jest and vitest. */
  testEnvironment?: string;
  /** What is right here; default: what is expected everywhere. */
  allowed?: (row: Row) => Verdict[];
  /** Why valid requests may be refused here, or construction may throw. */
  reason?: string;
}

const FUTURE = Date.UTC(2030, 0) / 1000;
const PAST = Date.UTC(2020, 0) / 1000;

const beforeAndAfter = (environment: Environment): Environment[] =>
  (["before", "after"] as const).map((when) => ({ ...environment, when, row: `${environment.row}, ${when}` }));

const orError = ({ expected }: Row) => [expected, "500 other"];
const errorOnSuccess = (row: Row) => (row.expected.startsWith("200") ? ["500 other"] : orError(row));
const errorOnCredentials = ({ expected, mount, authorization }: Row) =>
  authorization === undefined || mount === "insecure" ? [expected] : ["500 other", "400 request_malformed"];

/** What pollution does to Node and to jose: the verdicts that they leave to this package. */
const POLLUTION: Record<string, Partial<Environment>> = {
  // Node drops the header that was sent, because there seems to be one.
  authorization: {
    adapters: ["express", "koa"],
    allowed: ({ expected, mount }) => [expected, mount === "optional" ? '200 "nobody"' : "401 credentials_missing"],
  },
  crit: { reason: "jose reads a critical extension that it does not know, and refuses" },
  use: { reason: "jose on Node 20 reads it of the key, and throws" },
  key_ops: { reason: "jose on Node 20 reads it of the key, and throws" },
};

const [major = 0] = process.versions.node.split(".").map(Number);

/** @param release the Node major version of the children */
export const createEnvironments = (release = major): Environment[] => [
  { row: "plain" },

  ...["subclass", "realm", "proxy", "bluebird", "zone", "async-listener"].flatMap((prepare) =>
    beforeAndAfter({
      row: `Promise: ${prepare}`,
      prepare,
      ...(prepare === "bluebird" &&
        release >= 26 && { reason: "Node's fetch and Response call Promise.withResolvers, which bluebird lacks" }),
    }),
  ),

  ...(["node", "esbuild CommonJS"] as const).flatMap((runner) =>
    ["fake timers and Date", "fake timers"].flatMap((prepare) =>
      beforeAndAfter({
        row: `${prepare}, ${runner}`,
        prepare,
        runner,
        ...(prepare.endsWith("Date") && { now: FUTURE }),
      }),
    ),
  ),
  ...beforeAndAfter({ row: "vitest's fake timers", prepare: "vitest's fake timers", runner: "vitest", now: FUTURE }),
  ...beforeAndAfter({ row: "Date frozen in 2020", prepare: "frozen Date", now: PAST }),
  ...beforeAndAfter({ row: "Date frozen in 2030", prepare: "frozen Date", now: FUTURE }),

  ...["nock", "msw", "MockAgent"].flatMap((prepare) =>
    beforeAndAfter({ row: `fetch: ${prepare}`, prepare, isMocked: true }),
  ),
  ...beforeAndAfter({ row: "fetch: caching dispatcher", prepare: "caching dispatcher" }),

  { row: "vitest, node", runner: "vitest", testEnvironment: "node" },
  { row: "vitest, jsdom", runner: "vitest", testEnvironment: "jsdom" },
  { row: "vitest, happy-dom", runner: "vitest", testEnvironment: "happy-dom" },
  ...beforeAndAfter({ row: "jsdom globals", prepare: "jsdom globals" }),

  ...POLLUTED_NAMES.flatMap((argument) =>
    beforeAndAfter({ row: "Object.prototype polluted", prepare: "pollution", argument, ...POLLUTION[argument] }),
  ),

  { row: "--frozen-intrinsics", flags: ["--frozen-intrinsics"], adapters: ["fetch", "verifier"] },
  ...["express", "koa"].map((adapter) => ({
    row: `--frozen-intrinsics, ${adapter}`,
    flags: ["--frozen-intrinsics"],
    adapters: [adapter],
    reason: `depd, which ${adapter} itself needs, cannot be imported`,
  })),
  {
    row: "permission model",
    flags: [
      release >= 23 ? "--permission" : "--experimental-permission",
      "--allow-fs-read=*",
      "--allow-fs-write=*",
      ...(release >= 25 ? ["--allow-net"] : []),
    ],
  },

  ...[
    { touch: "frozen", allowed: errorOnSuccess },
    { touch: "proxied" },
    { touch: "headers frozen", allowed: orError },
    { touch: "headers in an array", allowed: errorOnCredentials },
    { touch: "a getter without setter", allowed: errorOnSuccess },
  ].map((environment) => ({ ...environment, row: `requests: ${environment.touch}`, adapters: ["express", "koa"] })),

  { row: "Jest, transformed to CommonJS", runner: "jest CommonJS", testEnvironment: "node" },
  { row: "Jest, ESM", runner: "jest ESM", testEnvironment: "node", flags: ["--experimental-vm-modules"] },
  {
    row: "Jest, transformed, jsdom",
    runner: "jest CommonJS",
    testEnvironment: "jsdom",
    reason: "jose needs TextEncoder, which this environment takes away",
  },
  {
    row: "Jest, transformed, jsdom and Node's",
    runner: "jest CommonJS",
    testEnvironment: "<rootDir>/children/jest-jsdom.js",
  },
  ...beforeAndAfter({
    row: "Jest, transformed, fake timers",
    runner: "jest CommonJS",
    testEnvironment: "node",
    prepare: "jest's fake timers",
    now: FUTURE,
  }),

  { row: "esbuild, CommonJS", runner: "esbuild CommonJS" },
  { row: "esbuild, ESM", runner: "esbuild ESM" },
];
