/** On `node:http`, which Bun and Deno have too: the middleware of the main entry point. */

import { createServer } from "node:http";
import process from "node:process";
import { agentIdentityAuth, agentIdentityErrorHandler } from "../../dist/index.js";

const [, , baseUrl, options] = process.argv;
const required = agentIdentityAuth(baseUrl, JSON.parse(options));
const optional = agentIdentityAuth(baseUrl, { ...JSON.parse(options), credentialsRequired: false });
const acct1 = { forcedChatgptWorkspaceId: "acct-1" };
const routes = {
  "/required": required,
  "/acct-1": required.restrictTo(acct1),
  "/acct-2": required.restrictTo({ forcedChatgptWorkspaceId: ["acct-2"] }),
  "/api-only": required.restrictTo({ forcedLoginMethod: "api" }),
  "/pro": required.require(async ({ planType }) => planType === "pro"),
  "/optional": optional,
  "/optional/acct-1": optional.restrictTo(acct1),
};
const handleError = agentIdentityErrorHandler();
const server = createServer((req, res) => {
  routes[req.url](req, res, (error) => {
    if (error) return handleError(error, req, res, () => res.writeHead(500).end(String(error)));
    res.end(JSON.stringify(req.agentIdentity?.agentRuntimeId ?? "nobody"));
  });
});
server.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
