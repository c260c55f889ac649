import { IncomingMessage, request as httpRequest, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { ErrorRequestHandler } from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityError } from "../../src/index.js";
import { createSigningKey, mint } from "../support/agents.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
import { expressReleases } from "../support/express.js";
import { listen, send, startBackend } from "../support/servers.js";
import { challenge, expectFailure, MESSAGES } from "../support/refusals.js";
import { bearer, token, type SentHeaders } from "../support/request-table.js";

describe.each(expressReleases)("%s", (_, express) => {
  test("on the app, on a router and per route, with realm and resource metadata in every challenge", async () => {
    const backend = await startBackend();
    const resourceMetadata = "https://gw.example/.well-known/oauth-protected-resource";
    const agents = agentIdentityAuth(backend.baseUrl, { realm: 'tasks "A\\B"', resourceMetadata });
    const router = express.Router().use(agents);
    router.get("/agent", (req, res) => res.json(req.agentIdentity));
    const app = express();
    app.get("/open", (_req, res) => res.json("open"));
    app.use("/router", router);
    app.use(agents);
    app.get("/agent", (req, res) => res.json(req.agentIdentity));
    app.use(agentIdentityErrorHandler());
    const { url } = await listen(app);

    expect(await send(`${url}/open`)).toMatchObject({ status: 200 });
    const prefix = 'Bearer realm="tasks \\"A\\\\B\\""';
    const suffix = `resource_metadata="${resourceMetadata}"`;
    for (const path of ["/agent", "/router/agent", "/nowhere"]) {
      const missing = await send(url + path);
      expect(missing.headers["www-authenticate"]).toBe(`${prefix}, ${suffix}`);
      const malformed = await send(url + path, { Authorization: "Bearer" });
      expect(malformed.headers["www-authenticate"]).toBe(
        `${prefix}, error="invalid_request", error_description="The Authorization header is malformed.", ${suffix}`,
      );
    }
    expect(await send(`${url}/agent`, bearer(token))).toMatchObject({ status: 200 });
    expect(await send(`${url}/router/agent`, bearer(token))).toMatchObject({ status: 200 });
  });

  test("two backends on one server share nothing", async () => {
    const production = await startBackend();
    const stagingKey = createSigningKey("key-1");
    const staging = await startBackend([stagingKey.jwk]);
    const app = express();
    for (const [path, { baseUrl }] of Object.entries({ "/production": production, "/staging": staging })) {
      app.get(path, agentIdentityAuth(baseUrl), (_req, res) => res.json("ok"));
    }
    app.use(agentIdentityErrorHandler());
    const { url } = await listen(app);
    const stagingToken = mint({}, stagingKey);
    expect(await send(`${url}/production`, bearer(token))).toMatchObject({ status: 200 });
    expect(await send(`${url}/staging`, bearer(stagingToken))).toMatchObject({ status: 200 });
    expectFailure(await send(`${url}/production`, bearer(stagingToken)), "signature_invalid");
    expectFailure(await send(`${url}/staging`, bearer(token)), "signature_invalid");
  });

  test("without the error handler, the framework's own answers with status and challenge", async () => {
    const backend = await startBackend();
    const { url } = await listen(express().set("env", "test").use(agentIdentityAuth(backend.baseUrl)));
    const answer = await send(url, bearer("abc"));
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toBe(
      challenge(...(["invalid_token", MESSAGES.token_malformed[1]] as const)),
    );
    expect(answer.headers["cache-control"]).toBe("no-store");
  });

  test("the error handler passes on what is not ours: a handler's own throw, and what looks like ours", async () => {
    const backend = await startBackend();
    const app = express();
    app.get("/throws", agentIdentityAuth(backend.baseUrl), () => {
      throw new Error("mine");
    });
    app.get("/imitates", () => {
      throw Object.assign(new Error("imitation"), { status: 401, code: "token_expired", headers: {} });
    });
    app.use(agentIdentityErrorHandler());
    app.use(((error: Error, _req, res, _next) => {
      res.status(418).json(error.message);
    }) as ErrorRequestHandler);
    const { url } = await listen(app);
    const firstSeen = await send(`${url}/throws`, bearer(token));
    const remembered = await send(`${url}/throws`, bearer(token));
    for (const answer of [firstSeen, remembered]) expect(answer).toMatchObject({ status: 418, body: '"mine"' });
    expect(await send(`${url}/imitates`)).toMatchObject({ status: 418, body: '"imitation"' });
  });

  test("an answer that has begun is not written over: the error goes to the next handler", async () => {
    const backend = await startBackend();
    const app = express();
    app.use((_req, res, next) => {
      res.write("begun, ");
      next();
    });
    app.use(agentIdentityAuth(backend.baseUrl), agentIdentityErrorHandler());
    app.use(((error: { code?: string }, _req, res, _next) => {
      res.end(error.code);
    }) as ErrorRequestHandler);
    const { url } = await listen(app);
    expect(await send(url)).toMatchObject({ status: 200, body: "begun, credentials_missing" });
  });

  test("the length of another answer does not cut the refusal", async () => {
    const backend = await startBackend();
    const app = express();
    app.use((_req, res, next) => {
      res.set("Content-Length", "5");
      next();
    });
    app.use(agentIdentityAuth(backend.baseUrl), agentIdentityErrorHandler());
    const { url } = await listen(app);
    expectFailure(await send(url), "credentials_missing");
  });

  test("restrictTo trusts no identity that it finds on the request", async () => {
    const backend = await startBackend();
    const agents = agentIdentityAuth(backend.baseUrl);
    const app = express();
    app.use((req, _res, next) => {
      req.agentIdentity = { accountId: "acct-2" } as NonNullable<typeof req.agentIdentity>;
      next();
    });
    app.get("/", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-2" }), () => expect.fail());
    app.use(agentIdentityErrorHandler());
    const { url } = await listen(app);
    expectFailure(await send(url), "credentials_missing");
    expectFailure(await send(url, bearer(token)), "workspace_not_allowed");
  });
});

test("what next throws is thrown on, and next is not called again", async () => {
  const backend = await startBackend();
  const agents = agentIdentityAuth(backend.baseUrl);
  const req = new IncomingMessage(new Socket());
  req.headers.authorization = `Bearer ${token}`;
  const calls: unknown[] = [];
  const next = (error?: unknown) => {
    calls.push(error);
    throw new Error("mine");
  };
  // To Vitest an unhandled rejection is a failure: here it is what has to come.
  const listeners = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  onTestFinished(() => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
  });
  const thrown = new Promise((resolve) => process.once("unhandledRejection", resolve));
  agents(req, new ServerResponse(req), next);
  expect(await thrown).toMatchObject({ message: "mine" });
  expect(calls).toEqual([undefined]);
  expect(() => {
    agents(req, new ServerResponse(req), next);
  }).toThrow("mine");
  expect(calls).toEqual([undefined, undefined]);
});

test("authenticate serves a WebSocket upgrade, and always requires credentials", async () => {
  const backend = await startBackend();
  const signer = createAgent("agent-2");
  const agents = agentIdentityAuth(backend.baseUrl, {
    credentialsRequired: false,
    directory: createDirectory(signer),
  });
  const { url, server } = await listen((_req, res) => res.end());
  server.on("upgrade", (req, socket) => {
    agents.authenticate(req).then(
      (identity) => socket.end(`HTTP/1.1 101 Switching Protocols\r\nX-Agent: ${identity.agentRuntimeId}\r\n\r\n`),
      (error: unknown) =>
        socket.end(`HTTP/1.1 ${String((error as AgentIdentityError).status)} No\r\nContent-Length: 0\r\n\r\n`),
    );
  });
  const upgrade = (headers: SentHeaders) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest(url, { headers: { Connection: "Upgrade", Upgrade: "websocket", ...headers } })
        .on("upgrade", resolve)
        .on("response", resolve)
        .on("error", reject)
        .end();
    });
  expect((await upgrade(bearer(token))).headers["x-agent"]).toBe("agent-1");
  expect((await upgrade({ Authorization: assertion(signer) })).headers["x-agent"]).toBe("agent-2");
  expect((await upgrade({ Authorization: "AgentAssertion e30" })).statusCode).toBe(401);
  expect((await upgrade({})).statusCode).toBe(401);
});

test("a factory called per request makes one key set and one fetch", async () => {
  const backend = await startBackend();
  const { url } = await listen((req, res) => {
    agentIdentityAuth(backend.baseUrl)(req, res, (error) => {
      res.writeHead(error ? 500 : 200).end();
    });
  });
  const answers = await Promise.all(Array.from({ length: 20 }, () => send(url, bearer(mint()))));
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(backend.fetches).toBe(1);
});
