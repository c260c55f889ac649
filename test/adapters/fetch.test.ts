import { describe, expect, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorResponse } from "../../src/fetch.js";
import * as express from "../../src/index.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
import { listen, send, startBackend } from "../support/servers.js";
import { bridge } from "../support/bridge.js";
import { expectFailure } from "../support/refusals.js";
import { bearer, token } from "../support/request-table.js";

const request = (authorization?: string): Request =>
  new Request("http://localhost/", authorization === undefined ? {} : { headers: { authorization } });

async function start() {
  const backend = await startBackend();
  return { backend, agents: agentIdentityAuth(backend.baseUrl) };
}

describe("protect", () => {
  test("the handler gets the request, the whole identity and whatever the framework adds", async () => {
    const { agents } = await start();
    const sent = request(`Bearer ${token}`);
    const handler = agents.protect((received, identity, context: { params: string }, more: number) => {
      expect(received).toBe(sent);
      expect(Object.isFrozen(identity)).toBe(true);
      return Response.json({ ...identity, ...context, more });
    });
    const response = await handler(sent, { params: "x" }, 2);
    expect(await response.json()).toMatchObject({
      agentRuntimeId: "agent-1",
      accountId: "acct-1",
      params: "x",
      more: 2,
    });
  });

  test("the request's body is left for the handler", async () => {
    const { agents } = await start();
    const handler = agents.protect(async (received) => new Response(await received.text()));
    const sent = new Request("http://localhost/", {
      method: "POST",
      body: "unread",
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await (await handler(sent)).text()).toBe("unread");
  });

  test("what the handler throws is thrown on", async () => {
    const { agents } = await start();
    const handler = agents.protect(() => {
      throw new Error("mine");
    });
    for (let time = 0; time < 2; time++) await expect(handler(request(`Bearer ${token}`))).rejects.toThrow("mine");
  });

  test("each refusal is a Response of its own, whose body can be read", async () => {
    const { agents } = await start();
    const handler = agents.protect(() => expect.fail());
    const [first, second] = [await handler(request()), await handler(request())];
    expect(await first.text()).toBe(await second.text());
  });
});

describe("authenticate", () => {
  test("resolves to the identity, or rejects with an error that agentIdentityErrorResponse answers", async () => {
    const backend = await startBackend();
    const agents = agentIdentityAuth(backend.baseUrl, { credentialsRequired: false });
    const { url } = await listen(
      bridge(async (received) => {
        const identity = await agents.authenticate(received).catch((error: unknown) => error);
        return agentIdentityErrorResponse(identity) ?? Response.json(identity);
      }),
    );
    expect(await send(url, bearer(token))).toMatchObject({ status: 200 });
    expectFailure(await send(url), "credentials_missing");
    expectFailure(await send(url, bearer("abc")), "token_malformed");
  });

  test("agentIdentityErrorResponse is not for errors of others", () => {
    const imitation = Object.assign(new Error("imitation"), { status: 401, code: "token_expired", headers: {} });
    for (const error of [imitation, undefined, null, "token_expired"]) {
      expect(agentIdentityErrorResponse(error)).toBeUndefined();
    }
  });

  test("restrictTo gives the same pair", async () => {
    const { agents } = await start();
    const restricted = agents.restrictTo({ forcedChatgptWorkspaceId: "acct-2" });
    await expect(restricted.authenticate(request(`Bearer ${token}`))).rejects.toMatchObject({
      code: "workspace_not_allowed",
    });
    const response = await restricted.protect(() => expect.fail())(request(`Bearer ${token}`));
    expect(response.status).toBe(403);
    expect(() => agents.restrictTo({})).toThrow(TypeError);
  });
});

test("AgentAssertions, with the account header that Codex sends", async () => {
  const backend = await startBackend();
  const agent = createAgent("agent-2");
  const agents = agentIdentityAuth(backend.baseUrl, { directory: createDirectory(agent), bearer: false });
  const { url } = await listen(bridge(agents.protect((_request, identity) => Response.json(identity.agentRuntimeId))));
  const signed = { Authorization: assertion(agent) };
  expect(await send(url, signed)).toMatchObject({ status: 200, body: '"agent-2"' });
  expect(await send(url, { ...signed, "ChatGPT-Account-ID": "acct-1" })).toMatchObject({ status: 200 });
  expect(await send(url, { ...signed, "ChatGPT-Account-ID": "acct-2" })).toMatchObject({ status: 401 });
  expect(await send(url, { ...signed, "ChatGPT-Account-ID": ["acct-1", "acct-1"] })).toMatchObject({ status: 401 });
});

test("shares keys and verified tokens with the other adapters", async () => {
  const { backend, agents } = await start();
  await agents.authenticate(request(`Bearer ${token}`));
  const middleware = express.agentIdentityAuth(backend.baseUrl);
  const { url } = await listen((req, res) => {
    middleware(req, res, (error) => res.writeHead(error ? 401 : 200).end());
  });
  expect(await send(url, bearer(token))).toMatchObject({ status: 200 });
  expect(backend.fetches).toBe(1);
});
