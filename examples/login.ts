/** A process that is an agent: it signs in, proves who it is to an API, and signs out. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { agentIdentityAuth, agentIdentityErrorHandler } from "agent-identity-auth";
import { createIssuer } from "agent-identity-auth/issuer";
import * as login from "agent-identity-auth/login";
import { createTemporaryDirectory } from "./temporary-directory.js";

// The other side: a backend that issues the token and registers tasks, and an API that takes AgentAssertions only.
const issuer = await createIssuer();
const { token } = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1" });
const app = express();
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/backend-api`;
const agents = agentIdentityAuth(baseUrl, { directory: issuer.directory, bearer: false });
app.use(issuer.router());
app.get("/backend-api/whoami", agents, (req, res) => res.json(req.agentIdentity));
app.use(agentIdentityErrorHandler());

// The agent.
const config = { chatgptBaseUrl: baseUrl, codexHome: createTemporaryDirectory(), env: {} }; // nothing of this shell's
await login.loginWithAccessToken(config, token); // verified, then written to auth.json
// At start-up: had it signed in for another workspace, this would sign it out and throw.
await login.enforceLoginRestrictions({ ...config, forcedChatgptWorkspaceId: "acct-1" });
console.log((await login.loginStatus(config)).message);

const auth = await login.loadAuth(config);
if (auth?.mode !== "agentIdentity") throw new Error("not signed in as an agent");
await auth.registerTask(); // good for a day
const answer = await fetch(`${baseUrl}/whoami`, { headers: auth.authorizationHeaders() });
console.log("The API knows:", await answer.json());

await login.logout(config);
console.log((await login.loginStatus(config)).message);
server.close();
