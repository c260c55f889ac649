/**
 * The load generator, in a process of its own: sends tokens over HTTP and accepts nothing but the right answer. By hand,
 * because it has to keep its connections between turns that are shorter than what others take to begin and end, and to
 * cost less than a server does: one that is the bottleneck itself makes everybody look alike.
 */

import { connect, type Socket } from "node:net";
import { CONNECTIONS } from "./plan.js";
import { answerParent } from "./processes.js";
import { readTokens } from "./tokens.js";

export type LoadQuestion = { read: { tokenFile: string; count: number } } | { send: LoadOrder };

export interface LoadOrder {
  url: string;
  /** Which tokens of the file. */
  from: number;
  count: number;
  /** How many requests, through these tokens again and again. Default `count`: each is sent once. */
  requests?: number;
  /** Default `Bearer`. */
  scheme?: "Bearer" | "AgentAssertion";
}

export interface LoadResult {
  /** ms, for all of them. */
  duration: number;
  /** ms, of each. */
  latencies: number[];
}

let tokens: string[] = [];

answerParent(async (question: LoadQuestion) => {
  if ("send" in question) return send(question.send);
  tokens = await readTokens(question.read.tokenFile, 0, question.read.count);
  return tokens.length;
});

async function send({ url, from, count, requests = count, scheme = "Bearer" }: LoadOrder): Promise<LoadResult> {
  const { host, pathname } = new URL(url);
  const connections = await connectionsTo(host);
  const latencies: number[] = [];
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    connections.map(async (connection) => {
      while (next < requests) {
        const token = tokens[from + (next++ % count)] ?? "";
        const sentAt = performance.now();
        const answer = await connection.ask(
          `GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${scheme} ${token}\r\n\r\n`,
        );
        latencies.push(performance.now() - sentAt);
        if (!RIGHT_ANSWER.test(answer)) throw new Error(`a request was not answered as it should be: ${answer}`);
      }
    }),
  );
  return { duration: performance.now() - startedAt, latencies };
}

const RIGHT_ANSWER = /^HTTP\/1\.1 200 [^]*\r\n\r\n\{"agent":"[\da-f-]{36}"\}$/;

/** By host. Those of servers that have ended are closed. */
const kept = new Map<string, Connection[]>();

async function connectionsTo(host: string): Promise<Connection[]> {
  const open = (kept.get(host) ?? []).filter(({ isOpen }) => isOpen);
  while (open.length < CONNECTIONS) open.push(await Connection.open(host));
  kept.set(host, open);
  return open;
}

/** One request at a time. */
class Connection {
  readonly #socket: Socket;
  #received = "";
  #settle: { resolve: (answer: string) => void; reject: (error: Error) => void } | undefined;

  static async open(host: string): Promise<Connection> {
    const { hostname, port } = new URL(`http://${host}`);
    const socket = connect(Number(port), hostname).setNoDelay().setEncoding("latin1");
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Connection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: string) => {
      this.#received += chunk;
      if (isComplete(this.#received)) this.#settle?.resolve(this.#received);
    });
    socket.on("error", () => undefined); // and then it closes
    socket.on("close", () => this.#settle?.reject(new Error("a connection was closed instead of answered on")));
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  ask(request: string): Promise<string> {
    this.#received = "";
    this.#socket.write(request, "latin1");
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }
}

function isComplete(answer: string): boolean {
  const headersEnd = answer.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(answer)?.[1];
  return headersEnd >= 0 && length !== undefined && answer.length >= headersEnd + 4 + Number(length);
}
