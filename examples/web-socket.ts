/** WebSockets of agents, with `ws`: the upgrade is refused on its socket, or the connection knows its agent. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { agentIdentityAuth } from "agent-identity-auth";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });

const webSockets = new WebSocketServer({ noServer: true });
const server = createServer((_req, res) => res.writeHead(426, { Upgrade: "websocket" }).end());
server.on("upgrade", (req, socket, head) => {
  void agents.upgrade(req, socket).then((identity) => {
    if (identity === undefined) return; // refused and answered, or the client has gone
    webSockets.handleUpgrade(req, socket, head, (client) => {
      client.send(`hello, ${identity.agentRuntimeId}`);
      // A connection would outlive its token. A timer holds 24 days at most.
      const remaining = Math.min(identity.expiresAt * 1000 - Date.now(), 2 ** 31 - 1);
      const timer = setTimeout(() => {
        client.close(1008, "the token has expired");
      }, remaining);
      client.on("close", () => {
        clearTimeout(timer);
      });
    });
  });
});

server.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(server, "listening");
console.log(`connect with the header of ${headerFile} to ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
