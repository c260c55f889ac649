/** The router beside others: somebody else answers first, clients go away, on HTTP/1.1 and on HTTP/2. */

import { createPrivateKey, sign } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { createServer, request, type ServerOptions, type ServerResponse } from "node:http";
import http2 from "node:http2";
import { connect, type AddressInfo, type Server, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import express from "express";
import express4 from "express4";
import { describe, expect, onTestFinished, test } from "vitest";
import { createIssuer, type IssuerRouter } from "../../src/issuer.js";
import { timestamp } from "../support/assertions.js";
import { TextStore } from "../support/text-store.js";
import { listen } from "../support/servers.js";

interface Asked {
  method?: string;
  path: string;
  headers?: Record<string, string | number>;
  /** Sent in these pieces. */
  body?: string[];
  /** Whether the body is complete with them. Default: true. */
  ends?: boolean;
}

interface Answer {
  /** 0 if the connection, or the stream, ended without an answer. */
  status: number;
  headers: Record<string, unknown>;
  body: string;
}

interface Protocol {
  start: (listener: IssuerRouter, options?: ServerOptions) => Server;
  ask: (socket: Socket, asked: Asked) => Promise<Answer>;
}

const nothing = () => undefined;
const noAnswer: Answer = { status: 0, headers: {}, body: "" };

const http1: Protocol = {
  start: (listener, options = {}) => createServer(options, listener),
  async ask(socket, { method = "GET", path, headers, body = [], ends = true }) {
    const sent = request({ createConnection: () => socket, method, path, headers });
    const answer = new Promise<Answer>((resolve, reject) => {
      sent.on("response", (res) => {
        text(res).then((got) => {
          resolve({ status: res.statusCode ?? 0, headers: res.headers, body: got });
        }, reject);
      });
      sent.on("error", () => {
        resolve(noAnswer);
      });
    });
    sent.flushHeaders();
    for (const piece of body) sent.write(piece);
    if (ends) sent.end();
    return answer;
  },
};

const http2WithoutTls: Protocol = {
  start: (listener) => http2.createServer(listener),
  async ask(socket, { method = "GET", path, headers, body = [], ends = true }) {
    const session = http2.connect("http://127.0.0.1", { createConnection: () => socket }).on("error", nothing);
    const stream = session.request(
      { ":method": method, ":path": path, ...headers },
      { endStream: ends && body.length === 0 },
    );
    const answer: Answer = { ...noAnswer };
    stream.on("response", (got) => {
      answer.status = got[":status"] ?? 0;
      answer.headers = got;
    });
    stream.setEncoding("utf8").on("data", (chunk: string) => (answer.body += chunk));
    const isOver = new Promise((resolve) => {
      stream.on("error", nothing).on("close", resolve);
      if (!ends) stream.on("end", resolve);
    });
    for (const piece of body) stream.write(piece);
    if (ends && body.length > 0) stream.end();
    await isOver;
    session.destroy();
    return answer;
  },
};

const protocols: [string, Protocol][] = [
  ["HTTP/1.1", http1],
  ["HTTP/2", http2WithoutTls],
];

/** Says `asked` for each call, which then waits while it is held. */
class SlowStore extends TextStore {
  readonly events = new EventEmitter();

  /** Gives what lets go. */
  hold(call: "get" | "set"): () => void {
    let release: () => void = nothing;
    const held = new Promise<void>((resolve) => (release = resolve));
    this.before = (called) => {
      if (called !== call) return undefined;
      this.events.emit("asked");
      return held;
    };
    return () => {
      this.before = nothing;
      release();
    };
  }
}

/** An issuer with one agent, and what each of its two routes is asked. */
async function prepare() {
  const store = new SlowStore();
  const issuer = await createIssuer({ store });
  const { token, agentRuntimeId } = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1" });
  const payload = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Record<string, string>;
  const key = Buffer.from(payload["agent_private_key"] ?? "", "base64");
  const time = timestamp();
  const signature = sign(
    null,
    Buffer.from(`${agentRuntimeId}:${time}`),
    createPrivateKey({ key, format: "der", type: "pkcs8" }),
  ).toString("base64");
  const body = JSON.stringify({ timestamp: time, signature });
  const registration: Asked = {
    method: "POST",
    path: `/v1/agent/${agentRuntimeId}/task/register`,
    headers: { "content-type": "application/json" },
    body: [body],
  };
  return { store, router: issuer.router(), jwks: { path: "/agent-identities/jwks" } satisfies Asked, registration };
}

async function serve({ start, ask }: Protocol, listener: IssuerRouter, options?: ServerOptions) {
  const server = start(listener, options);
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const open = () => connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", nothing);
  return { open, ask: (asked: Asked) => ask(open(), asked) };
}

/** Resolves when it has been called so often. */
function countdown(left: number): { over: Promise<void>; count: () => void } {
  let resolve: () => void = nothing;
  const over = new Promise<void>((done) => (resolve = done));
  return {
    over,
    count: () => {
      if (--left === 0) resolve();
    },
  };
}

describe.each(protocols)("over %s", (_name, protocol) => {
  test("serves the JWKS to be read only", async () => {
    const { router, jwks } = await prepare();
    const { ask } = await serve(protocol, router);
    expect(await ask(jwks)).toMatchObject({
      status: 200,
      headers: { "cache-control": "public, max-age=60", "content-type": "application/json; charset=utf-8" },
      body: expect.stringMatching(/^\{"keys":\[\{/) as string,
    });
    expect(await ask({ ...jwks, method: "HEAD" })).toMatchObject({ status: 200, body: "" });
    for (const method of ["DELETE", "POST", "OPTIONS"]) {
      expect(await ask({ ...jwks, method })).toMatchObject({
        status: 405,
        headers: { allow: "GET, HEAD", "cache-control": "no-store" },
      });
    }
    expect(await ask({ path: "/" })).toMatchObject({ status: 404 });
    expect(await ask({ path: "/", method: "HEAD" })).toMatchObject({ status: 404, body: "" });
  });

  test.each<[string, Partial<Asked>]>([
    ["of 20 kB", { body: ["x".repeat(20_000)] }],
    ["of 1 MB", { body: Array<string>(100).fill("x".repeat(10_000)) }],
    ["that is announced and does not come", { headers: { "content-length": 4097 }, ends: false }],
    ["that has no end", { body: ["x".repeat(3000), "x".repeat(3000)], ends: false }],
  ])("a body %s is too large", { timeout: 5000 }, async (_, asked) => {
    const { router, registration } = await prepare();
    const { ask } = await serve(protocol, router);
    const headers = { ...registration.headers, ...asked.headers };
    expect(await ask({ ...registration, body: [], ...asked, headers })).toMatchObject({
      status: 413,
      body: expect.stringContaining('"body_too_large"') as string,
    });
    expect(await ask(registration)).toMatchObject({ status: 200 });
  });

  type Response = Parameters<IssuerRouter>[1];
  const routes: ["jwks" | "registration", "get" | "set"][] = [
    ["jwks", "get"],
    ["registration", "set"],
  ];
  const others: [string, (res: Response) => void, (res: Response) => void, Partial<Answer>][] = [
    [
      "has answered",
      (res) => {
        res.writeHead(503);
        res.end("timed out");
      },
      nothing,
      { status: 503, body: "timed out" },
    ],
    [
      "has begun to answer",
      (res) => {
        res.writeHead(503);
        (res as ServerResponse).write("timed ");
      },
      (res) => res.end("out"),
      { status: 503, body: "timed out" },
    ],
    ["has destroyed the response", (res) => res.destroy(), nothing, { status: 0 }],
  ];
  describe.each(routes)("%s", (route, call) => {
    test.each(others)("writes nothing where somebody else %s", async (_, before, after, expected) => {
      const { store, router, ...asks } = await prepare();
      let answered: Response | undefined;
      const { ask } = await serve(protocol, (req, res) => {
        answered = res;
        router(req, res);
      });
      const release = store.hold(call);
      const asked = once(store.events, "asked");
      const answer = ask(asks[route]);
      await asked;
      const res = answered as unknown as Response;
      before(res);
      release();
      await new Promise(setImmediate); // what waited for the store has gone on
      after(res);
      expect(await answer).toMatchObject(expected);
      expect(await ask(asks[route])).toMatchObject({ status: 200 });
    });

    test("a hook on the response that throws ends that response only", async () => {
      const { router, ...asks } = await prepare();
      let isHooked = true;
      const { ask } = await serve(protocol, (req, res) => {
        if (isHooked) {
          res.writeHead = () => {
            throw new Error("a hook");
          };
        }
        router(req, res);
      });
      expect(await ask(asks[route])).toMatchObject({ status: 0 });
      isHooked = false;
      expect(await ask(asks[route])).toMatchObject({ status: 200 });
    });
  });

  test("a hook that throws for a path that is not there ends that response only", async () => {
    const { router, jwks } = await prepare();
    const { ask } = await serve(protocol, (req, res) => {
      if (req.url === "/") {
        res.writeHead = () => {
          throw new Error("a hook");
        };
      }
      router(req, res);
    });
    expect(await ask({ path: "/" })).toMatchObject({ status: 0 });
    expect(await ask(jwks)).toMatchObject({ status: 200 });
  });

  test("answers nothing where somebody has answered before it was asked", async () => {
    const { router, jwks, registration } = await prepare();
    const { ask } = await serve(protocol, (req, res) => {
      res.writeHead(503);
      res.end("not now");
      router(req, res);
    });
    for (const asked of [jwks, registration, { ...jwks, method: "DELETE" }, { path: "/" }]) {
      expect(await ask(asked)).toMatchObject({ status: 503, body: "not now" });
    }
  });

  const resets: [string, "request" | "readable" | "asked" | "late"][] = [
    ["before the body", "request"],
    ["half-way through the body", "readable"],
    ["while the store is being asked", "asked"],
    ["before the router is asked", "late"],
  ];
  test.each(resets)("200 sockets are reset %s", async (_, stage) => {
    const { store, router, jwks, registration } = await prepare();
    const [body = ""] = registration.body ?? [];
    const reached = countdown(200);
    const closed = countdown(200);
    let isOver = false;
    const { open, ask } = await serve(protocol, (req, res) => {
      if (isOver) {
        router(req, res);
        return;
      }
      res.once("close", () => {
        closed.count();
        if (stage === "late") router(req, res);
      });
      if (stage === "readable") req.once("readable", reached.count);
      else if (stage !== "asked") reached.count();
      if (stage !== "late") router(req, res);
    });
    store.events.on("asked", reached.count);
    const release = store.hold("get");
    const bodies = { request: [], readable: [body.slice(0, body.length / 2)], asked: [body], late: [] };
    const sockets = Array.from({ length: 200 }, open);
    const answers = sockets.map((socket) =>
      protocol.ask(socket, {
        ...registration,
        headers: { ...registration.headers, "content-length": body.length },
        body: bodies[stage],
        ends: stage === "asked",
      }),
    );
    await reached.over;
    for (const socket of sockets) socket.resetAndDestroy();
    await closed.over;
    isOver = true;
    release();
    for (const answer of await Promise.all(answers)) expect(answer).toEqual(noAnswer);
    expect(await ask(registration)).toMatchObject({ status: 200 });
    expect(await ask(jwks)).toMatchObject({ status: 200 });
  });

  test("calls next once, and what it throws is the caller's", async () => {
    const { router } = await prepare();
    let calls = 0;
    let thrown: unknown;
    const { ask } = await serve(protocol, (req, res) => {
      try {
        router(req, res, () => {
          calls++;
          throw new Error("theirs");
        });
      } catch (error) {
        thrown = error;
      }
      res.writeHead(418);
      res.end();
    });
    expect(await ask({ path: "/" })).toMatchObject({ status: 418 });
    expect(thrown).toEqual(new Error("theirs"));
    expect(calls).toBe(1);
  });
});

test("a HEAD is answered where Node refuses a body to it", async () => {
  const { router, jwks } = await prepare();
  const { ask } = await serve(http1, router, { rejectNonStandardBodyWrites: true });
  for (const path of [jwks.path, "/"]) {
    expect(await ask({ path, method: "HEAD" })).toMatchObject({ status: path === "/" ? 404 : 200 });
  }
});

test.each([
  ["reads it", express().use(express.json())],
  ["is for another type, in Express 4", express4().use(express4.urlencoded({ extended: false }))],
])("registers behind a body parser that %s", async (_, app) => {
  const { router, registration } = await prepare();
  const { url } = await listen(app.use(router));
  const { status } = await fetch(url + registration.path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: registration.body?.join("") ?? "",
  });
  expect(status).toBe(200);
});
