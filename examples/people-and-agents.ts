/** People and agents on one route: the request's credentials say who decides, and a 401 names both ways in. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express, { type RequestHandler } from "express";
import { agentIdentityAuth, agentIdentityErrorHandler, isAgentIdentityError } from "agent-identity-auth";
import { createDemoAgent } from "./demo-agent.js";

const { headerFile, keySet } = await createDemoAgent();
const agents = agentIdentityAuth("https://chatgpt.com/backend-api", { jwks: { keySet } });

/** Your own sign-in. People come with HTTP Basic here, and agents with a bearer token: no request is tried as both. */
const people: RequestHandler = (req, res, next) => {
  const [name, password] = Buffer.from(req.headers.authorization?.slice(6) ?? "", "base64")
    .toString()
    .split(":");
  if (name !== "ann" || password !== "correct horse") return void res.status(401).set(BOTH).end();
  res.locals["caller"] = name;
  next();
};
const BOTH = { "WWW-Authenticate": ['Bearer realm="agent-identity"', 'Basic realm="people"'] };

const app = express();
app.get("/tasks", (req, res, next) => {
  const isPerson = /^basic /i.test(req.headers.authorization ?? "");
  (isPerson ? people : agents)(req, res, next);
});
app.get("/tasks", (req, res) => {
  res.json({ caller: req.agentIdentity?.agentRuntimeId ?? (res.locals["caller"] as string) });
});
app.use(((error: unknown, _req, _res, next) => {
  if (isAgentIdentityError(error) && error.code === "credentials_missing") Object.assign(error.headers, BOTH);
  next(error);
}) satisfies express.ErrorRequestHandler);
app.use(agentIdentityErrorHandler());

const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(server, "listening");
console.log(`curl -i -H @${headerFile} http://127.0.0.1:${(server.address() as AddressInfo).port}/tasks`);
