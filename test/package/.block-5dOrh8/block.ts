import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler, agentOf } from "agent-identity-auth";

// The base URL of the backend whose keys you trust. In production: https://chatgpt.com/backend-api
const agents = agentIdentityAuth(process.env["BASE_URL"] ?? "http://127.0.0.1:42963/backend-api");

const app = express();
app.get("/tasks", agents, (req, res) => {
  res.json({ agent: agentOf(req).agentRuntimeId });
});
app.get("/admin", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" }), (req, res) => {
  res.json({ account: agentOf(req).accountId });
});
app.use(agentIdentityErrorHandler({ onError: (error) => console.error(error.code, error.cause) })); // last
app.listen(42963, "127.0.0.1");
