import { once } from "node:events";
import { STATUS_CODES, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import express from "express";
import Koa from "koa";
import { describe, expect, onTestFinished, test } from "vitest";
import * as expressAdapter from "../../src/index.js";
import type { AgentIdentity, Authenticating, LoginRestrictions } from "../../src/index.js";
import * as koaAdapter from "../../src/koa.js";
import { challenge, MESSAGES } from "../support/refusals.js";
import { bearer, token } from "../support/request-table.js";
import { mint } from "../support/agents.js";
import { listen, send, startBackend } from "../support/servers.js";

/** The option is there to be without effect on upgrades. */
const optional = { credentialsRequired: false };

const adapters = {
  Express(baseUrl: string) {
    const agents = expressAdapter.agentIdentityAuth(baseUrl, optional);
    return { agents, listener: express().use(agents, (_req, res) => void res.end("ok")) };
  },
  Koa(baseUrl: string) {
    const agents = koaAdapter.agentIdentityAuth(baseUrl, optional);
    const app = new Koa<koaAdapter.AgentIdentityState>().use(agents).use((ctx) => void (ctx.body = "ok"));
    app.silent = true;
    const listener = app.callback();
    return { agents, listener: ((req, res) => void listener(req, res)) satisfies Parameters<typeof listen>[0] };
  },
};

/** What both adapters have. */
interface Agents extends Authenticating {
  restrictTo(restrictions: LoginRestrictions): Authenticating;
}

type Upgrade = (req: IncomingMessage, socket: Duplex) => Promise<AgentIdentity | undefined>;

/** The handshake of a server, which has the agent's id. */
const handshake = (identity: AgentIdentity) =>
  `HTTP/1.1 101 Switching Protocols\r\nX-Agent: ${identity.agentRuntimeId}\r\n\r\n`;

const COUNT = 200;
const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

/** Sends the request and keeps its half of the connection open until the server has closed the whole. */
async function ask(url: string, server: Server, authorization?: string): Promise<string> {
  const closed = once(server, "connection").then(([socket]) => once(socket as Socket, "close"));
  const client = open(url, authorization, { allowHalfOpen: true });
  let answer = "";
  client.setEncoding("utf8").on("data", (text: string) => (answer += text));
  await Promise.all([once(client, "end"), closed]);
  return answer;
}

function open(url: string, authorization?: string, { headers = UPGRADE, allowHalfOpen = false } = {}): Socket {
  const client = connect({ port: Number(new URL(url).port), host: "127.0.0.1", allowHalfOpen });
  const credentials = authorization === undefined ? "" : `Authorization: ${authorization}\r\n`;
  client.write(`GET / HTTP/1.1\r\nHost: x\r\n${headers}${credentials}\r\n`);
  onTestFinished(() => void client.destroy());
  return client;
}

/** A refusal on the wire, to the letter. */
function refusal(code: keyof typeof MESSAGES | "keys_unavailable", header: string, type: string): string {
  const [status, message] =
    code === "keys_unavailable"
      ? [503, "The signing keys are unavailable at the moment. Try again later."]
      : MESSAGES[code];
  const body = JSON.stringify({ error: { message, type, code } });
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "Cache-Control: no-store",
    header,
    "Content-Type: application/json; charset=utf-8",
    "Connection: close",
    `Content-Length: ${body.length}`,
    "",
    body,
  ].join("\r\n");
}

describe.each(Object.entries(adapters))("%s", (_, createAdapter) => {
  async function start(choose: (agents: Agents) => Upgrade) {
    const backend = await startBackend();
    const { agents, listener } = createAdapter(backend.baseUrl);
    const { url, server } = await listen(listener);
    const upgrade = choose(agents);
    server.on("upgrade", (req, socket) => {
      void upgrade(req, socket).then((identity) => {
        if (identity) socket.end(handshake(identity), () => socket.destroy());
      });
    });
    return { backend, agents, url, server };
  }

  test("an agent is let in, and everybody else is answered on the socket, which the server closes", async () => {
    const { backend, url, server } = await start((agents) => (req, socket) => agents.upgrade(req, socket));
    expect(await ask(url, server, `Bearer ${token}`)).toBe(
      "HTTP/1.1 101 Switching Protocols\r\nX-Agent: agent-1\r\n\r\n",
    );
    const refused = (code: "token_expired" | "request_malformed", error: string, type: string) =>
      refusal(code, `WWW-Authenticate: ${challenge(error, MESSAGES[code][1])}`, type);
    expect(await ask(url, server)).toBe(
      refusal("credentials_missing", 'WWW-Authenticate: Bearer realm="agent-identity"', "authentication_error"),
    );
    expect(await ask(url, server, "Bearer")).toBe(
      refused("request_malformed", "invalid_request", "invalid_request_error"),
    );
    expect(await ask(url, server, `Bearer ${mint({ exp: 1 })}`)).toBe(
      refused("token_expired", "invalid_token", "authentication_error"),
    );
    expect(backend.fetches).toBe(1);
  });

  test("an outage is 503 with Retry-After", async () => {
    const { backend, url, server } = await start((agents) => (req, socket) => agents.upgrade(req, socket));
    backend.answer = (_req, res) => res.writeHead(500, { "Retry-After": "7" }).end();
    const answer = await ask(url, server, `Bearer ${token}`);
    expect(answer).toBe(refusal("keys_unavailable", "Retry-After: 7", "service_unavailable_error"));
  });

  test("what restrictTo gives does so too", async () => {
    const { url, server } = await start((agents) => {
      const restricted = agents.restrictTo({ forcedChatgptWorkspaceId: "acct-2" });
      return (req, socket) => restricted.upgrade(req, socket);
    });
    const header = `WWW-Authenticate: ${challenge("insufficient_scope", MESSAGES.workspace_not_allowed[1])}`;
    expect(await ask(url, server, `Bearer ${token}`)).toBe(
      refusal("workspace_not_allowed", header, "permission_error"),
    );
    expect(await ask(url, server, `Bearer ${mint({ account_id: "acct-2" })}`)).toContain(" 101 ");
  });

  test("what is no refusal is a 500, and a warning to the operator", async () => {
    const { url, server } = await start((agents) => (_req, socket) => {
      return agents.upgrade({ headers: { authorization: [`Bearer ${token}`] as never } }, socket);
    });
    const warned = once(process, "warning");
    expect(await ask(url, server)).toBe(
      "HTTP/1.1 500 Internal Server Error\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    );
    expect((await warned)[0]).toMatchObject({
      message: "a WebSocket upgrade failed",
      cause: { message: expect.stringContaining("is not a string") as string },
    });
  });

  test("so is what is thrown and is not even an error", async () => {
    const { url, server } = await start((agents) => (_req, socket) => {
      return agents.upgrade({ get headers(): never { throw { a: 1 } as unknown as Error } }, socket); // prettier-ignore
    });
    const warned = once(process, "warning");
    expect(await ask(url, server)).toContain("HTTP/1.1 500 Internal Server Error");
    expect((await warned)[0]).toMatchObject({ cause: { a: 1 } });
  });

  test("without the socket it is a mistake of the caller's", async () => {
    const { agents } = createAdapter("https://chatgpt.com");
    const upgrade = (req: object) => (agents.upgrade as (req: object) => Promise<unknown>)(req);
    await expect(upgrade({ headers: {} })).rejects.toThrow(
      new TypeError("upgrade takes the request and its socket: agents.upgrade(req, socket)"),
    );
  });

  // Vitest fails when an exception is caught by nobody, such as an "error" of a socket without listeners.
  describe("the server outlives 200 sockets that are reset", () => {
    interface Stage {
      upgrade: () => Promise<AgentIdentity | undefined>;
      /** Of the server. */
      socket: Socket;
      /** By the client. */
      reset: () => unknown;
    }

    /** @returns what becomes of the upgrades, once all sockets are closed */
    async function resetMany(
      authorization: string | undefined,
      stage: (stage: Stage) => Promise<unknown>,
      { slowly = false, atOnce = false, headers = UPGRADE } = {},
    ): Promise<unknown[]> {
      const clients = new Map<number | undefined, Socket>();
      const outcomes: Promise<unknown>[] = [];
      let opened = 0;
      let failed = 0;
      let closed = 0;
      const backend = await startBackend();
      const { agents, listener } = createAdapter(backend.baseUrl);
      const { url, server } = await listen(listener);
      const allClosed = new Promise<void>((resolve) => {
        server.on("connection", (socket) => {
          opened++;
          socket.on("close", (hadError) => {
            if (hadError) failed++;
            if (++closed === COUNT) resolve();
          });
        });
      });
      if (!slowly) await agents.verifier.jwks.ready();
      backend.answer = (_req, res) => void allClosed.then(() => res.end(JSON.stringify({ keys: backend.keys })));
      const reset = (socket: Socket) => clients.get(socket.remotePort)?.resetAndDestroy();
      server.on("request", ({ socket }) => void reset(socket));
      server.on("upgrade", (req) => {
        const { socket } = req;
        const stages = { upgrade: () => agents.upgrade(req, socket), socket, reset: () => reset(socket) };
        outcomes.push(stage(stages));
      });
      for (let i = 0; i < COUNT; i++) {
        const client = open(url, authorization, { headers }).on("error", () => undefined);
        client.on("connect", () => {
          clients.set(client.localPort, client);
          if (atOnce) client.write("", () => client.resetAndDestroy());
        });
      }
      await allClosed;
      expect(opened).toBe(COUNT);
      expect(failed).toBeGreaterThan(0);
      server.removeAllListeners("request").on("request", listener as RequestListener);
      expect(await send(url, bearer(token))).toMatchObject({ status: 200, body: "ok" });
      return Promise.all(outcomes);
    }

    const valid = `Bearer ${token}`;

    test.each([undefined, valid])("right after the request, with Authorization: %.6s", async (authorization) => {
      const stage = async ({ upgrade, socket }: Stage) => {
        if ((await upgrade()) !== undefined) socket.end("HTTP/1.1 101 Switching Protocols\r\n\r\n");
      };
      await resetMany(authorization, stage, { atOnce: true });
    });

    test("while the keys are fetched: nobody is let in on a socket that is gone", async () => {
      const stage = ({ upgrade, reset }: Stage) => {
        const upgraded = upgrade();
        reset();
        return upgraded;
      };
      expect(await resetMany(valid, stage, { slowly: true })).toEqual(Array(COUNT).fill(undefined));
    });

    test("right before a refusal is written, or right after", async () => {
      let count = 0;
      const stage = ({ upgrade, socket, reset }: Stage) => {
        const end = socket.end.bind(socket) as (text: unknown) => Socket;
        const before = count++ % 2 === 0;
        socket.end = (text: unknown) => {
          if (before) reset();
          end(text);
          if (!before) reset();
          return socket;
        };
        return upgrade();
      };
      expect(await resetMany("Bearer", stage)).toEqual(Array(COUNT).fill(undefined));
    });

    test("before the handler has used the socket", async () => {
      const stage = async ({ upgrade, socket, reset }: Stage) => {
        const identity = await upgrade();
        reset();
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        return identity?.agentRuntimeId;
      };
      expect(await resetMany(valid, stage)).toEqual(Array(COUNT).fill("agent-1"));
    });

    test("while the keys are fetched for ordinary requests", async () => {
      const stage = () => expect.fail();
      expect(await resetMany(valid, stage, { slowly: true, headers: "" })).toEqual([]);
    });
  });
});
