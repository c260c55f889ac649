/** Requests of the newest client beside its turns over HTTP: WebSockets, a remote exec-server, and how many there are. */

import { expect, it, onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { createCodex, turnSettings } from "./codex-client.js";
import { RESPONSES, startOwnBackend, type OwnBackendOptions } from "./own-backend.js";

it("has its turn over a WebSocket that agents.upgrade let in", async () => {
  const { backend, exec } = await start();
  const frames: string[] = [];
  const callers: unknown[] = [];
  const webSockets = new WebSocketServer({ noServer: true });
  backend.server.on("upgrade", (req, socket, head) => {
    void backend.agents.upgrade(req, socket).then((identity) => {
      if (identity === undefined) return;
      callers.push(identity.agentRuntimeId);
      webSockets.handleUpgrade(req, socket, head, (client) => {
        client.on("message", (data) => {
          frames.push((JSON.parse((data as Buffer).toString()) as { type: string }).type);
          for (const event of turn("over frames")) client.send(JSON.stringify(event));
        });
      });
    });
  });
  const run = await exec({ webSockets: true });
  expect([run.exitCode, run.stdout.trim()], JSON.stringify(run)).toEqual([0, "over frames"]);
  expect(new Set(frames)).toEqual(new Set(["response.create"]));
  expect(new Set(callers)).toEqual(new Set([backend.agentRuntimeId]));
  expect(backend.calls.filter(({ path }) => path === RESPONSES)).toEqual([]);
});

it("is refused on the socket when its agent is revoked", async () => {
  const { backend, exec } = await start();
  const refusals: unknown[] = [];
  backend.server.on("upgrade", (req, socket) => {
    void (async () => {
      await backend.issuer.revokeAgent(backend.agentRuntimeId);
      refusals.push(await backend.agents.upgrade(req, socket));
    })();
  });
  const run = await exec({ webSockets: true });
  expect(run.exitCode).toBe(1);
  expect(new Set(refusals)).toEqual(new Set([undefined]));
  expect(refusals.length).toBeGreaterThan(0);
});

it("registers a remote exec-server with an AgentAssertion", async () => {
  const { backend, codex, env } = await start();
  const run = codex.run(
    ["exec-server", "--remote", backend.baseUrl, "--use-agent-identity-auth", "--environment-id", "e-1"],
    {
      ...env,
      timeoutMs: 8_000,
    },
  );
  await expect
    .poll(() => backend.calls.map(({ path }) => path), { timeout: 8_000 })
    .toContain("/backend-api/cloud/environment/e-1/register");
  expect(backend.calls[0]?.identity).toMatchObject({ agentRuntimeId: backend.agentRuntimeId });
  await run;
});

it("registers up to 4 times in one exec, and sends a refused turn up to 6 times: what rate limits have to allow", async () => {
  const { backend, exec } = await start();
  await exec({});
  expect(backend.registrations.length).toBeGreaterThan(0);
  expect(backend.registrations.length).toBeLessThanOrEqual(4);
  const refused = await start({ restricted: { path: RESPONSES, to: { forcedChatgptWorkspaceId: "acct-other" } } });
  await refused.exec({ retries: true });
  const turns = refused.backend.refusals.filter(({ path }) => path === RESPONSES).length;
  expect(turns).toBeGreaterThan(0);
  expect(turns).toBeLessThanOrEqual(6);
});

async function start(options?: OwnBackendOptions) {
  const own = await startOwnBackend(options);
  const codex = await createCodex();
  onTestFinished(async () => {
    await own.close();
    await codex.remove();
  });
  const { token, agentRuntimeId } = await own.mint();
  const { config, env } = turnSettings(own.baseUrl);
  const environment = { ...env, CODEX_ACCESS_TOKEN: token };
  const exec = ({ webSockets = false, retries = false }) => {
    const provider = (config["model_providers.local"] ?? "")
      .replace("supports_websockets=false", `supports_websockets=${webSockets}`)
      .replace(/,request_max_retries=0|,stream_max_retries=0/g, retries ? "" : "$&");
    return codex.run(["exec", "--skip-git-repo-check", "--ephemeral", "say hi"], {
      config: { ...config, "model_providers.local": provider },
      env: environment,
    });
  };
  return { backend: Object.assign(own, { agentRuntimeId }), codex, env: { config, env: environment }, exec };
}

function turn(text: string): object[] {
  const usage = { input_tokens: 0, input_tokens_details: null, output_tokens: 0, output_tokens_details: null };
  const content = [{ type: "output_text", text }];
  return [
    { type: "response.created", response: { id: "response-1" } },
    { type: "response.output_item.done", item: { type: "message", role: "assistant", id: "message-1", content } },
    { type: "response.completed", response: { id: "response-1", usage: { ...usage, total_tokens: 0 } } },
  ];
}
