/** An Express API that knows which agent is calling. */

import express, { type Express } from "express";
import { agentIdentityAuth, agentIdentityErrorHandler } from "agent-identity-auth";

export function createApi(baseUrl: string): Express {
  const agents = agentIdentityAuth(baseUrl);
  const app = express();

  app.get("/tasks", agents, (req, res) => {
    res.json({ agent: req.agentIdentity?.agentRuntimeId, workspace: req.agentIdentity?.accountId });
  });

  app.get("/admin", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-admin" }), (_req, res) => {
    res.json({ secret: "only for agents of acct-admin" });
  });

  app.use(agentIdentityErrorHandler());
  return app;
}
