/** An Express backend that the unmodified Codex client signs in to and runs a turn against; it prints who called. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler } from "agent-identity-auth";
import { cannedCodexApi, createIssuer } from "agent-identity-auth/issuer";

const issuer = await createIssuer(); // { store: new Keyv(…) } to survive a restart
const { token } = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1", planType: "pro" });

const app = express();
const server = app.listen(Number(process.env["PORT"] ?? 8080), "127.0.0.1", () => {
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/backend-api`;

  app.use(issuer.router()); // the JWKS, and task registration
  app.use(
    "/backend-api",
    agentIdentityAuth(baseUrl, { assertions: issuer.directory }),
    (req, _res, next) => {
      console.log(`${req.method} ${req.originalUrl}`, req.agentIdentity);
      next();
    },
    cannedCodexApi("Hello from your own backend."),
  );
  app.use(agentIdentityErrorHandler()); // its answer says when a task has to be registered anew

  const directory = mkdtempSync(join(tmpdir(), "codex-backend-"));
  const tokenFile = join(directory, "token");
  writeFileSync(tokenFile, token, { mode: 0o600 });
  console.log(`BASE=${baseUrl} TOKEN_FILE=${tokenFile}`); // for the commands in the README

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      rmSync(directory, { recursive: true });
      server.close();
      server.closeAllConnections();
    });
  }
});
