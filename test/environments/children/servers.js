/* global Request, Response */
/** The same mounts in every framework ("adapter"). `/static/…` has its keys, `/cold/…` fetches them. */

import { once } from "node:events";
import { createServer } from "node:http";
import { touches } from "./prepare.js";

const ADAPTERS = {
  async express() {
    const { default: express } = await import("express");
    const { agentIdentityAuth, agentIdentityErrorHandler } = await import("agent-identity-auth");
    return (mounts, touch) => {
      const app = express();
      for (const [path, agents] of mounts(agentIdentityAuth)) {
        // All in one route: Express itself cannot leave a route with a request that is frozen.
        app.get(
          path,
          (req, res, next) => agents(touch.request(req), res, next),
          (req, res) => res.json(req.agentIdentity ?? "nobody"),
          agentIdentityErrorHandler(),
          (_error, _req, res, _next) => void res.status(500).json({ error: { code: "other" } }),
        );
      }
      return app;
    };
  },

  async koa() {
    const { default: Koa } = await import("koa");
    const { agentIdentityAuth, agentIdentityErrorHandler } = await import("agent-identity-auth/koa");
    return (mounts, touch) => {
      const app = new Koa();
      app.silent = true;
      app.use(agentIdentityErrorHandler());
      const agents = new Map(mounts(agentIdentityAuth));
      app.use((ctx, next) => {
        const agent = agents.get(ctx.path);
        if (!agent) return undefined;
        ctx.req = touch.request(ctx.req);
        touch.state(ctx);
        return agent(ctx, next);
      });
      app.use((ctx) => {
        ctx.body = JSON.stringify(ctx.state.agentIdentity ?? "nobody");
      });
      return app.callback();
    };
  },

  async fetch() {
    const { agentIdentityAuth } = await import("agent-identity-auth/fetch");
    return (mounts) => {
      const handlers = new Map(
        mounts(agentIdentityAuth).map(([path, agents]) => [
          path,
          agents.protect((_request, identity) => Response.json(identity ?? "nobody")),
        ]),
      );
      return async (req, res) => {
        const handler = handlers.get(req.url);
        if (!handler) return void res.writeHead(404).end();
        try {
          const { authorization } = req.headers;
          const headers = authorization === undefined ? {} : { authorization };
          const response = await handler(new Request(`http://127.0.0.1${req.url}`, { headers }));
          const text = await response.text();
          res.writeHead(response.status).end(text);
        } catch (error) {
          res.writeHead(500).end(JSON.stringify({ error: { code: `${error}` } }));
        }
      };
    };
  },

  async verifier() {
    const { createVerifier } = await import("agent-identity-auth/fetch"); // the main entry loads depd
    return (mounts) => {
      const verifiers = new Map(mounts(createVerifier, ["bearer", "forged-first"]));
      return async (req, res) => {
        try {
          const identity = await verifiers.get(req.url).verify(req.headers.authorization.slice("Bearer ".length));
          res.end(JSON.stringify(identity));
        } catch (error) {
          res.writeHead(error.status ?? 500).end(JSON.stringify({ error: { code: error.code ?? `${error}` } }));
        }
      };
    };
  },
};

/** Each by itself: where one of them cannot be imported, the others can be tried. Jest cannot import two at a time. */
export async function importAdapters({ adapters = Object.keys(ADAPTERS) }) {
  const created = [];
  for (const name of adapters) created.push([name, await ADAPTERS[name]().catch((error) => ({ error }))]);
  return async (material) => {
    const ports = {};
    for (const [name, create] of created) {
      try {
        if (create.error) throw create.error;
        const touch = { request: (req) => req, state: () => undefined, ...touches[material.touch] };
        const server = createServer(create(mountsOf(material), touch)).listen(0, "127.0.0.1");
        await once(server, "listening");
        ports[name] = { port: server.address().port };
      } catch (error) {
        ports[name] = { error: String(error?.message ?? error) };
      }
    }
    return ports;
  };
}

/** @returns what makes the mounts of a framework's factory, each with its path */
function mountsOf({ baseUrl, keys, now }) {
  const agent = {
    publicKey: keys.agentKey,
    accountId: "acct-1",
    chatgptUserId: "user-1",
    planType: "pro",
    chatgptAccountIsFedramp: false,
  };
  const synchronous = {
    findAgent: (id) => (id === "agent-1" ? agent : undefined),
    findTask: (id) => (id === "task-1" ? { agentRuntimeId: "agent-1", expiresAt: now + 3600 } : undefined),
  };
  // One of each promise: the engine's, and what this environment has for it.
  const asynchronous = {
    findAgent: async (id) => synchronous.findAgent(id),
    findTask: (id) => Promise.resolve(synchronous.findTask(id)),
  };
  const kinds = {
    bearer: (create, jwks) => create(baseUrl, { jwks }),
    "forged-first": (create, jwks) => create(baseUrl, { jwks }),
    synchronous: (create, jwks) => create(baseUrl, { jwks, directory: synchronous }),
    asynchronous: (create, jwks) => create(baseUrl, { jwks, directory: asynchronous }),
    "acct-1": (create, jwks) => create(baseUrl, { jwks }).restrictTo({ forcedChatgptWorkspaceId: "acct-1" }),
    "acct-2": (create, jwks) => create(baseUrl, { jwks }).restrictTo({ forcedChatgptWorkspaceId: "acct-2" }),
    optional: (create, jwks) => create(baseUrl, { jwks, credentialsRequired: false }),
    // Plain http to a host that is not loopback is refused at construction, so that there is no such mount.
    insecure(create, jwks) {
      try {
        return create("http://gw.example/backend-api", { jwks });
      } catch (error) {
        if (error.name !== "TypeError") throw error;
      }
    },
  };
  return (factory, wanted = Object.keys(kinds)) =>
    Object.entries({ static: { keySet: keys.jwks }, cold: {} }).flatMap(([source, jwks]) =>
      wanted.map((kind) => [`/${source}/${kind}`, kinds[kind](factory, jwks)]).filter(([, agents]) => agents),
    );
}
