/** The least that takes a request of node:http to a handler of `Request` and `Response`. */

import type { RequestListener } from "node:http";

export type RequestHandler = (request: Request) => Promise<Response>;

export function bridge(handler: RequestHandler): RequestListener {
  return (req, res) => {
    const headers = new Headers();
    for (let i = 0; i < req.rawHeaders.length; i += 2)
      headers.append(req.rawHeaders[i] ?? "", req.rawHeaders[i + 1] ?? "");
    const request = new Request(`http://127.0.0.1${req.url ?? "/"}`, { method: req.method ?? "GET", headers });
    const answer = async () => {
      const response = await handler(request);
      res.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
    };
    answer().catch(() => res.writeHead(500).end());
  };
}
