/** Real servers on loopback, closed when the test that started them ends. */

import { createServer, request, type IncomingHttpHeaders, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { signingKey } from "./agents.js";

export interface RunningServer {
  url: string;
  server: Server;
}

/** Ports that this process has had. A key set is shared by all verifiers of its URL, so a URL must not come a second time. */
const usedPorts = new Set<number>();

/** @param wanted a port that the test has had before. Default: one that no test of this process has had */
export async function listen(listener: RequestListener, wanted = 0): Promise<RunningServer> {
  const server = createServer(listener);
  let port = 0;
  do {
    if (port !== 0) await new Promise((resolve) => server.close(resolve));
    await new Promise<void>((resolve) => server.listen(wanted, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  } while (wanted === 0 && usedPorts.has(port));
  usedPorts.add(port);
  onTestFinished(async () => {
    await stop(server);
  });
  return { url: `http://127.0.0.1:${String(port)}`, server };
}

export async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

export interface Backend extends RunningServer {
  /** The base URL to configure. */
  baseUrl: string;
  /** How often the JWKS was asked for. */
  fetches: number;
  /** The key set that is served. */
  keys: unknown[];
  /** Answers instead of the key set, while set. */
  answer: RequestListener | undefined;
}

/** A backend that serves a key set at the path of a `/backend-api` base, and registers tasks. */
export async function startBackend(keys: unknown[] = [signingKey.jwk]): Promise<Backend> {
  const running = await listen((req, res) => {
    if (req.url?.endsWith("/task/register")) {
      sendJson(res, { task_id: "task-1" });
      return;
    }
    backend.fetches++;
    if (backend.answer) backend.answer(req, res);
    else if (req.url === "/backend-api/wham/agent-identities/jwks") sendJson(res, { keys: backend.keys });
    else res.writeHead(404).end();
  });
  const backend: Backend = {
    ...running,
    baseUrl: `${running.url}/backend-api`,
    fetches: 0,
    keys,
    answer: undefined,
  };
  return backend;
}

export function sendJson(res: Parameters<RequestListener>[1], body: unknown): void {
  res.setHeader("Content-Type", "application/json");
  res.end(JSON.stringify(body));
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** `node:http` and not `fetch`: an array of values is sent as that many headers, and nothing is tidied up. */
export function send(url: string, headers: Record<string, string | string[]> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(url, { headers, method, agent: false }, (res) => {
      const chunks: Buffer[] = [];
      res.on("data", (chunk: Buffer) => chunks.push(chunk));
      res.on("end", () => {
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks).toString() });
      });
    })
      .on("error", reject)
      .end();
  });
}
