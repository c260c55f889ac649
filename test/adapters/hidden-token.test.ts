/** The token leaves the request: what reads the request behind a mount sees a placeholder. */

import { createHash } from "node:crypto";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Writable } from "node:stream";
import { inspect } from "node:util";
import express, { type ErrorRequestHandler } from "express";
import { rateLimit } from "express-rate-limit";
import Fastify from "fastify";
import { createProxyMiddleware } from "http-proxy-middleware";
import Koa from "koa";
import Koa2 from "koa2";
import { inject } from "light-my-request";
import morgan from "morgan";
import { pinoHttp } from "pino-http";
import { describe, expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth as fetchAuth, withoutCredentials } from "../../src/fetch.js";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  type AgentIdentityAuthOptions,
  type AgentIdentityError,
  type AgentIdentityMiddleware,
} from "../../src/index.js";
import { agentIdentityAuth as koaAuth } from "../../src/koa.js";
import { agentPrivateKey, claims, mint, signingKey, signToken, stranger } from "../support/agents.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
import { expressReleases } from "../support/express.js";
import { listen, send, startBackend } from "../support/servers.js";
import { expectFailure } from "../support/refusals.js";
import { bearer, token } from "../support/request-table.js";

const header = { alg: "RS256", kid: "key-1" };
const expired = mint({ exp: 1_700_000_000 });

const placeholderOf = (hidden: string): string =>
  `Bearer hidden.${createHash("sha256").update(hidden).digest("hex").slice(0, 16)}`;
const PLACEHOLDER = /^Bearer hidden\.[0-9a-f]{16}$/;

/** Everything that can be read of a value, symbols and hidden properties included. */
const textOf = (value: unknown): string =>
  inspect(value, { depth: Infinity, showHidden: true, maxStringLength: Infinity, maxArrayLength: Infinity });

function expectNoSecret(text: string, hidden = token): void {
  const [, payload = "", signature = ""] = hidden.split(".");
  for (const secret of [payload, signature, agentPrivateKey]) expect(text.includes(secret)).toBe(false);
}

/** The values of the `Authorization` headers among raw headers. */
const rawAuthorizations = (rawHeaders: readonly string[]): string[] =>
  rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === "authorization");

interface Seen {
  /** Of the error that the mount gave, if it gave one. */
  code: string | undefined;
  authorization: string;
  raw: string[];
  text: string;
}

/** What comes behind a mount sees of a request with these `Authorization` headers. */
async function seenBehind(agents: AgentIdentityMiddleware, ...values: [string, ...string[]]): Promise<Seen> {
  const req = {
    headers: { host: "localhost", authorization: values[0] },
    rawHeaders: ["Host", "localhost", ...values.flatMap((value) => ["Authorization", value])],
  };
  const error = await new Promise<unknown>((resolve) => {
    agents(req as never, {} as never, resolve);
  });
  const { code } = (error ?? {}) as Partial<AgentIdentityError>;
  const { authorization } = req.headers;
  return { code, authorization, raw: rawAuthorizations(req.rawHeaders), text: textOf(req) };
}

const agentsWith = (options: AgentIdentityAuthOptions = {}) =>
  agentIdentityAuth("https://gw.example", { jwks: { keySet: { keys: [signingKey.jwk] } }, ...options });

test.each<[name: string, hidden: string, code?: string, options?: AgentIdentityAuthOptions]>([
  ["a verified token", token],
  ["an expired token", expired, "token_expired"],
  ["a token that is too old", mint({ iat: 1_700_000_000 }), "token_expired", { maxTokenAge: 60 }],
  ["a token of the future", mint({ nbf: 4_000_000_000 }), "token_not_yet_valid"],
  ["a missing claim", mint({ account_id: undefined }), "claims_invalid"],
  ["a forged signature", signToken(header, claims(), stranger), "signature_invalid"],
  ["an unknown key", mint({}, stranger), "key_untrusted"],
  ["another algorithm", signToken({ ...header, alg: "RS512" }, claims()), "algorithm_not_allowed"],
  ["a header without kid", signToken({ alg: "RS256" }, claims()), "token_malformed"],
  ["a large token", mint({ exp: 1_700_000_000, more: "x".repeat(8_000) }), "token_expired"],
])("the placeholder stands for an agent's token, whatever the verdict: %s", async (_, hidden, code, options) => {
  const agents = agentsWith(options);
  const placeholder = placeholderOf(hidden);
  for (const value of [`Bearer ${hidden}`, `bEARER  ${hidden}`]) {
    const seen = await seenBehind(agents, value);
    expect(seen).toMatchObject({ code, authorization: placeholder, raw: [placeholder] });
    expectNoSecret(seen.text, hidden);
  }
});

test("in an outage too, at once and while backing off", async () => {
  const backend = await startBackend();
  backend.answer = (_req, res) => res.writeHead(500).end();
  const agents = agentIdentityAuth(backend.baseUrl);
  const placeholder = placeholderOf(token);
  const seen = { code: "keys_unavailable", authorization: placeholder, raw: [placeholder] };
  for (let time = 0; time < 3; time++) expect(await seenBehind(agents, `Bearer ${token}`)).toMatchObject(seen);
});

describe("a token is hidden in a malformed header too", () => {
  const own = { directory: createDirectory(createAgent("agent-2")), bearer: false };

  test.each<[name: string, values: string | [string, string], code: string, options?: AgentIdentityAuthOptions]>([
    ["a character appended", `Bearer ${token}=`, "token_malformed"],
    ["a character that no token has", `Bearer ${token}"`, "request_malformed"],
    ["a byte above ASCII", `Bearer ${token}\u00e9`, "request_malformed"],
    ["a fourth part", `Bearer ${token}.x`, "token_malformed"],
    ["no signature", `Bearer ${token.split(".").slice(0, 2).join(".")}`, "token_malformed"],
    ["a second word", `Bearer ${token} x`, "request_malformed"],
    ["a comma list", `Bearer ${token}, Bearer ${token}`, "request_malformed"],
    ["the scheme twice", `Bearer Bearer ${token}`, "request_malformed"],
    ["a tab", `Bearer\t${token}`, "request_malformed"],
    ["two headers", [`Bearer ${token}`, `Bearer ${token}`], "request_malformed"],
    ["two headers, the second one empty", [`Bearer ${token}`, ""], "request_malformed"],
    ["two headers, the token in the second one", ["Basic x", `Bearer ${token}`], "request_malformed"],
    ["no scheme", token, "scheme_unsupported"],
    ["another scheme", `Token ${token}`, "scheme_unsupported"],
    ["the scheme of assertions", `AgentAssertion ${token}`, "scheme_unsupported"],
    ["the scheme of assertions, where they are taken", `AgentAssertion ${token}`, "assertion_malformed", own],
    ["a dot in front", `Bearer .${token}`, "token_malformed"],
    ["after words with dots", `My.own.scheme ${token}`, "scheme_unsupported"],
    ["where bearer tokens are not taken", `Bearer ${token}`, "scheme_unsupported", own],
  ])("%s", async (_, values, code, options) => {
    const seen = await seenBehind(agentsWith(options), ...((Array.isArray(values) ? values : [values]) as [string]));
    expect(seen.code).toBe(code);
    expect(seen.authorization).toMatch(PLACEHOLDER);
    for (const raw of seen.raw) expect(raw).toBe(seen.authorization);
    expectNoSecret(seen.text);
  });

  test.each<[string, (jti: string) => string]>([
    ["malformed headers", (jti) => `Bearer ${mint({ jti })}=`],
    ["tokens that are too long", (jti) => `Bearer ${mint({ jti, padding: "x".repeat(13_000) })}`],
  ])("two agents' %s are told apart", async (_, value) => {
    const [one, other] = [await seenBehind(agentsWith(), value("1")), await seenBehind(agentsWith(), value("2"))];
    expect([one, other]).toMatchObject(
      Array(2).fill({ code: "token_malformed", authorization: expect.stringMatching(PLACEHOLDER) as string }),
    );
    expect(one.authorization).not.toBe(other.authorization);
  });
});

const signer = createAgent("agent-2");
test.each<[name: string, value: string, code: string | undefined, options?: AgentIdentityAuthOptions]>([
  ["another issuer's token", `Bearer ${mint({ iss: "https://evil.example" })}`, "issuer_invalid"],
  ["another audience's token", `Bearer ${mint({ aud: "another" })}`, "audience_invalid"],
  ["another issuer's token in a malformed header", `Bearer ${mint({ iss: "x" })} x`, "request_malformed"],
  ["a b64token that is no JWT", "Bearer abc", "token_malformed"],
  ["a JWT of nothing", "Bearer e30.e30.AA", "algorithm_not_allowed"],
  ["another scheme", "Basic dXNlcjpwYXNz", "scheme_unsupported"],
  ["a token, with keepCredentials", `Bearer ${token}`, undefined, { keepCredentials: true }],
  ["an expired token, with keepCredentials", `Bearer ${expired}`, "token_expired", { keepCredentials: true }],
  ["a malformed header, with keepCredentials", `Bearer ${token} x`, "request_malformed", { keepCredentials: true }],
  ["an AgentAssertion", assertion(signer), undefined, { directory: createDirectory(signer) }],
])("%s is left alone", async (_, value, code, options) => {
  expect(await seenBehind(agentsWith(options), value)).toMatchObject({ code, authorization: value, raw: [value] });
});

describe.each(expressReleases)("behind the mount, %s", (_, release) => {
  /** Everybody's answer is the agent's id. */
  async function start(mount: (app: express.Express, agents: AgentIdentityMiddleware) => void) {
    const { baseUrl } = await startBackend();
    const app = release();
    const agents = agentIdentityAuth(baseUrl);
    app.use(agents);
    mount(app, agents);
    app.use((req, res) => res.json(req.agentIdentity?.agentRuntimeId));
    app.use(agentIdentityErrorHandler());
    return { ...(await listen(app)), baseUrl };
  }

  test("pino-http, with its defaults, logs the placeholder", async () => {
    let log = "";
    const stream = new Writable({
      write(chunk, _encoding, done) {
        log += String(chunk);
        done();
      },
    });
    const { url } = await start((app) => app.use(pinoHttp({}, stream)));
    await send(url, bearer(token));
    await send(url, bearer(token));
    await expect.poll(() => log.match(/request completed/g)).toHaveLength(2);
    expect(log).toContain(placeholderOf(token));
    expectNoSecret(log);
  });

  test("morgan logs the placeholder, raw headers included", async () => {
    const lines: string[] = [];
    const format: morgan.FormatFn = (tokens, req, res) =>
      [tokens["req"]?.(req, res, "authorization"), JSON.stringify(req.headers), req.rawHeaders].join(" ");
    const stream = { write: (line: string) => void lines.push(line) };
    const { url } = await start((app) => app.use(morgan(format, { stream })));
    await send(url, bearer(token));
    await expect.poll(() => lines).toHaveLength(1);
    expect(lines[0]?.split(placeholderOf(token))).toHaveLength(4);
    expectNoSecret(lines.join());
  });

  test("an access log of a refusal has the placeholder, and so has the error", async () => {
    const logged: unknown[] = [];
    const { url } = await start((app) => {
      app.use(((error, req, _res, next) => {
        logged.push(error, { ...req.headers }, [...req.rawHeaders]);
        next(error);
      }) as ErrorRequestHandler);
    });
    expectFailure(await send(url, bearer(expired)), "token_expired");
    expect(logged).toHaveLength(3);
    expectNoSecret(textOf(logged), expired);
  });

  test("an upstream gets the placeholder, and with keepCredentials the token", async () => {
    const received: string[][] = [];
    const upstream = await listen((req, res) => {
      received.push(req.rawHeaders);
      res.end('"upstream"');
    });
    const proxy = createProxyMiddleware({ target: upstream.url });
    const { url, baseUrl } = await start((app) => app.use(proxy));
    expect(await send(url, bearer(token))).toMatchObject({ status: 200, body: '"upstream"' });
    expect(rawAuthorizations(received[0] ?? [])).toEqual([placeholderOf(token)]);
    expectNoSecret(textOf(received));

    const keeping = await listen(release().use(agentIdentityAuth(baseUrl, { keepCredentials: true }), proxy));
    await send(keeping.url, bearer(token));
    expect(rawAuthorizations(received[1] ?? [])).toEqual([`Bearer ${token}`]);
  });

  test("the request, inspected as deep as it goes, has no secret", async () => {
    const texts: string[] = [];
    const { url } = await start((app) => {
      app.use((req, res, next) => {
        texts.push(textOf(req), textOf(res), JSON.stringify([req.headers, req.rawHeaders, req.headersDistinct]));
        next();
      });
    });
    await send(url, bearer(token));
    await send(url, bearer(token));
    expect(texts).toHaveLength(6);
    for (const text of texts) {
      expect(text).toContain(placeholderOf(token));
      expectNoSecret(text);
    }
  });

  test("a rate limit that goes by the header does not take one agent for another", async () => {
    const keyGenerator = (req: IncomingMessage) => req.headers.authorization ?? "";
    const { url } = await start((app) => app.use(rateLimit({ limit: 1, keyGenerator })));
    const [first, second] = [mint(), mint({ agent_runtime_id: "agent-2" })].map(bearer);
    expect(await send(url, first)).toMatchObject({ status: 200, body: '"agent-1"' });
    expect(await send(url, first)).toMatchObject({ status: 429 });
    expect(await send(url, second)).toMatchObject({ status: 200, body: '"agent-2"' });
  });

  test("three mounts in a row: each knows the agent, and the placeholder is the first one's", async () => {
    const identities: unknown[] = [];
    const { url } = await start((app, agents) => {
      app.use(agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" }), (req, _res, next) => {
        identities.push(req.agentIdentity);
        next();
      });
      app.use(agents.require(({ planType }) => Promise.resolve(planType === "pro")));
      app.use((req, res) =>
        res.json([req.agentIdentity, req.headers.authorization, rawAuthorizations(req.rawHeaders)]),
      );
    });
    for (let time = 0; time < 2; time++) {
      const placeholder = placeholderOf(token);
      const { body } = await send(url, bearer(token));
      expect(JSON.parse(body)).toMatchObject([{ agentRuntimeId: "agent-1" }, placeholder, [placeholder]]);
    }
    expect(identities).toMatchObject([{ agentRuntimeId: "agent-1" }, { agentRuntimeId: "agent-1" }]);
  });

  test("headers that are frozen: 500, and the error names keepCredentials", async () => {
    const { baseUrl } = await startBackend();
    const app = release();
    app.use((req, _res, next) => {
      Object.freeze(req.path === "/raw" ? req.rawHeaders : req.headers);
      next();
    });
    app.use("/keeping", agentIdentityAuth(baseUrl, { keepCredentials: true }), (_req, res) => res.json("kept"));
    app.use(agentIdentityAuth(baseUrl), () => expect.fail("it went on"), agentIdentityErrorHandler());
    app.use(((error: Error, _req, res, _next) => {
      res.status(500).json(error.message);
    }) as ErrorRequestHandler);
    const { url } = await listen(app);
    for (const path of ["/", "/raw", "/", "/raw"]) {
      const answer = await send(url + path, bearer(token));
      expect(answer.status).toBe(500);
      expect(answer.body).toContain("keepCredentials: true");
    }
    expect(await send(`${url}/keeping`, bearer(token))).toMatchObject({ status: 200, body: '"kept"' });
    expectFailure(await send(url), "credentials_missing");
  });
});

describe("frameworks", () => {
  test.each<[name: string, release: typeof Koa]>([
    ["Koa 2", Koa2],
    ["Koa 3", Koa],
  ])("%s", async (_, release) => {
    const { baseUrl } = await startBackend();
    const agents = koaAuth(baseUrl);
    const app = new release();
    app.use(agents).use(agents.require(() => true));
    app.use((ctx) => {
      ctx.body = [ctx.headers.authorization, ctx.get("Authorization"), textOf(ctx.req), textOf(ctx)];
    });
    const listener = app.callback();
    const { url } = await listen((req, res) => void listener(req, res));
    const placeholder = placeholderOf(token);
    for (let time = 0; time < 2; time++) {
      const { body } = await send(url, bearer(token));
      expect(JSON.parse(body)).toMatchObject([placeholder, placeholder, expect.anything(), expect.anything()]);
      expectNoSecret(body);
    }
  });

  async function startFastify() {
    const { baseUrl } = await startBackend();
    const agents = agentIdentityAuth(baseUrl);
    const app = Fastify();
    onTestFinished(() => app.close());
    app.addHook("onRequest", async ({ raw }) => {
      await agents.authenticate(raw);
    });
    app.get("/", (request) => [request.headers.authorization, textOf(request.raw), textOf(request.headers)]);
    return app;
  }

  test("Fastify, by request.raw", async () => {
    const app = await startFastify();
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    const { status, body } = await send(url, bearer(token));
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject([placeholderOf(token), expect.anything(), expect.anything()]);
    expectNoSecret(body);
  });

  test("Fastify's app.inject", async () => {
    const answer = await (await startFastify()).inject({ url: "/", headers: { authorization: `Bearer ${token}` } });
    expect(answer.json()).toMatchObject([placeholderOf(token), expect.anything(), expect.anything()]);
    expectNoSecret(answer.body);
  });

  test("light-my-request", async () => {
    const { baseUrl } = await startBackend();
    const agents = agentIdentityAuth(baseUrl);
    const answer = await inject(
      (req, res) => {
        agents(req, res, (error) => {
          res.end(JSON.stringify([error, req.headers.authorization, rawAuthorizations(req.rawHeaders), textOf(req)]));
        });
      },
      { url: "/", headers: { authorization: `Bearer ${token}` } },
    );
    const placeholder = placeholderOf(token);
    expect(answer.json()).toMatchObject([null, placeholder, [placeholder], expect.anything()]);
    expectNoSecret(answer.body);
  });

  test("HTTP/2", async () => {
    const { baseUrl } = await startBackend();
    const agents = agentIdentityAuth(baseUrl);
    const server = createHttp2Server((req, res) => {
      const incoming = req as unknown as IncomingMessage; // the compatibility API of node:http2
      const respond = (error?: unknown) => {
        const raw = rawAuthorizations(req.rawHeaders);
        res.end(JSON.stringify([error, req.headers.authorization, raw, textOf(req)]));
      };
      agents(incoming, undefined as never, (error) => {
        if (error === undefined) agents(incoming, undefined as never, respond);
        else respond(error);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const client = connectHttp2(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`);
    onTestFinished(() => {
      client.destroy();
      server.close();
    });
    const placeholder = placeholderOf(token);
    for (let time = 0; time < 2; time++) {
      const chunks = await client.request({ authorization: `Bearer ${token}` }).toArray();
      const body = Buffer.concat(chunks as Buffer[]).toString();
      expect(JSON.parse(body)).toMatchObject([null, placeholder, [placeholder], expect.anything()]);
      expectNoSecret(body);
    }
  });
});

/** A request that is nothing but its headers. */
function requestOf(credentials: string) {
  const authorization = `Bearer ${credentials}`;
  const headers: Record<string, string> = { authorization };
  return { headers, rawHeaders: ["Host", "localhost", "Authorization", authorization] };
}

describe("several verifiers of one request", () => {
  const agents = agentsWith();

  test("the header is written once", async () => {
    const writes: string[] = [];
    let value = `Bearer ${token}`;
    const headers = {
      get authorization() {
        return value;
      },
      set authorization(written) {
        writes.push(written);
        value = written;
      },
    };
    for (const each of [
      agents,
      agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" }),
      agents.require(() => true),
    ]) {
      expect(await each.authenticate({ headers })).toMatchObject({ agentRuntimeId: "agent-1" });
    }
    expect(writes).toEqual([placeholderOf(token)]);
  });

  test.each([
    ["token", expired, "token_expired"],
    ["header", `${token} x`, "request_malformed"],
  ])("a refused %s is refused for the same reason each time", async (_, credentials, code) => {
    const req = requestOf(credentials);
    for (let time = 0; time < 4; time++) {
      await expect(agents.authenticate(req)).rejects.toMatchObject({ code });
      expect(req.headers["authorization"]).toMatch(PLACEHOLDER);
    }
  });

  test("a verifier that still accepts the token comes after one that does not", async () => {
    const old = mint({ iat: 1_700_000_000 });
    const req = requestOf(old);
    const strict = agentsWith({ maxTokenAge: 60 });
    await expect(strict.authenticate(req)).rejects.toMatchObject({ code: "token_expired" });
    await expect(strict.authenticate(req)).rejects.toMatchObject({ code: "token_expired" });
    expect(await agents.authenticate(req)).toMatchObject({ agentRuntimeId: "agent-1" });
    expect(req.headers["authorization"]).toBe(placeholderOf(old));
  });

  test("two at once", async () => {
    const req = requestOf(token);
    const identities = await Promise.all([agents.authenticate(req), agents.authenticate(req)]);
    expect(identities).toMatchObject([{ agentRuntimeId: "agent-1" }, { agentRuntimeId: "agent-1" }]);
    expect(req.rawHeaders).toEqual(["Host", "localhost", "Authorization", placeholderOf(token)]);
  });

  test("one with keepCredentials knows the agent, behind one that hides and in front of it", async () => {
    const keeping = agentsWith({ keepCredentials: true });
    const req = requestOf(token);
    await keeping.authenticate(req);
    expect(req.headers["authorization"]).toBe(`Bearer ${token}`);
    await agents.authenticate(req);
    expect(await keeping.authenticate(req)).toMatchObject({ agentRuntimeId: "agent-1" });
    expect(req.headers["authorization"]).toBe(placeholderOf(token));
  });

  test("one of another issuer refuses the issuer", async () => {
    const req = requestOf(token);
    await agents.authenticate(req);
    const another = agentsWith({ issuer: "https://another.example" });
    await expect(another.authenticate(req)).rejects.toMatchObject({ code: "issuer_invalid" });
    expect(await agents.authenticate(req)).toMatchObject({ agentRuntimeId: "agent-1" });
  });

  test("to one that gets a copy of the headers, the token is hidden", async () => {
    const req = requestOf(token);
    await agents.authenticate(req);
    const hidden = { code: "token_malformed", cause: { reason: "hidden by an earlier mount" } };
    await expect(agents.authenticate({ headers: { ...req.headers } })).rejects.toMatchObject(hidden);
    const placeholder = req.headers["authorization"]?.slice("Bearer ".length) ?? "";
    await expect(agents.verifier.verify(placeholder)).rejects.toMatchObject(hidden);
  });

  test("a placeholder that a client sends lets nobody in", async () => {
    await agents.authenticate(requestOf(token));
    const sent = requestOf(placeholderOf(token).slice("Bearer ".length));
    await expect(agents.authenticate(sent)).rejects.toMatchObject({ code: "token_malformed" });
  });

  test("what other code sets since counts, and is hidden in turn", async () => {
    const req = requestOf(token);
    await agents.authenticate(req);
    const other = mint({ agent_runtime_id: "agent-2" });
    req.headers["authorization"] = `Bearer ${other}`;
    for (let time = 0; time < 2; time++) {
      expect(await agents.authenticate(req)).toMatchObject({ agentRuntimeId: "agent-2" });
      expect(req.headers["authorization"]).toBe(placeholderOf(other));
      expect(rawAuthorizations(req.rawHeaders)).toEqual([placeholderOf(other)]);
    }
    req.headers["authorization"] = "Bearer abc";
    await expect(agents.authenticate(req)).rejects.toMatchObject({ code: "token_malformed" });
    delete req.headers["authorization"];
    await expect(agents.authenticate(req)).rejects.toMatchObject({ code: "credentials_missing" });
  });
});

describe("/fetch", () => {
  test("leaves the Request as it is", async () => {
    const { baseUrl } = await startBackend();
    const request = new Request("http://localhost/", { headers: { authorization: `Bearer ${token}` } });
    expect(await fetchAuth(baseUrl).authenticate(request)).toMatchObject({ agentRuntimeId: "agent-1" });
    expect(request.headers.get("authorization")).toBe(`Bearer ${token}`);
  });

  test("withoutCredentials is a copy without the header, and with all the rest", async () => {
    const request = new Request("http://localhost/tasks?a=b", {
      method: "POST",
      body: "body",
      headers: { authorization: `Bearer ${token}`, "X-Other": "other" },
    });
    const copy = withoutCredentials(request);
    expect(copy.headers.has("authorization")).toBe(false);
    expect(copy.headers.get("x-other")).toBe("other");
    expect([copy.method, copy.url, await copy.text()]).toEqual(["POST", "http://localhost/tasks?a=b", "body"]);
    expect(request.headers.get("authorization")).toBe(`Bearer ${token}`);
    expectNoSecret(textOf(copy));
  });
});
