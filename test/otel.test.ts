/** Metrics and span attributes, with the real API and SDK of OpenTelemetry. */

import { context, metrics, trace, type ContextManager, type Span } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { describe, expect, onTestFinished, test } from "vitest";
import { createVerifier } from "../src/index.js";
import { startTelemetry, type TelemetryOptions } from "../src/otel.js";
import { agentPrivateKey, mint } from "./support/agents.js";
import { startBackend } from "./support/servers.js";

async function start(options: TelemetryOptions = {}) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  metrics.setGlobalMeterProvider(provider);
  const backend = await startBackend();
  const verifier = createVerifier(backend.baseUrl, { jwks: {} });
  const stop = startTelemetry({ jwks: [verifier.jwks], ...options });
  onTestFinished(async () => {
    stop();
    metrics.disable();
    await provider.shutdown();
  });
  return {
    backend,
    verifier,
    stop,
    points: async (name: string) => {
      exporter.reset();
      await provider.forceFlush();
      const all = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
      expect(JSON.stringify(all)).not.toContain(agentPrivateKey);
      const metric = all.find(({ descriptor }) => descriptor.name === name);
      expect(metric?.descriptor.unit).toBe("s");
      return (metric?.dataPoints ?? []).map(({ attributes, value }) => ({ attributes, value }));
    },
  };
}

describe("metrics", () => {
  test("are durations in seconds, by code and by whether the token was remembered", async () => {
    const { verifier, points } = await start();
    const token = mint();
    await verifier.verify(token);
    await verifier.verify(token);
    await expect(verifier.verify(mint({ exp: 1 }))).rejects.toMatchObject({ code: "token_expired" });
    const scheme = { "agent_identity.scheme": "Bearer" };
    const verifications = await points("agent_identity.verification.duration");
    expect(verifications.map(({ attributes }) => attributes)).toEqual([
      { ...scheme, "agent_identity.cached": false },
      { ...scheme, "agent_identity.cached": true },
      { ...scheme, "agent_identity.cached": false, "error.type": "token_expired" },
    ]);
    for (const { value } of verifications) expect(value).toMatchObject({ count: 1 });
    expect((verifications[1]?.value as { sum: number }).sum).toBeLessThan(0.1);
    expect(await points("agent_identity.jwks.fetch.duration")).toMatchObject([
      { attributes: { "http.response.status_code": 200 }, value: { count: 1 } },
    ]);
    expect(await points("agent_identity.jwks.age")).toMatchObject([
      { attributes: { "url.full": verifier.jwks.url, "agent_identity.failing": false } },
    ]);
  });

  test("tell a failed fetch, and end when they are stopped", async () => {
    const { backend, verifier, points, stop } = await start();
    backend.answer = (_req, res) => res.writeHead(500).end();
    await expect(verifier.verify(mint())).rejects.toMatchObject({ code: "keys_unavailable" });
    const failed = { "http.response.status_code": 500, "error.type": "unusable_answer" };
    expect((await points("agent_identity.jwks.fetch.duration")).map(({ attributes }) => attributes)).toEqual([failed]);
    stop();
    await expect(verifier.verify("abc")).rejects.toMatchObject({ code: "token_malformed" });
    const codes = (await points("agent_identity.verification.duration")).map(
      ({ attributes }) => attributes["error.type"],
    );
    expect(codes).toEqual(["keys_unavailable"]);
  });
});

describe("the active span", () => {
  test.each([
    [{}, {}],
    [{ recordUserId: true }, { "user.id": "user-1" }],
  ])("gets the agent, and with %j %j", async (options, more) => {
    const attributes = spanAttributes();
    const { verifier } = await start(options);
    await verifier.verify(mint());
    expect(attributes).toEqual({
      "agent_identity.scheme": "Bearer",
      "agent_identity.agent_runtime_id": "agent-1",
      "agent_identity.account_id": "acct-1",
      ...more,
    });
  });

  test("gets the code of a refusal", async () => {
    const attributes = spanAttributes();
    const { verifier } = await start();
    await expect(verifier.verify("abc")).rejects.toMatchObject({ code: "token_malformed" });
    expect(attributes).toEqual({ "agent_identity.scheme": "Bearer", "error.type": "token_malformed" });
  });
});

test.each([
  [{ jwks: {} }, "jwks must be an array of resolvers"],
  [{ recordUserId: 1 }, "recordUserId must be true or false"],
  [{ userId: true }, 'there is no option "userId"'],
])("options are checked: %j", (options, message) => {
  expect(() => startTelemetry(options as TelemetryOptions)).toThrow(message);
});

/** Makes one span the active one for all that the test does. @returns its attributes */
function spanAttributes(): Record<string, unknown> {
  const attributes: Record<string, unknown> = {};
  const span = { setAttributes: (more: object) => Object.assign(attributes, more) } as unknown as Span;
  const active = trace.setSpan(context.active(), span);
  const manager: ContextManager = {
    active: () => active,
    with: (_context, run, self, ...args) => run.apply(self, args),
    bind: (_context, target) => target,
    enable: () => manager,
    disable: () => manager,
  };
  context.setGlobalContextManager(manager);
  onTestFinished(() => {
    context.disable();
  });
  return attributes;
}
