/** What consumers of the Koa and the Request/Response adapters write: compiled by `npm run check:types`, never run. */

import Koa from "koa";
import { expectTypeOf } from "vitest";
import type { AgentIdentity } from "../../src/index.js";
import * as fetchAdapter from "../../src/fetch.js";
import * as koaAdapter from "../../src/koa.js";

const koaAgents = koaAdapter.agentIdentityAuth("https://chatgpt.com/backend-api");
const typed = new Koa<koaAdapter.AgentIdentityState>();
typed.use(koaAdapter.agentIdentityErrorHandler());
typed.use(koaAgents).use(koaAgents.restrictTo({ forcedLoginMethod: "chatgpt" }));
typed.use(async (ctx) => {
  expectTypeOf(ctx.state.agentIdentity).toEqualTypeOf<AgentIdentity | undefined>();
  // @ts-expect-error -- an identity is read, not written
  if (ctx.state.agentIdentity) ctx.state.agentIdentity.accountId = "acct-2";
  expectTypeOf(await koaAgents.authenticate(ctx.req)).toEqualTypeOf<AgentIdentity>();
});
// An app whose state is not typed, and one with more in its state.
new Koa().use(koaAdapter.agentIdentityErrorHandler()).use(koaAgents);
new Koa<koaAdapter.AgentIdentityState & { user: string }>().use(koaAgents);
// @ts-expect-error -- there is no default base URL
koaAdapter.agentIdentityAuth();
// @ts-expect-error -- an unknown option
koaAdapter.agentIdentityAuth("https://chatgpt.com", { audiance: "x" });

const agents = fetchAdapter.agentIdentityAuth("https://chatgpt.com/backend-api", { realm: "tasks" });
agents.protect((request, identity) => {
  expectTypeOf(request).toEqualTypeOf<Request>();
  expectTypeOf(identity).toEqualTypeOf<AgentIdentity>();
  return new Response();
});
const withContext = agents.protect((_request, _identity, context: { params: string }) => Response.json(context.params));
expectTypeOf(withContext).toEqualTypeOf<(request: Request, context: { params: string }) => Promise<Response>>();
// @ts-expect-error -- a handler returns a Response
agents.protect(() => "text");
expectTypeOf<ReturnType<typeof agents.authenticate>>().toEqualTypeOf<Promise<AgentIdentity>>();

const optional = fetchAdapter.agentIdentityAuth("https://chatgpt.com", { credentialsRequired: false });
optional.protect((_request, identity) => {
  expectTypeOf(identity).toEqualTypeOf<AgentIdentity | undefined>();
  return new Response();
});
optional.restrictTo({ forcedLoginMethod: "chatgpt" }).protect((_request, identity) => {
  expectTypeOf(identity).toEqualTypeOf<AgentIdentity>();
  return new Response();
});
fetchAdapter
  .agentIdentityAuth("https://chatgpt.com", { credentialsRequired: Math.random() > 0.5 })
  .protect((_request, identity) => {
    expectTypeOf(identity).toEqualTypeOf<AgentIdentity | undefined>();
    return new Response();
  });
expectTypeOf(fetchAdapter.agentIdentityErrorResponse(new Error())).toEqualTypeOf<Response | undefined>();
// @ts-expect-error -- there is no default base URL
fetchAdapter.agentIdentityAuth();
