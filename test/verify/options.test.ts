import { describe, expect, test } from "vitest";
import { agentIdentityAuth, createJwksResolver, createVerifier, type LoginRestrictions } from "../../src/index.js";
import { signingKey } from "../support/agents.js";

const base = "https://chatgpt.com/backend-api";
const keySet = { keys: [signingKey.jwk] };
const store = new Map();

test("inherited options do not count", async () => {
  const agents = agentIdentityAuth(base, Object.create({ credentialsRequired: false, realm: 5 }) as object);
  await expect(agents.authenticate({ headers: {} })).rejects.toMatchObject({ code: "credentials_missing" });
  expect(() => agents.restrictTo(Object.create({ forcedLoginMethod: "api" }) as object)).toThrow(TypeError);
});

test.each<[LoginRestrictions, RegExp]>([
  [{}, /every agent identity would be let in/],
  [{ forcedLoginMethod: "chatgpt" }, /every agent identity would be let in/],
  [{ forcedLoginMethod: undefined }, /every agent identity would be let in/],
  [{ forcedChatgptWorkspaceId: undefined }, /is the environment variable set\?/],
  [{ forcedLoginMethod: "chatgpt", forcedChatgptWorkspaceId: undefined }, /is the environment variable set\?/],
  [{ forcedLoginMethod: "api", forcedChatgptWorkspaceId: undefined }, /is the environment variable set\?/],
  [{ forcedLoginMethod: "chatgpt", forcedChatgptWorkspaceId: "" }, /must be an account id/],
  [{ forcedChatgptWorkspaceId: [" "] }, /must be an account id/],
])("restrictTo(%o) would restrict nobody: TypeError", (restrictions, message) => {
  expect(() => agentIdentityAuth(base).restrictTo(restrictions)).toThrow(message);
  expect(() => agentIdentityAuth(base).restrictTo(restrictions)).toThrow(TypeError);
});

test("restrictTo takes an undefined login method beside a workspace", () => {
  const restrictions = { forcedLoginMethod: undefined, forcedChatgptWorkspaceId: "acct-1" };
  expect(agentIdentityAuth(base).restrictTo(restrictions)).toBeInstanceOf(Function);
});

test("an option is read once: what was checked is what is used", async () => {
  let reads = 0;
  const options = {
    jwks: { keySet },
    get realm() {
      return reads++ === 0 ? "checked" : 'x", error="none';
    },
  };
  await expect(agentIdentityAuth(base, options).authenticate({ headers: {} })).rejects.toMatchObject({
    headers: { "WWW-Authenticate": 'Bearer realm="checked"' },
  });
});

describe("a wrong option is a TypeError that names it", () => {
  test.each<[Record<string, unknown>, RegExp]>([
    [{ audiance: "x" }, /there is no option "audiance"; the options are .*audience/],
    [{ credentialsRequired: "no" }, /credentialsRequired must be true or false/],
    [{ credentialsRequired: null }, /credentialsRequired/],
    [{ realm: "" }, /realm must be .* printable ASCII/],
    [{ realm: "  " }, /realm/],
    [{ realm: "a\r\nb" }, /realm/],
    [{ realm: "zürich" }, /realm/],
    [{ resourceMetadata: "/.well-known/oauth-protected-resource" }, /resourceMetadata must be an absolute https URL/],
    [{ resourceMetadata: "http://gw.example/metadata" }, /resourceMetadata/],
    [{ resourceMetadata: "https://user:secret@gw.example/metadata" }, /resourceMetadata/],
    [{ resourceMetadata: "https://gw.example/metadata#x" }, /resourceMetadata/],
    [{ directory: {} }, /directory must be a directory with findAgent\(\) and findTask\(\)/],
    [{ bearer: false }, /bearer: false needs a directory/],
    [{ resourceMetadata: 'https://gw.example/"' + "\n" }, /resourceMetadata/],
    [{ issuer: "" }, /issuer must be a string that is not blank/],
    [{ issuer: ["x"] }, /issuer/],
    [{ audience: " " }, /audience/],
    [{ audience: ["a", "b"] }, /audience/],
    [{ clockTolerance: -1 }, /clockTolerance must be an integer of 0 to 300 \(seconds\)/],
    [{ clockTolerance: 301 }, /clockTolerance/],
    [{ clockTolerance: 1.5 }, /clockTolerance/],
    [{ clockTolerance: NaN }, /clockTolerance/],
    [{ clockTolerance: "60" }, /clockTolerance/],
    [{ jwksUrl: "jwks" }, /jwksUrl must be an absolute http\(s\) URL/],
    [{ jwksUrl: "http://gw.example/jwks" }, /jwksUrl is plain http/],
    [{ allowInsecureHttp: 1 }, /allowInsecureHttp must be true or false/],
    [{ tokenCache: true }, /tokenCache must be false or \{ max/],
    [{ tokenCache: [] }, /tokenCache must be false or \{ max/],
    [{ tokenCache: new Map([["max", 5]]) }, /tokenCache/],
    [{ tokenCache: { max: 1.5 } }, /tokenCache/],
    [{ tokenCache: { max: 1_000_001 } }, /tokenCache/],
    [{ tokenCache: { max: 0 } }, /tokenCache/],
    [{ tokenCache: { max: 1, ttl: 1 } }, /tokenCache/],
    [{ jwks: null }, /jwks: the options must be an object/],
    [{ jwks: new Map() }, /jwks: the options must be an object/],
    [{ jwks: Promise.resolve({}) }, /jwks: the options must be an object/],
    [{ jwks: { maxAge: 1 } }, /jwks: there is no option "maxAge"; the options are cacheMaxAge/],
    ...["cacheMaxAge", "cooldownDuration", "timeoutDuration", "staleIfErrorDuration"].flatMap(
      (name): [Record<string, unknown>, RegExp][] =>
        [NaN, -1, 1.5, Infinity, "1000", null].map((value) => [
          { jwks: { [name]: value } },
          new RegExp(`${name} must be an integer of [01] .*\\(ms\\)`),
        ]),
    ),
    [{ jwks: { cacheMaxAge: 0 } }, /cacheMaxAge must be an integer of 1 or more/],
    [{ jwks: { timeoutDuration: 0 } }, /timeoutDuration/],
    [{ jwks: { timeoutDuration: 2 ** 31 } }, /timeoutDuration/],
    [{ jwks: { fetch: "fetch" } }, /fetch must be a function/],
    [{ jwks: { store: {} } }, /store must be a store with get\(\) and set\(\)/],
    [{ jwks: { keySet: null } }, /keySet must be a JWKS/],
    [{ jwks: { keySet: { keys: [] } } }, /keySet must be a JWKS .* no usable key/],
    [{ jwks: { keySet, fetch } }, /leave out the other jwks options/],
    [{ jwks: { keySet }, jwksUrl: "https://gw.example/jwks" }, /keySet and jwksUrl exclude each other/],
    [{ jwks: createJwksResolver("https://gw.example") }, /another JWKS URL/],
  ])("%o", (options, message) => {
    const construct = () => agentIdentityAuth(base, options);
    expect(construct).toThrow(TypeError);
    expect(construct).toThrow(message);
  });

  test.each([null, 7, "options", []])("%j instead of options", (options) => {
    expect(() => agentIdentityAuth(base, options as never)).toThrow(/agentIdentityAuth: the options must be an object/);
    expect(() => createVerifier(base, options as never)).toThrow(/createVerifier: the options must be an object/);
    expect(() => createJwksResolver(base, options as never)).toThrow(/createJwksResolver: the options must be an/);
  });

  test("the verifier does not take the middleware's options", () => {
    expect(() => createVerifier(base, { realm: "x" } as never)).toThrow(/createVerifier: there is no option "realm"/);
  });
});

test.each([
  {},
  { clockTolerance: 0 },
  { clockTolerance: 300 },
  { clockTolerance: undefined, jwks: undefined, realm: undefined, tokenCache: undefined },
  { resourceMetadata: "https://gw.example/.well-known/oauth-protected-resource" },
  { resourceMetadata: "http://127.0.0.1:8080/metadata" },
  { realm: 'with "quotes" and \\' },
  { tokenCache: false as const },
  { tokenCache: { max: 1 } },
  { tokenCache: { max: undefined } },
  { jwks: { cooldownDuration: 0, staleIfErrorDuration: 0, fetch, store } },
  { jwks: { keySet, fetch: undefined } },
  { jwks: createJwksResolver("https://chatgpt.com/", { timeoutDuration: 1 }) },
])("%o is fine", (options) => {
  expect(agentIdentityAuth(base, options)).toBeTypeOf("function");
});
