import Koa from "koa";
import Koa2 from "koa2";
import { describe, expect, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityState } from "../../src/koa.js";
import { listen, send, startBackend } from "../support/servers.js";
import { challenge, expectFailure, MESSAGES } from "../support/refusals.js";
import { bearer, token } from "../support/request-table.js";

const releases: [name: string, Release: typeof Koa][] = [
  ["Koa 2", Koa2],
  ["Koa 3", Koa],
];

describe.each(releases)("%s", (_, Release) => {
  async function start(use: (app: Koa<AgentIdentityState>, baseUrl: string) => void) {
    const backend = await startBackend();
    const app = new Release<AgentIdentityState>();
    app.silent = true;
    use(app, backend.baseUrl);
    const listener = app.callback();
    return { backend, ...(await listen((req, res) => void listener(req, res))) };
  }

  test("the whole identity is in the state, frozen", async () => {
    const { url } = await start((app, baseUrl) => {
      app.use(agentIdentityAuth(baseUrl)).use((ctx) => {
        ctx.body = { ...ctx.state.agentIdentity, frozen: Object.isFrozen(ctx.state.agentIdentity) };
      });
    });
    const { body } = await send(url, bearer(token));
    expect(JSON.parse(body)).toMatchObject({ agentRuntimeId: "agent-1", accountId: "acct-1", frozen: true });
  });

  test("without the error handler, Koa answers with status, headers and a plain text that is ours", async () => {
    const { url } = await start((app, baseUrl) => app.use(agentIdentityAuth(baseUrl)));
    const answer = await send(url, bearer("abc"));
    expect(answer).toMatchObject({ status: 401, body: MESSAGES.token_malformed[1] });
    expect(answer.headers["www-authenticate"]).toBe(challenge("invalid_token", MESSAGES.token_malformed[1]));
    expect(answer.headers["cache-control"]).toBe("no-store");
  });

  test("the error handler keeps headers that were set before, and throws on what is not ours", async () => {
    const { url } = await start((app, baseUrl) => {
      app.use(async (ctx, next) => {
        ctx.set("X-Before", "1");
        try {
          await next();
        } catch (error) {
          ctx.status = 418;
          ctx.body = (error as Error).message;
        }
      });
      app.use(agentIdentityErrorHandler());
      app.use(async (ctx, next) => {
        if (ctx.path !== "/imitates") await next();
        else throw Object.assign(new Error("imitation"), { status: 401, code: "token_expired", headers: {} });
      });
      app.use(agentIdentityAuth(baseUrl)).use(() => {
        throw new Error("mine");
      });
    });
    const refused = await send(url);
    expectFailure(refused, "credentials_missing");
    expect(refused.headers["x-before"]).toBe("1");
    const firstSeen = await send(url, bearer(token));
    const remembered = await send(url, bearer(token));
    for (const answer of [firstSeen, remembered]) expect(answer).toMatchObject({ status: 418, body: "mine" });
    expect(await send(`${url}/imitates`)).toMatchObject({ status: 418, body: "imitation" });
  });

  test("an answer that has begun is not written over: the error is thrown on", async () => {
    const thrown: unknown[] = [];
    const { url } = await start((app, baseUrl) => {
      app.use((_ctx, next) => next().catch((error: unknown) => void thrown.push(error)));
      app.use(agentIdentityErrorHandler());
      app.use(async (ctx, next) => {
        ctx.respond = false;
        ctx.res.writeHead(202).end("begun");
        await next();
      });
      app.use(agentIdentityAuth(baseUrl));
    });
    expect(await send(url)).toMatchObject({ status: 202, body: "begun" });
    expect(thrown).toMatchObject([{ code: "credentials_missing" }]);
  });

  test("a handler that answers by other means, and is refused before it has begun, leaves nobody waiting", async () => {
    const { url } = await start((app, baseUrl) => {
      const agents = agentIdentityAuth(baseUrl);
      app.use(agentIdentityErrorHandler());
      app.use(async (ctx) => {
        ctx.respond = false;
        await agents.authenticate(ctx.req);
        ctx.res.writeHead(200).end("by other means");
      });
    });
    expectFailure(await send(url), "credentials_missing");
    expect(await send(url, bearer(token))).toMatchObject({ status: 200, body: "by other means" });
  });

  test("restrictTo trusts no identity that it finds in the state", async () => {
    const { url } = await start((app, baseUrl) => {
      app.use(agentIdentityErrorHandler());
      app.use((ctx, next) => {
        ctx.state.agentIdentity = { accountId: "acct-2" } as NonNullable<AgentIdentityState["agentIdentity"]>;
        return next();
      });
      app.use(agentIdentityAuth(baseUrl).restrictTo({ forcedChatgptWorkspaceId: "acct-2" }));
      app.use(() => expect.fail());
    });
    expectFailure(await send(url), "credentials_missing");
    expectFailure(await send(url, bearer(token)), "workspace_not_allowed");
  });

  test("agents.authenticate takes ctx.req", async () => {
    const { url } = await start((app, baseUrl) => {
      const agents = agentIdentityAuth(baseUrl);
      app.use(agentIdentityErrorHandler()).use(async (ctx) => {
        ctx.body = (await agents.authenticate(ctx.req)).agentRuntimeId;
      });
    });
    expect(await send(url, bearer(token))).toMatchObject({ status: 200, body: "agent-1" });
    expectFailure(await send(url, { Authorization: [`Bearer ${token}`, `Bearer ${token}`] }), "request_malformed");
  });

  test("and so does what restrictTo gives", async () => {
    const { url } = await start((app, baseUrl) => {
      const agents = agentIdentityAuth(baseUrl, { credentialsRequired: false });
      const [own, others] = ["acct-1", "acct-2"].map((id) => agents.restrictTo({ forcedChatgptWorkspaceId: id }));
      app.use(agentIdentityErrorHandler()).use(async (ctx) => {
        ctx.body = (await (ctx.path === "/own" ? own : others)?.authenticate(ctx.req))?.agentRuntimeId;
      });
    });
    expect(await send(`${url}/own`, bearer(token))).toMatchObject({ status: 200, body: "agent-1" });
    expectFailure(await send(`${url}/others`, bearer(token)), "workspace_not_allowed");
    expectFailure(await send(`${url}/own`), "credentials_missing");
  });
});
