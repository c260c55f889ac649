/** An Express backend that the unmodified Codex client signs in to and runs a turn against; it prints who called. */

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler } from "agent-identity-auth";
import { createIssuer } from "agent-identity-auth/issuer";
import { cannedCodexApi } from "agent-identity-auth/testing";
import { createTemporaryDirectory } from "./temporary-directory.js";

const issuer = await createIssuer(); // { store: redisStore(client) } to survive a restart
const { token } = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1", planType: "pro" });
const tokenFile = join(createTemporaryDirectory(), "token");
writeFileSync(tokenFile, token, { mode: 0o600 });

const app = express();
const server = app.listen(Number(process.env["PORT"] ?? 8080), "127.0.0.1");
await once(server, "listening");
const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/backend-api`;

app.use(issuer.router()); // the JWKS, and task registration
app.use("/backend-api", agentIdentityAuth(baseUrl, { directory: issuer.directory }));
app.use("/backend-api", (req, _res, next) => {
  console.log(`${req.method} ${req.originalUrl}`, req.agentIdentity);
  next();
});
app.use("/backend-api", cannedCodexApi("Hello from your own backend."));
app.use(agentIdentityErrorHandler()); // its answer says when a client must register its task again

// For the commands in docs/codex.md. Codex needs two variables with the value of BASE; otherwise it says "Agent Identity only
// supports production and staging ChatGPT environments".
console.log(`BASE=${baseUrl} TOKEN_FILE=${tokenFile}`);
