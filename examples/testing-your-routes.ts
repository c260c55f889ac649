/** Tests of protected routes, without a network. `npx tsx --test examples/testing-your-routes.ts` runs them, too. */

import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import express, { type RequestHandler } from "express";
import { agentIdentityAuth, agentIdentityErrorHandler, agentOf } from "agent-identity-auth";
import { createTestIssuer } from "agent-identity-auth/testing";

// What is tested: your own app, which is given the middleware.
const createApp = (agents: RequestHandler) =>
  express()
    .get("/tasks", agents, (req, res) => res.json({ agent: agentOf(req).agentRuntimeId }))
    .use(agentIdentityErrorHandler());

const issuer = await createTestIssuer();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet: await issuer.jwks() } });
const server = createApp(agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" })).listen(0, "127.0.0.1");
await once(server, "listening");
after(() => server.close());

const agent = { agentRuntimeId: "agent-1", accountId: "acct-1", chatgptUserId: "user-1" };
const cases = [
  { name: "a good token", claims: agent, status: 200, says: '"agent-1"' },
  { name: "an expired token", claims: { ...agent, expiresAt: 1 }, status: 401, says: "token_expired" },
  { name: "a forged token", claims: { ...agent, forged: true }, status: 401, says: "signature_invalid" },
  { name: "another workspace", claims: { ...agent, accountId: "acct-2" }, status: 403, says: "workspace_not_allowed" },
  { name: "no token", status: 401, says: "credentials_missing" },
];
for (const { name, claims, status, says } of cases)
  void test(`${name}: ${status} ${says}`, async () => {
    const token = claims && (await issuer.mint(claims)).token;
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`;
    const answer = await fetch(url, { headers: token ? [["authorization", `Bearer ${token}`]] : [] });
    assert.equal(answer.status, status);
    assert.match(await answer.text(), new RegExp(says));
  });
