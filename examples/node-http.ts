/** A server of node:http alone that knows which agent is calling, in the terms of `Request` and `Response`. */

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { agentIdentityAuth } from "agent-identity-auth/fetch";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });

const whoami = agents.protect((_request, { agentRuntimeId }) => Response.json({ agent: agentRuntimeId }));

function toRequest(req: IncomingMessage): Request {
  const { method = "GET", rawHeaders } = req;
  const headers = new Headers();
  // The raw ones: of two Authorization headers, `req.headers` keeps one, and a request to refuse looks like a good one.
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? "", rawHeaders[i + 1] ?? "");
  const body = method === "GET" || method === "HEAD" ? null : (Readable.toWeb(req) as ReadableStream);
  return new Request(new URL(req.url ?? "/", "http://127.0.0.1"), { method, headers, body, duplex: "half" });
}

const server = createServer((req, res) => {
  const answer = async () => {
    const { status, headers, body } = await whoami(toRequest(req));
    res.writeHead(status, Object.fromEntries(headers));
    if (body) Readable.fromWeb(body).pipe(res);
    else res.end();
  };
  answer().catch(() => res.headersSent || res.writeHead(500).end());
});

server.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  console.log(`curl -i -H @${headerFile} http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});
