/** Mistakes of a beginner: each gets a message that names it, and no request is left hanging. */

import type { ErrorRequestHandler, RequestHandler } from "express";
import Koa from "koa";
import Koa2 from "koa2";
import { describe, expect, test } from "vitest";
import * as fetchAdapter from "../../src/fetch.js";
import * as expressAdapter from "../../src/index.js";
import * as koaAdapter from "../../src/koa.js";
import { mint, signingKey } from "../support/agents.js";
import { expressReleases } from "../support/express.js";
import { listen, send } from "../support/servers.js";
import { bearer, token } from "../support/request-table.js";

const base = "https://gw.example/backend-api";
const jwks = { keySet: { keys: [signingKey.jwk] } };

/** TypeScript would find most of these mistakes; JavaScript does not. */
type Anything = (...args: unknown[]) => unknown;
const untyped = (value: unknown) => value as Record<string, Anything>;

const request = new Request("http://localhost/", { headers: { authorization: `Bearer ${token}` } });

/** Of a call that throws, or rejects. */
const rejection = (call: () => unknown): Promise<unknown> =>
  Promise.resolve()
    .then(call)
    .then(
      () => expect.fail("it was accepted"),
      (error: unknown) => error,
    );

async function expectTypeError(call: () => unknown, message: string): Promise<void> {
  const error = await rejection(call);
  expect(error).toBeInstanceOf(TypeError);
  expect((error as Error).message).toContain(message);
}

describe.each([
  ["Express", expressAdapter.agentIdentityAuth(base, { jwks })],
  ["Koa", koaAdapter.agentIdentityAuth(base, { jwks })],
])("agents of %s", (_, agents) => {
  const restricted = agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" });

  test.each([
    ["agents", agents],
    ["restrictTo", restricted],
    ["require", agents.require(() => true)],
  ])("authenticate of %s, with what is no request", async (_name, each) => {
    for (const nothing of [undefined, null, "Bearer", {}, { headers: null }, { headers: "x" }]) {
      await expectTypeError(() => untyped(each)["authenticate"]?.(nothing), "pass the request");
    }
    await expectTypeError(() => untyped(each)["authenticate"]?.(), "pass the request");
    await expectTypeError(() => untyped(each)["authenticate"]?.(request), "agent-identity-auth/fetch");
    await expectTypeError(
      () => untyped(each)["authenticate"]?.({ headers: new Headers() }),
      "agent-identity-auth/fetch",
    );
  });

  test.each([42, ["Bearer x"], {}, null, Symbol("x")])("authorization %s, which is no text", async (authorization) => {
    const message = "headers.authorization is not a string";
    await expectTypeError(() => untyped(agents)["authenticate"]?.({ headers: { authorization } }), message);
  });

  test("headers that are frozen", async () => {
    const headers = Object.freeze({ authorization: `Bearer ${token}` });
    const error = await rejection(() => agents.authenticate({ headers }));
    expect(error).toMatchObject({ message: expect.stringContaining("keepCredentials: true") as string });
    expect(error).not.toHaveProperty("status");
  });

  test("require without a function, restrictTo without restrictions", async () => {
    for (const rule of [undefined, null, true, { planType: "pro" }, "pro"]) {
      await expectTypeError(() => untyped(agents)["require"]?.(rule), "require takes a function");
    }
    await expectTypeError(() => untyped(agents)["restrictTo"]?.(), "restrictTo");
    await expectTypeError(() => untyped(agents)["restrictTo"]?.({}), "set forcedChatgptWorkspaceId");
  });
});

const MOUNTED: [
  name: string,
  mount: (adapter: Record<string, Anything>, agents: Record<string, Anything>) => unknown,
  message: string,
][] = [
  ["agents.authenticate", (_adapter, agents) => agents["authenticate"], "agents.authenticate is mounted as middleware"],
  ["agents.restrictTo", (_adapter, agents) => agents["restrictTo"], "agents.restrictTo is mounted as middleware"],
  ["agents.require", (_adapter, agents) => agents["require"], "agents.require is mounted as middleware"],
  ["agents.upgrade", (_adapter, agents) => agents["upgrade"], "agents.upgrade"],
  ["agents.ready", (_adapter, agents) => agents["ready"], "agents.ready is mounted as middleware"],
  [
    "agents of the other framework",
    (adapter) => (adapter === untyped(koaAdapter) ? expressAdapter : koaAdapter).agentIdentityAuth(base, { jwks }),
    "agentIdentityAuth of agent-identity-auth",
  ],
  ["agentIdentityAuth", (adapter) => adapter["agentIdentityAuth"], 'app.use(agentIdentityAuth("https://'],
  [
    "agentIdentityErrorHandler",
    (adapter) => adapter["agentIdentityErrorHandler"],
    "app.use(agentIdentityErrorHandler())",
  ],
];

type Mount = (typeof MOUNTED)[0][1];
/** Starts a server behind a mistaken mount. @returns its URL; the framework's error handling puts errors into `errors` */
type Start = (mount: Mount, errors: unknown[]) => Promise<string>;

const startExpress =
  (express: (typeof expressReleases)[0][1]): Start =>
  async (mount, errors) => {
    const app = express();
    const agents = untyped(expressAdapter.agentIdentityAuth(base, { jwks }));
    app.use(mount(untyped(expressAdapter), agents) as RequestHandler, (_req, res) => res.json("it went on"));
    app.use(expressAdapter.agentIdentityErrorHandler());
    app.use(((error: Error, _req, res, _next) => {
      errors.push(error);
      res.status(500).end();
    }) as ErrorRequestHandler);
    return (await listen(app)).url;
  };
const startKoa =
  (release: typeof Koa): Start =>
  async (mount, errors) => {
    const app = new release();
    app.on("error", (error: Error) => errors.push(error));
    const agents = untyped(koaAdapter.agentIdentityAuth(base, { jwks }));
    app.use(mount(untyped(koaAdapter), agents) as Koa.Middleware).use((ctx) => {
      ctx.body = "it went on";
    });
    const listener = app.callback();
    return (await listen((req, res) => void listener(req, res))).url;
  };

describe.each<[name: string, start: Start]>([
  ...expressReleases.map(([name, express]): [string, Start] => [name, startExpress(express)]),
  ["Koa 2", startKoa(Koa2)],
  ["Koa 3", startKoa(Koa)],
])("mounted as it is, %s: 500, and the error names the mistake", (_, start) => {
  test.each(MOUNTED)("%s", async (_name, mount, message) => {
    const errors: unknown[] = [];
    const url = await start(mount, errors);
    for (const headers of [{}, bearer(token)]) expect(await send(url, headers)).toMatchObject({ status: 500 });
    expect(errors).toMatchObject(Array(2).fill({ message: expect.stringContaining(message) as string }));
    for (const error of errors) expect(error).toBeInstanceOf(TypeError);
  });
});

describe("a base URL that cannot work", () => {
  const factories: [name: string, create: Anything][] = [
    ["agentIdentityAuth", expressAdapter.agentIdentityAuth as Anything],
    ["agentIdentityAuth of /koa", koaAdapter.agentIdentityAuth as Anything],
    ["agentIdentityAuth of /fetch", fetchAdapter.agentIdentityAuth as Anything],
    ["createVerifier", expressAdapter.createVerifier as Anything],
    ["createJwksResolver", expressAdapter.createJwksResolver as Anything],
  ];

  const WRONG: [baseUrl: unknown, message: string][] = [
    [undefined, "is undefined: is the environment variable set?"],
    ...[null, "", "chatgpt.com/backend-api", {}].map((each): [unknown, string] => [each, "absolute http(s) URL"]),
    ["https://chatgpt.com/codex-backend/agent-identity", "is the issuer"],
    ["https://chatgpt.com/codex-backend/agent-identity/", "is the issuer"],
    ["https://gw.example/keys/jwks.json", "jwksUrl"],
    ["https://gw.example/.well-known/openid-configuration", "jwksUrl"],
    ["https://gw.example/backend-api/wham/agent-identities/jwks", "jwksUrl"],
    ["https://api.openai.com", "https://chatgpt.com/backend-api"],
    ["https://api.openai.com/v1", "https://chatgpt.com/backend-api"],
    ["https://user:secret@gw.example", "credentials"],
    ["https://gw.example/?a=b", "query"],
    ["http://gw.example", "allowInsecureHttp"],
    [new URL("https://api.openai.com/v1"), "https://chatgpt.com/backend-api"],
  ];
  test.each(factories)("%s", async (_, create) => {
    for (const [baseUrl, message] of WRONG) await expectTypeError(() => create(baseUrl), message);
    expect(() => create(new URL(base))).not.toThrow();
  });

  test("a URL object and its text share their keys", () => {
    const { url } = expressAdapter.createJwksResolver(new URL(base)).status();
    expect(url).toBe(`${base}/wham/agent-identities/jwks`);
    const [one, other] = [expressAdapter.createVerifier(base), expressAdapter.createVerifier(new URL(base))];
    expect(one.jwks).toBe(other.jwks);
  });
});

describe("verify", () => {
  const verifier = expressAdapter.createVerifier(base, { jwks });

  test.each([`Bearer ${token}`, `bearer ${token}`, "Bearer x"])("%.20s", async (text) => {
    await expect(verifier.verify(text)).rejects.toMatchObject({
      code: "token_malformed",
      cause: { reason: 'the token begins with "Bearer ": leave that out' },
    });
  });

  test.each([undefined, null, 42, {}, [token], ""])("%s, which is no token", async (value) => {
    const error = await rejection(() => untyped(verifier)["verify"]?.(value));
    expect(error).toBeInstanceOf(expressAdapter.AgentIdentityError);
    expect(error).toMatchObject({ code: "token_malformed" });
  });
});

describe("another form of agent identity is named in the cause", () => {
  const bearerOnly = expressAdapter.agentIdentityAuth(base, { jwks });
  const directory = { findAgent: () => undefined, findTask: () => undefined };
  const withDirectory = expressAdapter.agentIdentityAuth(base, { jwks, directory });
  const runtimeAssertion = { code: "scheme_unsupported", cause: { reason: "runtime assertion" } };

  test.each([
    [{ authorization: "AgentAssertion 1.e30.e30.c2ln" }, runtimeAssertion],
    [{ authorization: "agentassertion   1.x" }, runtimeAssertion],
    [{ "x-openai-agent-assertion": "e30.e30.c2ln" }, runtimeAssertion],
    [{ authorization: "Basic AgentAssertion 1.x" }, { code: "scheme_unsupported", cause: undefined }],
    [
      { authorization: "Bearer at-0123456789" },
      { code: "token_malformed", cause: { reason: "a personal access token, not an Agent Identity" } },
    ],
  ])("%j", async (headers, expected) => {
    for (const agents of [bearerOnly, withDirectory]) {
      await expect(agents.authenticate({ headers })).rejects.toMatchObject(expected);
    }
    const request = new Request("http://localhost", { headers });
    await expect(fetchAdapter.agentIdentityAuth(base, { jwks }).authenticate(request)).rejects.toMatchObject(expected);
  });
});

describe("/fetch", () => {
  const agents = fetchAdapter.agentIdentityAuth(base, { jwks });
  const nodeRequest = { headers: { authorization: `Bearer ${mint()}` } };
  const message = "this is not a fetch Request";

  test("authenticate with nothing, or with a request of Node's", async () => {
    for (const each of [agents, agents.require(() => true)]) {
      for (const value of [undefined, null, {}, "Bearer x", nodeRequest]) {
        await expectTypeError(() => untyped(each)["authenticate"]?.(value), message);
      }
    }
  });

  test("protect without a handler, and a protected handler with a request of Node's", async () => {
    for (const handler of [undefined, null, {}, new Response()]) {
      await expectTypeError(() => untyped(agents)["protect"]?.(handler), "protect takes a handler");
    }
    const handler = agents.protect(() => expect.fail("it went on")) as Anything;
    await expectTypeError(() => handler(nodeRequest), message);
    await expectTypeError(() => handler(), message);
  });

  test("require without a function", async () => {
    await expectTypeError(() => untyped(agents)["require"]?.(), "require takes a function");
  });
});
