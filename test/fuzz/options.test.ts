/** Whatever stands in the options, there is a TypeError that names the option, or a middleware that works. */

import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  agentIdentityAuth,
  createJwksResolver,
  createVerifier,
  type AgentIdentityAuthOptions,
  type AgentIdentityError,
  type AgentIdentityMiddleware,
} from "../../src/index.js";
import { claims, mint, signingKey } from "../support/agents.js";
import { createDirectory } from "../support/assertions.js";
import { startBackend } from "../support/servers.js";
import { attempt } from "./attempt.js";
import { fuzz } from "./budget.js";
import { nextMonth } from "./values.js";

type Values = Record<keyof AgentIdentityAuthOptions, { good: unknown[]; bad: unknown[] }>;

const keySet = { keys: [signingKey.jwk] };
const noText = [null, 7, ["x"], {}, true];
const noBoolean = [null, 0, 1, "true", "", {}, []];

function valuesFor(baseUrl: string): Values {
  const { url } = createJwksResolver(baseUrl);
  return {
    credentialsRequired: { good: [true, false], bad: noBoolean },
    keepCredentials: { good: [true, false], bad: noBoolean },
    maxTokenAge: { good: [10_000, 2 ** 53 - 1], bad: [0, -1, 0.5, NaN, Infinity, 2 ** 53, 60n, "60", null, [60], {}] },
    realm: {
      good: ["x", 'a "b" \\', "~".repeat(256), " x "],
      bad: ["", " ", "é", "a\r\nb", "\0", "\x7f", "😀", ...noText],
    },
    resourceMetadata: {
      good: ["https://gw.example/metadata?a=b", "http://127.0.0.1:1/x", 'https://gw.example/"'],
      bad: [
        "",
        "/x",
        "http://gw.example",
        "https://u:p@gw.example",
        "https://gw.example/#x",
        "https://é.example",
        ...noText,
      ],
    },
    directory: { good: [createDirectory()], bad: [null, {}, "x", () => 1, { findAgent: () => 1 }, { findTask: 1 }] },
    bearer: { good: [true, true, true, false], bad: noBoolean },
    issuer: { good: ["https://issuer.example", claims().iss], bad: ["", " \n", ...noText] },
    audience: { good: ["gateway", claims().aud], bad: ["", " \n", ...noText] },
    clockTolerance: { good: [0, 1, 60, 300], bad: [-1, 301, 0.5, NaN, Infinity, 2 ** 53, 60n, "60", null, [60], {}] },
    tokenCache: {
      good: [false, {}, { max: 1 }, { max: 100 }, { max: undefined }],
      bad: [true, null, 1, "x", { max: 0 }, { max: -1 }, { max: 1.5 }, { max: 1_000_001 }, { max: 1, ttl: 1 }],
    },
    jwksUrl: {
      good: [url],
      bad: [
        "",
        "jwks",
        "ftp://gw.example/x",
        "https://u:p@gw.example",
        `${url}?x`,
        `${url}#x`,
        "https:\\gw.example",
        ...noText,
      ],
    },
    allowInsecureHttp: { good: [true, false], bad: noBoolean },
    jwks: {
      good: [
        ...[
          {},
          { keySet },
          { cacheMaxAge: 1 },
          { cooldownDuration: 0, staleIfErrorDuration: 0, timeoutDuration: 5_000 },
        ],
        ...[{ store: new Map() }, { fetch }, createJwksResolver(baseUrl), createJwksResolver(baseUrl, { keySet })],
      ],
      bad: [
        ...[null, 7, "x", [], () => 1, { maxAge: 1 }, { cacheMaxAge: 0 }, { cooldownDuration: -1 }],
        ...[
          { timeoutDuration: 2 ** 31 },
          { staleIfErrorDuration: Infinity },
          { fetch: 1 },
          { store: {} },
          { keySet: {} },
        ],
        ...[
          { keySet: null },
          { keySet: { keys: [null] } },
          { keySet, fetch },
          createJwksResolver("https://gw.example"),
        ],
      ],
    },
  };
}

interface Case {
  readonly options: Record<string, unknown>;
  /** The options that hold what they must not. */
  readonly wrong: readonly string[];
}

/** What a middleware gives to `next`. */
function errorOf(agents: AgentIdentityMiddleware, authorization?: string): Promise<AgentIdentityError | undefined> {
  const req = new IncomingMessage(new Socket());
  if (authorization !== undefined) req.headers = { authorization };
  return new Promise((resolve) => {
    agents(req, new ServerResponse(req), (error) => {
      resolve(error as AgentIdentityError | undefined);
    });
  });
}

const quoted = (text: string): string => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

test("options that are all as they should be make a middleware that works, and no others do", async () => {
  const { baseUrl } = await startBackend();
  const values = valuesFor(baseUrl);
  const good = fc.constantFrom(
    ...Object.entries(values).flatMap(([name, { good }]) =>
      [...good, undefined].map((value) => ({ name, value, wrong: false })),
    ),
  );
  const bad = fc.constantFrom(
    ...Object.entries(values).flatMap(([name, { bad }]) => bad.map((value) => ({ name, value, wrong: true }))),
    ...["Realm", "audiance", "toString"].map((name) => ({ name, value: 1, wrong: true })),
  );
  const cases = fc.tuple(fc.oneof(good, bad), fc.array(good, { maxLength: 8 })).map(([one, others]): Case => {
    const options = [...others.filter(({ name }) => name !== one.name), one];
    const given = Object.fromEntries(options.map(({ name, value }) => [name, value]));
    const wrong = options.filter((each) => each.wrong).map(({ name }) => name);
    if (given["bearer"] === false && given["directory"] === undefined) wrong.push("bearer");
    const jwks = given["jwks"] as { keySet?: unknown } | null | undefined;
    if (given["jwksUrl"] !== undefined && jwks?.keySet !== undefined) wrong.push("jwksUrl");
    return { options: given, wrong };
  });

  await fuzz({ runs: 250, shares: { works: 0.2, TypeError: 0.2 } }, cases, async ({ options, wrong }) => {
    const agents = attempt(() => agentIdentityAuth(baseUrl, options));
    if (agents instanceof Error) {
      expect(agents).toBeInstanceOf(TypeError);
      // Or what it is of `jwks` that is wrong.
      const names = wrong.flatMap((name) => (name === "jwks" ? ["jwks", "keySet"] : [name]));
      expect(names.filter((name) => agents.message.includes(name))).not.toEqual([]);
      expect(agents.message).toMatch(/^\P{C}+$/u);
      return "TypeError";
    }
    expect(wrong).toEqual([]);
    const {
      credentialsRequired,
      realm = "agent-identity",
      resourceMetadata,
      bearer,
    } = options as AgentIdentityAuthOptions;
    const nobody = await errorOf(agents);
    expect(nobody?.code).toBe(credentialsRequired === false ? undefined : "credentials_missing");
    const malformed = await errorOf(agents, "Digest");
    const metadata = resourceMetadata === undefined ? "" : `, resource_metadata=${quoted(resourceMetadata)}`;
    expect(malformed?.headers["WWW-Authenticate"]).toBe(`Bearer realm=${quoted(realm)}${metadata}`);

    const { issuer: iss = claims().iss, audience: aud = claims().aud } = options as AgentIdentityAuthOptions;
    const good = await errorOf(agents, `Bearer ${mint({ iss, aud, exp: nextMonth })}`);
    const bad = await errorOf(agents, `Bearer ${mint({ iss, aud: `${aud} `, exp: nextMonth })}`);
    expect([good?.code, bad?.code]).toEqual(
      bearer === false ? ["scheme_unsupported", "scheme_unsupported"] : [undefined, "audience_invalid"],
    );
    return "works";
  });
});

test("anything at all makes a TypeError or a middleware, and never anything else", async () => {
  const name = fc.constantFrom(...Object.keys(valuesFor("https://gw.example")), "baseUrl");
  const options = fc.oneof(
    fc.anything(),
    fc.tuple(name, fc.anything()).map(([name, value]) => ({ [name]: value })),
    fc.anything().map((jwks) => ({ jwks })),
    fc
      .tuple(fc.constantFrom("keySet", "store", "fetch"), fc.anything())
      .map(([name, jwks]) => ({ jwks: { [name]: jwks } })),
  );
  await fuzz({ runs: 300, shares: { works: 0.01, TypeError: 0.5 } }, options, async (options) => {
    const given = options as AgentIdentityAuthOptions;
    const agents = attempt(() => agentIdentityAuth("https://gw.example", given));
    const verifier = attempt(() => createVerifier("https://gw.example", given));
    const resolver = attempt(() => createJwksResolver("https://gw.example", given as object));
    for (const each of [agents, verifier, resolver]) if (each instanceof Error) expect(each).toBeInstanceOf(TypeError);
    if (agents instanceof Error) return "TypeError";
    const error = await errorOf(agents);
    expect(error?.code ?? "credentials_missing").toBe("credentials_missing");
    return "works";
  });
});
