/** One server with the same routes for every framework: each answers with the agent's id, or with "nobody". */

import type { IncomingMessage, RequestListener } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { RequestHandler } from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import Koa2 from "koa2";
import type { AgentIdentity, AgentIdentityAuthOptions, IdentityRule, LoginRestrictions } from "../../src/index.js";
import * as expressAdapter from "../../src/index.js";
import * as fetchAdapter from "../../src/fetch.js";
import * as fastifyAdapter from "../../src/fastify.js";
import * as honoAdapter from "../../src/hono.js";
import * as mcpAdapter from "../../src/mcp.js";
import * as koaAdapter from "../../src/koa.js";
import { createAgent, createDirectory } from "./assertions.js";
import { expressReleases } from "./express.js";
import { bridge, type RequestHandler as FetchHandler } from "./bridge.js";

interface Route {
  options: AgentIdentityAuthOptions;
  restrictions?: LoginRestrictions;
  rule?: IdentityRule;
}

interface Restrictable<Restricted> {
  restrictTo(restrictions: LoginRestrictions): Restricted;
  require(rule: IdentityRule): Restricted;
}

/** What a route says of who may come in, if it says anything. */
function restrict<Restricted>(agents: Restrictable<Restricted>, { restrictions, rule }: Route): Restricted | undefined {
  if (rule) return agents.require(rule);
  return restrictions && agents.restrictTo(restrictions);
}

const optional = { credentialsRequired: false };

/** Who signs the assertions that "/assertions" takes. */
export const signer = createAgent("agent-2");
const findAgent = () => Promise.reject(new Error("secret database error"));
export const resourceMetadata = "https://tasks.example/.well-known/oauth-protected-resource";

const ROUTES: Record<string, Route> = {
  "/required": { options: {} },
  "/acct-1": { options: {}, restrictions: { forcedChatgptWorkspaceId: "acct-1" } },
  "/acct-2": { options: {}, restrictions: { forcedChatgptWorkspaceId: ["acct-2"] } },
  "/api-only": { options: {}, restrictions: { forcedLoginMethod: "api" } },
  "/pro": { options: {}, rule: ({ planType }) => Promise.resolve(planType === "pro") },
  "/optional": { options: optional },
  "/assertions": { options: { directory: createDirectory(signer), realm: "tasks", resourceMetadata } },
  "/no-directory": { options: { directory: { findAgent, findTask: findAgent } } },
  "/optional/acct-1": { options: optional, restrictions: { forcedChatgptWorkspaceId: "acct-1" } },
};

const nameOf = (identity: AgentIdentity | undefined): string => identity?.agentRuntimeId ?? "nobody";

/** For each route, what a framework does with it. */
function forEachRoute<T>(build: (route: Route, path: string) => T): Map<string, T> {
  return new Map(Object.entries(ROUTES).map(([path, route]) => [path, build(route, path)]));
}

function expressServer(express: (typeof expressReleases)[0][1]): (baseUrl: string) => RequestListener {
  return (baseUrl) => {
    const app = express();
    const answer: RequestHandler = (req, res) => res.json(nameOf(req.agentIdentity));
    forEachRoute((route, path) => {
      const agents = expressAdapter.agentIdentityAuth(baseUrl, route.options);
      app.all(path, restrict(agents, route) ?? agents, answer);
    });
    return app.use(expressAdapter.agentIdentityErrorHandler());
  };
}

function koaServer(Release: typeof Koa): (baseUrl: string) => RequestListener {
  return (baseUrl) => {
    const handlers = forEachRoute((route) => {
      const agents = koaAdapter.agentIdentityAuth(baseUrl, route.options);
      return restrict(agents, route) ?? agents;
    });
    const app = new Release<koaAdapter.AgentIdentityState>();
    app.use(koaAdapter.agentIdentityErrorHandler());
    app.use((ctx, next) => handlers.get(ctx.path)?.(ctx, next));
    app.use((ctx) => {
      ctx.body = JSON.stringify(nameOf(ctx.state.agentIdentity));
    });
    const listener = app.callback();
    return (req, res) => void listener(req, res);
  };
}

function fetchHandlers(baseUrl: string): Map<string, FetchHandler> {
  return forEachRoute((route) => {
    const agents = fetchAdapter.agentIdentityAuth(baseUrl, route.options);
    const protection = restrict(agents, route) ?? agents;
    return protection.protect((_request, identity) => Response.json(nameOf(identity)));
  });
}

const notFound = () => Promise.resolve(new Response(null, { status: 404 }));

export interface Adapter {
  /** The request reaches the package as a `Request`. */
  ofRequest: boolean;
  createServer: (baseUrl: string) => RequestListener;
  /** MCP: every challenge names the metadata of the resource, and credentials are always required. */
  ofMcp?: boolean;
}

function honoServer(baseUrl: string): RequestListener {
  const app = new Hono();
  forEachRoute((route, path) => {
    const agents = honoAdapter.agentIdentityAuth(baseUrl, route.options);
    const handler = (restrict(agents, route) ?? agents) as typeof agents;
    app.all(path, handler, (c) => c.json(nameOf(c.var.agentIdentity)));
  });
  const listener = getRequestListener(app.fetch);
  return (req, res) => void listener(req, res);
}

function fastifyServer(baseUrl: string): RequestListener {
  const app = Fastify();
  app.setErrorHandler(fastifyAdapter.agentIdentityErrorHandler());
  forEachRoute((route, path) => {
    app.register(async (scope) => {
      await scope.register(fastifyAdapter.agentIdentityAuth, { baseUrl, ...route.options });
      const onRequest = restrict(scope.agents, route) ?? scope.agents;
      scope.all(path, { onRequest }, ({ agentIdentity }, reply) => reply.send(JSON.stringify(nameOf(agentIdentity))));
    });
  });
  return (req, res) =>
    void (async () => {
      await app.ready();
      app.routing(req, res);
    })();
}

function mcpGates(baseUrl: string): Map<string, mcpAdapter.McpGate> {
  return forEachRoute((route) => {
    const options = { ...route.options };
    delete options.credentialsRequired;
    delete options.resourceMetadata;
    const agents = mcpAdapter.agentIdentityAuth(baseUrl, { ...options, resource: "https://tasks.example" });
    return restrict(agents, route) ?? agents;
  });
}

function mcpServer(baseUrl: string): RequestListener {
  const gates = mcpGates(baseUrl);
  return (req: IncomingMessage & { auth?: mcpAdapter.McpAuthInfo }, res) => {
    gates.get(req.url ?? "")?.(req, res, (error) => {
      if (error !== undefined) res.statusCode = 500;
      res.end(JSON.stringify(nameOf(req.auth?.extra.agentIdentity)));
    });
  };
}

export const adapters: [name: string, adapter: Adapter][] = [
  ...expressReleases.map(([name, express]): [string, Adapter] => [
    name,
    { ofRequest: false, createServer: expressServer(express) },
  ]),
  ["Koa 2", { ofRequest: false, createServer: koaServer(Koa2) }],
  ["Koa 3", { ofRequest: false, createServer: koaServer(Koa) }],
  [
    "node:http, bridged to Request and Response",
    {
      ofRequest: true,
      createServer(baseUrl) {
        const handlers = fetchHandlers(baseUrl);
        return bridge((request) => (handlers.get(new URL(request.url).pathname) ?? notFound)(request));
      },
    },
  ],
  ["Hono", { ofRequest: true, createServer: honoServer }],
  ["Fastify", { ofRequest: false, createServer: fastifyServer }],
  ["MCP's gate", { ofRequest: false, createServer: mcpServer, ofMcp: true }],
  [
    "MCP, bridged to Request and Response",
    {
      ofRequest: true,
      ofMcp: true,
      createServer(baseUrl) {
        const gates = mcpGates(baseUrl);
        return bridge((request) => {
          const gate = gates.get(new URL(request.url).pathname);
          return (gate?.protect((_request, auth) => Response.json(auth.clientId)) ?? notFound)(request);
        });
      },
    },
  ],
];
