/** Metrics for Prometheus, with prom-client. The alerts for them are in docs/alerts.yml. */

import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { Counter, Gauge, Histogram, register } from "prom-client";
import * as auth from "agent-identity-auth";

const agents = auth.agentIdentityAuth(process.env["AGENTS_BASE_URL"] ?? "https://chatgpt.com/backend-api");
const name = (suffix: string, help: string) => ({ name: `agent_identity_${suffix}`, help });

const durations = new Histogram({
  ...name("verification_duration_seconds", "Verifications, by scheme and by the code of a refusal"),
  labelNames: ["scheme", "code"], // no key id: strangers make them up, and each would be a series
  buckets: [0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1, 5],
});
subscribe("agent-identity-auth:verify", (event) => {
  const { scheme, code = "", durationMs } = event as auth.VerifyEvent;
  durations.observe({ scheme, code }, durationMs / 1_000);
});
const fetches = new Counter({ ...name("jwks_fetches_total", "Key fetches"), labelNames: ["outcome"] });
subscribe("agent-identity-auth:jwks.fetch", (event) => {
  fetches.inc({ outcome: (event as auth.JwksFetchEvent).outcome });
});
const age = new Gauge({ ...name("jwks_age_seconds", "Age of the key set"), collect: measureAge });
function measureAge() {
  age.set((Date.now() - (agents.verifier.jwks.status().fetchedAt ?? NaN)) / 1_000);
}

const app = express();
app.get("/metrics", async (_req, res) => res.type(register.contentType).send(await register.metrics()));
app.get("/tasks", agents, (req, res) => res.json(req.agentIdentity));
app.use(auth.agentIdentityErrorHandler());
const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1");
await once(server, "listening");
console.log(`metrics at http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`);
