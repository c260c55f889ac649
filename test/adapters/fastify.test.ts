/** The plugin for Fastify: its answers are those of Express. */

import express, { type RequestHandler } from "express";
import Fastify from "fastify";
import { expect, onTestFinished, test } from "vitest";
import * as fastifyAdapter from "../../src/fastify.js";
import { agentIdentityAuth, agentIdentityErrorHandler } from "../../src/index.js";
import { createSigningKey, mint } from "../support/agents.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
import { listen, send, startBackend } from "../support/servers.js";

const signer = createAgent("agent-2");
/** One for both servers: what it says of a task has its time in it. */
const options = { realm: "tasks", directory: createDirectory(signer) };

async function startFastify(baseUrl: string): Promise<string> {
  const app = Fastify();
  await app.register(fastifyAdapter.agentIdentityAuth, { baseUrl, ...options });
  app.setErrorHandler(fastifyAdapter.agentIdentityErrorHandler());
  app.addHook("onRequest", app.agents);
  app.get("/", (request) => fastifyAdapter.agentOf(request));
  app.post("/", (request) => request.body);
  const onRequest = app.agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" });
  app.get("/acct-1", { onRequest }, (request) => request.agentIdentity);
  app.get("/throws", () => {
    throw new Error("mine");
  });
  app.get("/imitates", () => {
    throw Object.assign(new Error("imitation"), { statusCode: 401, code: "token_expired", headers: {} });
  });
  onTestFinished(() => app.close());
  return app.listen({ port: 0, host: "127.0.0.1" });
}

async function startExpress(baseUrl: string): Promise<string> {
  const agents = agentIdentityAuth(baseUrl, options);
  const answer: RequestHandler = (req, res) => res.json(req.agentIdentity);
  const app = express();
  app.get("/", agents, answer);
  app.get("/acct-1", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" }), answer);
  app.use(agentIdentityErrorHandler());
  return (await listen(app)).url;
}

const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const token = mint();

test.each<[name: string, headers: Record<string, string | string[]>, status: number, path?: string]>([
  ["a verified token", bearer(token), 200],
  ["an AgentAssertion", { Authorization: assertion(signer), "ChatGPT-Account-ID": "acct-1" }, 200],
  ["an AgentAssertion for another account", { Authorization: assertion(signer), "ChatGPT-Account-ID": "x" }, 401],
  ["no credentials", {}, 401],
  ["another scheme", { Authorization: "Basic dXNlcjpwYXNz" }, 401],
  ["Bearer alone", { Authorization: "Bearer" }, 400],
  ["a token that is no JWT", bearer("abc"), 401],
  ["two headers", { Authorization: [`Bearer ${token}`, `Bearer ${token}`] }, 400],
  ["an expired token", bearer(mint({ exp: 1_700_000_000 })), 401],
  ["an unknown key", bearer(mint({}, createSigningKey("stranger"))), 401],
  ["an unknown task", { Authorization: assertion(signer, "task-2") }, 401],
  ["the allowed workspace", bearer(token), 200, "/acct-1"],
  ["another workspace", bearer(mint({ account_id: "acct-2" })), 403, "/acct-1"],
  ["no credentials where restricted", {}, 401, "/acct-1"],
])("%s", async (_, headers, status, path = "/") => {
  const { baseUrl } = await startBackend();
  const [ours, theirs] = await Promise.all(
    [await startFastify(baseUrl), await startExpress(baseUrl)].map((url) => send(url + path, headers)),
  );
  expect(ours?.status).toBe(status);
  expect(ours).toMatchObject({ status: theirs?.status, body: theirs?.body });
  for (const name of ["www-authenticate", "cache-control", "content-type"] as const) {
    expect(ours?.headers[name]).toBe(theirs?.headers[name]);
  }
});

test("HEAD is refused as GET is, and what a plugin sees of an answer is its text", async () => {
  const { baseUrl } = await startBackend();
  const url = await startFastify(baseUrl);
  for (const [path, headers] of [
    ["/", {}],
    ["/acct-1", bearer(mint({ account_id: "acct-2" }))],
  ] as const) {
    const [get, head] = [await send(url + path, headers), await send(url + path, headers, "HEAD")];
    expect(head).toMatchObject({ status: get.status, body: "" });
    for (const name of ["www-authenticate", "cache-control", "content-type", "content-length"] as const) {
      expect(head.headers[name]).toBe(get.headers[name]);
    }
  }
  expect((await send(url, bearer(token), "HEAD")).status).toBe(200);
});

test("an outage is 503 with Retry-After and no challenge", async () => {
  const backend = await startBackend();
  backend.answer = (_req, res) => res.writeHead(500).end();
  const answer = await send(await startFastify(backend.baseUrl), bearer(token));
  expect(answer.status).toBe(503);
  expect(answer.headers["retry-after"]).toMatch(/^[12]$/);
  expect(answer.headers["cache-control"]).toBe("no-store");
  expect(answer.headers["www-authenticate"]).toBeUndefined();
  expect(JSON.parse(answer.body)).toMatchObject({ error: { code: "keys_unavailable" } });
});

test("nobody unknown gets a body parsed, or learns which routes there are", async () => {
  const { baseUrl } = await startBackend();
  const url = await startFastify(baseUrl);
  const post = (headers: Record<string, string>) =>
    fetch(url, { method: "POST", body: "{", headers: { "Content-Type": "application/json", ...headers } });
  expect((await post({})).status).toBe(401);
  expect((await post(bearer(token))).status).toBe(400);
  expect(await send(`${url}/nowhere`)).toMatchObject({ status: 401 });
  expect(await send(`${url}/nowhere`, bearer(token))).toMatchObject({ status: 404 });
});

test("errors that are not ours are Fastify's: a handler's own throw, and what looks like ours", async () => {
  const { baseUrl } = await startBackend();
  const url = await startFastify(baseUrl);
  const thrown = await send(`${url}/throws`, bearer(token));
  expect(thrown.status).toBe(500);
  expect(JSON.parse(thrown.body)).toEqual({ statusCode: 500, error: "Internal Server Error", message: "mine" });
  const imitated = await send(`${url}/imitates`, bearer(token));
  expect(imitated.headers["www-authenticate"]).toBeUndefined();
  expect(JSON.parse(imitated.body)).toMatchObject({ statusCode: 401, error: "Unauthorized", message: "imitation" });
});

test("without the error handler, Fastify's own keeps status, code and headers", async () => {
  const { baseUrl } = await startBackend();
  const app = Fastify();
  onTestFinished(() => app.close());
  await app.register(fastifyAdapter.agentIdentityAuth, { baseUrl });
  app.get("/", { onRequest: app.agents }, () => "x");
  app.get("/open", (request) => fastifyAdapter.agentOf(request));
  const refused = await app.inject("/");
  expect(refused.statusCode).toBe(401);
  expect(refused.headers).toMatchObject({
    "www-authenticate": 'Bearer realm="agent-identity"',
    "cache-control": "no-store",
  });
  expect(refused.json()).toMatchObject({ statusCode: 401, code: "credentials_missing" });
  const open = await app.inject("/open");
  expect(open.json()).toMatchObject({
    statusCode: 500,
    message: expect.stringContaining("onRequest: app.agents") as string,
  });
});
