/** Whatever stands in the options, there is a TypeError, or a middleware that works. `test/verify/options` has the table. */

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  agentIdentityAuth,
  createJwksResolver,
  createVerifier,
  type AgentIdentityAuthOptions,
} from "../../src/index.js";
import { claims, mint, signingKey } from "../support/agents.js";
import { createDirectory } from "../support/assertions.js";
import { attempt, fuzz, settled } from "./budget.js";
import { nextMonth } from "./values.js";

const base = "https://gw.example";
const keySet = { keys: [signingKey.jwk] };
const GOOD: { [Name in keyof AgentIdentityAuthOptions]-?: AgentIdentityAuthOptions[Name][] } = {
  credentialsRequired: [true, false],
  keepCredentials: [true, false],
  maxTokenAge: [10_000],
  realm: ["x", 'a "b" \\', "~".repeat(256)],
  resourceMetadata: ["https://gw.example/metadata?a=b", 'https://gw.example/"'],
  directory: [createDirectory()],
  bearer: [true],
  issuer: ["https://issuer.example"],
  audience: ["gateway"],
  clockTolerance: [0, 300],
  tokenCache: [false, {}, { max: 1 }],
  jwksUrl: [],
  allowInsecureHttp: [true, false],
  warnings: [true, false],
  waitUntil: [() => undefined],
  jwks: [{ keySet }, createJwksResolver(base, { keySet })],
};
const good = fc.record(
  Object.fromEntries(Object.entries(GOOD).map(([name, values]) => [name, fc.constantFrom(...values, undefined)])),
  { requiredKeys: [] },
);
const quoted = (text: string): string => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

test("options that are all as they should be make a middleware that works", async () => {
  await fuzz(120, { works: 1 }, good, async (options) => {
    const given = { jwks: { keySet }, ...(options["jwks"] === undefined ? { ...options, jwks: { keySet } } : options) };
    const { realm = "agent-identity", resourceMetadata: metadata, ...rest } = given as AgentIdentityAuthOptions;
    const agents = agentIdentityAuth(base, given);
    const ask = (authorization?: string) => settled(agents.authenticate({ headers: { authorization } }));
    const suffix = metadata === undefined ? "" : `, resource_metadata=${quoted(metadata)}`;
    const challenge = `Bearer realm=${quoted(realm)}${suffix}`;
    expect(await ask()).toMatchObject({ code: "credentials_missing", headers: { "WWW-Authenticate": challenge } });
    const { issuer: iss = claims().iss, audience: aud = claims().aud } = rest;
    expect(await ask(`Bearer ${mint({ iss, aud, exp: nextMonth })}`)).toMatchObject({ agentRuntimeId: "agent-1" });
    expect(await ask(`Bearer ${mint({ iss, aud: `${aud} ` })}`)).toMatchObject({ code: "audience_invalid" });
    return "works";
  });
});

test("anything at all, alone or beside good ones, makes a TypeError or a middleware", async () => {
  const inJwks = fc.tuple(fc.constantFrom("keySet", "store", "fetch", "cacheMaxAge"), fc.anything());
  const member = fc.oneof(
    fc.tuple(fc.constantFrom(...Object.keys(GOOD), "Realm", "toString"), fc.anything()),
    inJwks.map(([name, value]) => ["jwks", { [name]: value }] as const),
  );
  const options = fc.oneof(
    fc.anything(),
    member.map(([name, value]) => ({ [name]: value })),
    fc.tuple(good, member).map(([others, [name, value]]) => ({ ...others, [name]: value })),
  );
  await fuzz(300, { works: 0.01, TypeError: 0.4 }, options, async (options) => {
    const given = options as AgentIdentityAuthOptions;
    const made = [agentIdentityAuth, createVerifier, createJwksResolver].map((create) =>
      attempt(() => (create as (base: string, options: unknown) => unknown)(base, given)),
    );
    for (const error of made.filter((each) => each instanceof Error)) {
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/^\P{C}+$/u);
    }
    const [agents] = made as [ReturnType<typeof agentIdentityAuth> | Error];
    if (agents instanceof Error) return "TypeError";
    expect(await settled(agents.authenticate({ headers: {} }))).toMatchObject({ code: "credentials_missing" });
    return "works";
  });
});
