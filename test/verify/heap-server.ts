/** A server whose heap a test looks at: nothing of a token but what is sent to it comes into this process. */

import { createServer, type RequestListener } from "node:http";
import { setImmediate } from "node:timers/promises";
import { writeHeapSnapshot } from "node:v8";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityError } from "../../src/index.js";

const [keys = "", adapter] = process.argv.slice(2);
const agents = agentIdentityAuth("https://chatgpt.com", { jwks: { keySet: JSON.parse(keys) as { keys: object[] } } });
const app = express().use(agents, (_req, res) => void res.end());
app.use(agentIdentityErrorHandler());
const bare: RequestListener = (req, res) => {
  agents.authenticate(req).then(
    () => res.end(),
    (error: unknown) => res.writeHead((error as AgentIdentityError).status).end(),
  );
};
const server = createServer(adapter === "Express" ? app : bare);
server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
server.keepAliveTimeout = 60_000;

/** For each file that is named, a snapshot of what is left. */
process.on("message", (file: string) => {
  void (async () => {
    for (let i = 0; i < 8; i++) {
      globalThis.gc?.();
      await setImmediate();
    }
    writeHeapSnapshot(file);
    server.getConnections((_error, open) => process.send?.(open));
  })();
});
