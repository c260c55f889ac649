/** A Codex process that runs for weeks registers once, when it starts: its task lives as long as its token. */

import { createPrivateKey, sign } from "node:crypto";
import type { RequestHandler } from "express";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { MemoryStore } from "../../dist/issuer/memory-store.js";
import type { IssuerOptions } from "../../dist/issuer.js";
import { encodeAssertion, type AgentAssertion } from "../../dist/protocol/agent-assertion.js";
import { startAppServer } from "./app-server.js";
import { CODEX_VERSIONS, createCodex, type CodexVersion } from "./codex-client.js";
import { OWN_MODEL_SAYS, RESPONSES, startOwnBackend, type OwnBackend } from "./own-backend.js";

const HOUR = 3600;
const DAY = 24 * HOUR;
const LIFETIME = 30 * DAY;

/** Seconds by which the clock of the backend is ahead. */
let shift = 0;
const realNow = Date.now.bind(Date);

beforeEach(() => {
  shift = 0;
  vi.spyOn(Date, "now").mockImplementation(() => realNow() + shift * 1000);
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(CODEX_VERSIONS)("Codex %s", (version) => {
  it("has a turn after a day, a week and three weeks, in old threads and new ones, and after a restart of the issuer", async () => {
    const { backend, client, agentRuntimeId } = await start(version);
    const old = await client.startThread();
    const turn = { status: "completed", says: OWN_MODEL_SAYS, error: undefined };
    expect(await client.haveTurn(old)).toEqual(turn);
    const registrations = backend.registrations.length;
    for (const later of [25 * HOUR, 6 * DAY, 20 * DAY]) {
      shift = later;
      expect(await client.haveTurn(old), `old thread, ${later} s`).toEqual(turn);
      expect(await client.haveTurn(await client.startThread()), `new thread, ${later} s`).toEqual(turn);
      await backend.restart();
    }
    expect(backend.registrations.length).toBe(registrations);
    expect(new Set(backend.calls.map(({ identity }) => identity?.agentRuntimeId))).toEqual(new Set([agentRuntimeId]));

    shift = LIFETIME + HOUR;
    backend.clear();
    const late = await client.haveTurn(old);
    expect(late.status).toBe("failed");
    expect(late.error).toMatch(/^unexpected status 401 Unauthorized: The agent assertion is not valid\./);
    expect(codesOf(backend)).toEqual(new Set(["assertion_invalid"]));
  });

  it("is locked out after a day, in new threads too, where a task lives for a day at most", async () => {
    const { backend, client } = await start(version, { taskLifetime: DAY / 2 }); // one to two of these
    const old = await client.startThread();
    expect(await client.haveTurn(old)).toMatchObject({ status: "completed" });
    shift = 25 * HOUR;
    backend.clear();
    expect(await client.haveTurn(old)).toMatchObject({ status: "failed" });
    expect(await client.haveTurn(await client.startThread())).toMatchObject({ status: "failed" });
    expect(codesOf(backend)).toEqual(new Set(["task_invalid"]));
    expect(backend.registrations).toEqual([]);
  });
});

/** Why turns were refused. Other requests of a client may have no credentials. */
function codesOf({ refusals }: OwnBackend): Set<string> {
  return new Set(refusals.filter(({ path }) => path === RESPONSES).map(({ code }) => code));
}

async function start(version: CodexVersion, options?: IssuerOptions) {
  const agentKey = { base64: "" };
  const backend = await startOwnBackend({
    issuer: { store: new MemoryStore(), maxLifetime: LIFETIME, ...options },
    before: withClockOfTheBackend(agentKey),
  });
  const codex = await createCodex();
  const { token, agentRuntimeId } = await backend.mint({ expiresAt: Math.floor(realNow() / 1000) + LIFETIME });
  const payload = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
  agentKey.base64 = (JSON.parse(payload) as { agent_private_key: string }).agent_private_key;
  const client = await startAppServer(...codex.appServer(version, backend.baseUrl, token));
  onTestFinished(async () => {
    await client.close();
    await backend.close();
    await codex.remove();
  });
  return { backend, client, agentRuntimeId };
}

/**
 * The clock of a process that is compiled without libc cannot be moved. So the backend reads each assertion as the client would
 * have signed it at the backend's time: the same task, the same key, another second.
 */
function withClockOfTheBackend(agentKey: { readonly base64: string }): RequestHandler {
  return (req, _res, next) => {
    const [scheme, envelope = ""] = req.headers.authorization?.split(" ") ?? [];
    if (scheme === "AgentAssertion" && shift !== 0) {
      const sent = JSON.parse(Buffer.from(envelope, "base64url").toString()) as AgentAssertion;
      const timestamp = `${new Date(Date.parse(sent.timestamp) + shift * 1000).toISOString().slice(0, 19)}Z`;
      const message = `${sent.agent_runtime_id}:${sent.task_id}:${timestamp}`;
      const key = createPrivateKey({ key: Buffer.from(agentKey.base64, "base64"), format: "der", type: "pkcs8" });
      const signature = sign(null, Buffer.from(message), key).toString("base64");
      req.headers.authorization = `AgentAssertion ${encodeAssertion({ ...sent, timestamp, signature })}`;
    }
    next();
  };
}
