/**
 * OpenTelemetry: metrics of verifications and key fetches, and attributes of the request's span. It needs `@opentelemetry/api`.
 * @module agent-identity-auth/otel
 */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { metrics, trace, type Attributes } from "@opentelemetry/api";
import { aBoolean, checkOptions, hasMethods, type OptionCheck } from "./protocol/options.js";
import type { JwksResolver } from "./verify/keys/jwks-resolver.js";
import type { JwksFetchEvent, VerifyEvent } from "./verify/outcome/diagnostics.js";

/** Options of `startTelemetry`. */
export interface TelemetryOptions {
  /** Resolvers whose key sets have their age measured: `agents.verifier.jwks`. Default: none. */
  jwks?: readonly JwksResolver[] | undefined;
  /** `true` records the ChatGPT user of the agent as `user.id` of the span. It is personal data. Default `false`. */
  recordUserId?: boolean | undefined;
}

const resolvers: OptionCheck = {
  expected: "an array of resolvers, as in [agents.verifier.jwks]",
  accepts: (value) => Array.isArray(value) && value.every(hasMethods("status")),
};

/** Seconds: from a remembered token to one that waits for keys. */
const BOUNDARIES = [0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1, 5];

/**
 * Measures all verifications and key fetches of this process, and describes the caller on the active span. Call it once, after
 * the SDK has started: a meter that is made before counts nothing. No key id is an attribute, because strangers make them up.
 *
 * - `agent_identity.verification.duration`, histogram in s: `agent_identity.scheme`, `agent_identity.cached`, and `error.type`,
 *   the code of a refusal
 * - `agent_identity.jwks.fetch.duration`, histogram in s: `http.response.status_code`, and `error.type` of a failed fetch
 * - `agent_identity.jwks.age`, gauge in s: `url.full`, and `agent_identity.failing`, whether an old set serves
 * - on the span: `agent_identity.scheme`, `agent_identity.agent_runtime_id` and `agent_identity.account_id`, or `error.type`
 * @returns a function that stops it
 * @throws TypeError that names the fix
 * @example
 * const stop = startTelemetry({ jwks: [agents.verifier.jwks] });
 */
export function startTelemetry(options?: TelemetryOptions): () => void {
  const { jwks = [], recordUserId = false } = checkOptions("startTelemetry", options, {
    jwks: resolvers,
    recordUserId: aBoolean,
  });
  const meter = metrics.getMeter("agent-identity-auth");
  const inSeconds = { unit: "s", advice: { explicitBucketBoundaries: BOUNDARIES } };
  const verifications = meter.createHistogram("agent_identity.verification.duration", inSeconds);
  const fetches = meter.createHistogram("agent_identity.jwks.fetch.duration", inSeconds);
  const age = meter.createObservableGauge("agent_identity.jwks.age", { unit: "s" });

  const onVerify = (message: unknown) => {
    const { scheme, code, identity, cached, durationMs } = message as VerifyEvent;
    const failure: Attributes = code === undefined ? {} : { "error.type": code };
    const common = { "agent_identity.scheme": scheme, ...failure };
    verifications.record(durationMs / 1_000, { ...common, "agent_identity.cached": cached });
    trace.getActiveSpan()?.setAttributes({
      ...common,
      ...(identity && {
        "agent_identity.agent_runtime_id": identity.agentRuntimeId,
        "agent_identity.account_id": identity.accountId,
        ...(recordUserId && { "user.id": identity.chatgptUserId }),
      }),
    });
  };
  const onFetch = (message: unknown) => {
    const { outcome, status, durationMs } = message as JwksFetchEvent;
    fetches.record(durationMs / 1_000, {
      ...(status !== undefined && { "http.response.status_code": status }),
      ...(outcome === "failure" && { "error.type": status === undefined ? "no_answer" : "unusable_answer" }),
    });
  };
  const observeAge: Parameters<typeof age.addCallback>[0] = (gauge) => {
    for (const each of jwks) {
      const { url, fetchedAt, stale, lastError } = each.status();
      if (fetchedAt === null) continue;
      const attributes = { "url.full": url, "agent_identity.failing": stale && lastError !== null };
      gauge.observe((Date.now() - fetchedAt) / 1_000, attributes);
    }
  };
  subscribe("agent-identity-auth:verify", onVerify);
  subscribe("agent-identity-auth:jwks.fetch", onFetch);
  age.addCallback(observeAge);
  return () => {
    unsubscribe("agent-identity-auth:verify", onVerify);
    unsubscribe("agent-identity-auth:jwks.fetch", onFetch);
    age.removeCallback(observeAge);
  };
}
