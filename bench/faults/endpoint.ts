/** A key endpoint that can be made to fail. */

import type { RequestListener } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { trustIn, type Trust } from "../backend.js";
import type { Certificate } from "./certificate.js";

export interface Endpoint {
  readonly trust: Trust;
  answer: RequestListener;
  /** Requests since the last call. */
  takeFetchCount(): number;
  stop(): Promise<void>;
}

export async function startEndpoint(certificate: Certificate, answer: RequestListener): Promise<Endpoint> {
  let fetches = 0;
  const server = createServer(certificate, (req, res) => {
    fetches++;
    endpoint.answer(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint: Endpoint = {
    trust: trustIn(`https://127.0.0.1:${(server.address() as AddressInfo).port}`),
    answer,
    takeFetchCount() {
      const taken = fetches;
      fetches = 0;
      return taken;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  return endpoint;
}

export function answerWith(body: string | Buffer, status = 200): RequestListener {
  return (_req, res) => {
    res.writeHead(status, { "Content-Type": "application/json" }).end(body);
  };
}

export function serveKeys(...keys: unknown[]): RequestListener {
  return answerWith(JSON.stringify({ keys }));
}
