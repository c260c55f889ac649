/** The real Codex client has a turn with the model behind our middleware, or is kept from it. */

import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { startProcess, type BackgroundProcess } from "./background-process.js";
import {
  CODEX_VERSIONS,
  codexCommand,
  createCodex,
  messageOf,
  turnSettings,
  type Codex,
  type CodexVersion,
} from "./codex-client.js";
import { OWN_MODEL_SAYS, RESPONSES, startOwnBackend, type OwnBackend, type OwnBackendOptions } from "./own-backend.js";
import { runProcess, type ProcessRun } from "./run-process.js";
import { renderTable } from "./table.js";
import { secondsSinceEpoch } from "./tokens.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const turns = [["case", "client", "exit", "prints", "says", "registrations", "reached the API", "refused"]];
const log = [["client", "prints", "our log says of each call"]];

afterAll(() => {
  console.log(renderTable("Turns of the real client behind our middleware", turns));
  console.log(renderTable("What the client prints, and who called", log));
});

describe.each(CODEX_VERSIONS)("Codex %s", (version) => {
  it("signs in, registers its task and has its turn, verified on every call", async () => {
    const { backend, codex } = await createPlace();
    const { token, agentRuntimeId } = await backend.mint();

    const login = await codex.run(["login", "--with-access-token"], { ...settings(version, backend), stdin: token });
    expect([login.exitCode, messageOf(login)]).toEqual([0, "Successfully logged in"]);
    expect(await codex.readAuthFile()).toContain(token);
    const run = await exec(version, backend, codex);
    report("signed in", version, run, backend);

    expectTurn(run);
    expectRegistered(backend);
    expect(refusalsWithCredentials(backend)).toEqual([]);
    await expectVerifiedCalls(backend, agentRuntimeId);
    for (const { method, path, identity } of backend.calls) {
      const who = `${String(identity?.agentRuntimeId)} of ${String(identity?.accountId)}, ${String(identity?.taskId)}`;
      log.push([version, run.stdout.trim(), `${method} ${path}  ${who}`]);
    }
  });

  it("has its turn with a token that is minted with no more than its account and user", async () => {
    const { backend, codex } = await createPlace();
    const { token } = await backend.issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1" });
    const run = await exec(version, backend, codex, token);
    report("minted with defaults", version, run, backend);
    expectTurn(run);
  });

  it("is let in where its workspace is", async () => {
    const { run, backend, agentRuntimeId } = await turn(version, {
      restricted: { path: "/backend-api", to: { forcedChatgptWorkspaceId: ["acct-other", "acct-1"] } },
    });
    report("right workspace", version, run, backend);
    expectTurn(run);
    await expectVerifiedCalls(backend, agentRuntimeId);
  });

  it.each(["/backend-api", RESPONSES])("is kept out of %s of another workspace", async (path) => {
    const { run, backend } = await turn(version, {
      restricted: { path, to: { forcedChatgptWorkspaceId: "acct-other" } },
    });
    report(`wrong workspace for ${path}`, version, run, backend);
    expectNoTurn(run);
    expect(messageOf(run)).toContain("403 Forbidden");
    expect(backend.calls.filter((call) => call.path.startsWith(path))).toEqual([]);
    expect(refusalOf(backend, RESPONSES)).toEqual(["workspace_not_allowed"]);
    expectRegistered(backend);
  });

  it("is refused when its agent is revoked, before a run and between two", async () => {
    const { backend, codex } = await createPlace();
    const [first, second] = [await backend.mint(), await backend.mint()];
    await backend.issuer.revokeAgent(first.agentRuntimeId);
    const revokedBefore = await exec(version, backend, codex, first.token);
    report("revoked before the run", version, revokedBefore, backend);
    expectNoTurn(revokedBefore);
    expectNothingGranted(backend);

    backend.clear();
    expectTurn(await exec(version, backend, codex, second.token));
    await backend.issuer.revokeAgent(second.agentRuntimeId);
    backend.clear();
    const revokedBetween = await exec(version, backend, codex, second.token);
    report("revoked between two runs", version, revokedBetween, backend);
    expectNoTurn(revokedBetween);
    expectNothingGranted(backend);
  });

  it("is refused when its agent is revoked after it has registered", async () => {
    const { run, backend } = await turn(version, {
      wrapDirectory: (directory, issuer) => ({
        async findAgent(agentRuntimeId) {
          await issuer.revokeAgent(agentRuntimeId);
          return directory.findAgent(agentRuntimeId);
        },
        findTask: (taskId) => directory.findTask(taskId),
      }),
    });
    report("revoked after registration", version, run, backend);
    expectNoTurn(run);
    expectRegistered(backend);
    expect(backend.calls).toEqual([]);
    expect(refusalOf(backend, RESPONSES)).toEqual(["assertion_invalid"]);
    expect(new Set(refusalsWithCredentials(backend))).toEqual(new Set(["assertion_invalid"]));
  });

  it("neither signs in nor has a turn with an expired token", async () => {
    const { backend, codex } = await createPlace();
    const { token } = await backend.mint({ expiresAt: secondsSinceEpoch() - 3600 });
    const login = await codex.run(["login", "--with-access-token"], { ...settings(version, backend), stdin: token });
    report("expired token, sign-in", version, login, backend);
    expect(login.exitCode).toBe(1);
    expect(messageOf(login)).toBe("Error logging in with access token: failed to verify agent identity JWT");
    expect(await codex.readAuthFile()).toBeUndefined();

    const run = await exec(version, backend, codex, token);
    report("expired token, turn", version, run, backend);
    expectNoTurn(run);
    expect(backend.registrations).toEqual([]);
    expect(backend.calls).toEqual([]);
  });

  it("has its turn with tokens of the old and of the new key, after a rotation", async () => {
    const { backend, codex } = await createPlace();
    const old = await backend.mint();
    await backend.issuer.rotateKey({ delay: 0 });
    const young = await backend.mint();
    expect(keyIdOf(young.token)).not.toBe(keyIdOf(old.token));
    for (const [name, { token, agentRuntimeId }] of Object.entries({ old, new: young })) {
      backend.clear();
      const run = await exec(version, backend, codex, token);
      report(`rotated, token of the ${name} key`, version, run, backend);
      expectTurn(run);
      await expectVerifiedCalls(backend, agentRuntimeId);
    }
  });

  it("makes assertions that are good within their window, again and again, and not outside it", async () => {
    const { run, backend } = await turn(version);
    expectTurn(run);
    const [call] = backend.calls.filter(({ path }) => path === RESPONSES);
    const authorization = call?.headers.authorization ?? "";
    const assertedAt = Date.parse(envelopeOf(authorization).timestamp);
    const replay = () => send(backend, { Authorization: authorization, "ChatGPT-Account-ID": "acct-1" });

    expect(await replay()).toEqual({ status: 200, code: undefined });
    expect(await replay()).toEqual({ status: 200, code: undefined });
    const atShift = async (seconds: number) => {
      vi.useFakeTimers({ toFake: ["Date"], now: assertedAt + seconds * 1000 });
      return replay().finally(() => vi.useRealTimers());
    };
    const good = { status: 200, code: undefined };
    const stale = { status: 401, code: "assertion_stale" };
    const answers = { "-301": stale, "-300": good, "300": good, "301": stale };
    for (const [shift, expected] of Object.entries(answers)) {
      const answer = await atShift(Number(shift));
      turns.push([`replayed at ${shift} s`, version, "", "", "", "", String(answer.status), answer.code ?? ""]);
      expect(answer, `${shift} s`).toEqual(expected);
    }
  });

  // As observed, whatever the body of the 401 and whichever the model provider.
  it("does not register anew within a run when its task is lost, but at the next run", async () => {
    const state = { lost: true };
    const { backend, codex } = await createPlace({
      wrapDirectory: (directory) => ({
        findAgent: (agentRuntimeId) => directory.findAgent(agentRuntimeId),
        findTask: (taskId) => (state.lost ? undefined : directory.findTask(taskId)),
      }),
    });
    const { token, agentRuntimeId } = await backend.mint();
    const lost = await exec(version, backend, codex, token);
    report("task lost", version, lost, backend);
    expectNoTurn(lost);
    expect(messageOf(lost)).toContain("401 Unauthorized: The task is unknown or has expired.");
    expect(new Set(refusalsWithCredentials(backend))).toEqual(new Set(["task_invalid"]));
    expect(backend.calls).toEqual([]);
    const [refusal] = backend.refusals.filter(({ path }) => path === RESPONSES);
    expect(backend.registrations.length).toBe(refusal?.registrations);

    state.lost = false;
    backend.clear();
    const next = await exec(version, backend, codex, token);
    report("the run after that", version, next, backend);
    expectTurn(next);
    expectRegistered(backend);
    await expectVerifiedCalls(backend, agentRuntimeId);
  });

  it("is refused with a task and a signature of its own when another account is named", async () => {
    const { run, backend } = await turn(version);
    expectTurn(run);
    const [call] = backend.calls.filter(({ path }) => path === RESPONSES);
    expect(call?.headers.account).toBe("acct-1");
    const authorization = call?.headers.authorization ?? "";
    expect(await send(backend, { Authorization: authorization, "ChatGPT-Account-ID": "acct-2" })).toEqual({
      status: 401,
      code: "assertion_invalid",
    });
  });

  it("has its turn by the commands that `serve` prints", async () => {
    const place = await createShell(version);
    const server = place.start([process.execPath, join(ROOT, "dist/cli.js"), "serve", "--port", "0"], place.home);
    const [commands = "", tokenFile = ""] = await server.waitForOutput(/^BASE=\S+ TOKEN_FILE=(\S+)\n[^]*"say hi"\n/m);
    expect(existsSync(tokenFile)).toBe(true);

    const run = await place.paste(commands);
    turns.push(["serve, as printed", version, String(run.exitCode), lastLine(run.stdout), "", "", "", ""]);
    expectRun(run, 0);
    const [, whoami = "", said] = /^(\{.*\})\n?(.*)\n$/.exec(run.stdout) ?? [];
    expect(JSON.parse(whoami)).toMatchObject({ accountId: "acct-demo" });
    expect(said).toBe("Hello from your own backend.");
    const calls = server.stdout
      .slice(server.stdout.indexOf(commands) + commands.length)
      .trim()
      .split("\n");
    for (const line of calls) log.push([`${version}, serve`, "Hello from your own backend.", line]);
    expect(calls).toContainEqual(
      expect.stringMatching(/^GET \/backend-api\/whoami {2}agent-\S+ of acct-demo \(Bearer\)$/),
    );
    expect(calls).toContainEqual(
      expect.stringMatching(/^POST \/backend-api\/codex\/responses {2}agent-\S+ of acct-demo \(AgentAssertion\)$/),
    );

    expect(await server.interrupt()).toEqual({ exitCode: 0, stderr: "" });
    expect(existsSync(tokenFile)).toBe(false);
  });

  it("has its turn at examples/codex-backend.ts", async () => {
    const place = await createShell(version);
    const server = place.start([process.execPath, "--import", "tsx", "examples/codex-backend.ts"], ROOT, { PORT: "0" });
    const [assignments = "", tokenFile = ""] = await server.waitForOutput(/^BASE=\S+ TOKEN_FILE=(\S+)\n/m);
    expect(existsSync(tokenFile)).toBe(true);

    const run = await place.paste(assignments + COMMAND_OF_A_TURN);
    turns.push(["example", version, String(run.exitCode), lastLine(run.stdout), "", "", "", ""]);
    expectRun(run, 0);
    expect(lastLine(run.stdout)).toBe("Hello from your own backend.");
    const [, identity] = await server.waitForOutput(/^POST \/backend-api\/codex\/responses (\{[^]*?^\})/m);
    expect(identity).toMatch(/accountId: 'acct-1'[^]*taskId: 'task-/);

    expect(await server.interrupt()).toEqual({ exitCode: 0, stderr: "" });
    expect(existsSync(tokenFile)).toBe(false);
  });
});

/** As in the README; `serve` prints it, too. */
const COMMAND_OF_A_TURN = String.raw`
CODEX_HOME=$(mktemp -d) CODEX_ACCESS_TOKEN="$(cat $TOKEN_FILE)" \
CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL=$BASE CODEX_AGENT_IDENTITY_JWKS_BASE_URL=$BASE \
codex exec --skip-git-repo-check --ephemeral \
  -c "chatgpt_base_url='$BASE'" -c 'model_provider="own"' \
  -c "model_providers.own={name='own',base_url='$BASE/codex',requires_openai_auth=true,wire_api='responses',supports_websockets=false}" \
  "say hi"
`;

/** A home directory, and a backend of its own; both end with the test. */
async function createPlace(options?: OwnBackendOptions): Promise<{ backend: OwnBackend; codex: Codex }> {
  const [backend, codex] = [await startOwnBackend(options), await createCodex()];
  onTestFinished(async () => {
    await backend.close();
    await codex.remove();
  });
  return { backend, codex };
}

function settings(version: CodexVersion, { baseUrl }: OwnBackend, token?: string) {
  const { config, env } = turnSettings(baseUrl);
  return { version, config, env: { ...env, ...(token !== undefined && { CODEX_ACCESS_TOKEN: token }) } };
}

function exec(version: CodexVersion, backend: OwnBackend, codex: Codex, token?: string): Promise<ProcessRun> {
  return codex.run(["exec", "--skip-git-repo-check", "--ephemeral", "say hi"], settings(version, backend, token));
}

/** One run of an agent that was minted just now. */
async function turn(version: CodexVersion, options?: OwnBackendOptions) {
  const { backend, codex } = await createPlace(options);
  const { token, agentRuntimeId } = await backend.mint();
  return { run: await exec(version, backend, codex, token), backend, agentRuntimeId };
}

function expectRun(run: ProcessRun, exitCode: number): void {
  expect({ exitCode: run.exitCode, timedOut: run.timedOut }, JSON.stringify(run)).toEqual({
    exitCode,
    timedOut: false,
  });
}

function expectTurn(run: ProcessRun): void {
  expectRun(run, 0);
  expect(run.stdout.trim()).toBe(OWN_MODEL_SAYS);
}

function expectNoTurn(run: ProcessRun): void {
  expectRun(run, 1);
  expect(run.stdout + run.stderr).not.toContain(OWN_MODEL_SAYS);
}

/** As observed a client registers three or four times as it starts, whatever it is told. */
function expectRegistered({ registrations }: OwnBackend): void {
  expect(new Set(registrations)).toEqual(new Set([200]));
}

function expectNothingGranted({ registrations, calls }: OwnBackend): void {
  expect(registrations.filter((status) => status === 200)).toEqual([]);
  expect(calls).toEqual([]);
}

/** Every call that reached the API is of this agent, with a task that is registered for it, by AgentAssertion. */
async function expectVerifiedCalls({ calls, issuer }: OwnBackend, agentRuntimeId: string): Promise<void> {
  expect(calls.map(({ method, path }) => `${method} ${path}`)).toContain(`POST ${RESPONSES}`);
  for (const { identity, headers } of calls) {
    const { task_id: taskId, timestamp } = envelopeOf(headers.authorization ?? "");
    const task = await issuer.directory.findTask(taskId);
    expect(task?.agentRuntimeId).toBe(agentRuntimeId);
    expect(identity).toEqual({
      agentRuntimeId,
      accountId: "acct-1",
      chatgptUserId: "user-1",
      email: "agent@example.com",
      planType: "pro",
      chatgptAccountIsFedramp: false,
      issuedAt: Date.parse(timestamp) / 1000,
      expiresAt: task?.expiresAt,
      taskId,
    });
  }
}

function envelopeOf(authorization: string): { task_id: string; timestamp: string } {
  const [scheme, envelope = ""] = authorization.split(" ");
  expect(scheme).toBe("AgentAssertion");
  return JSON.parse(Buffer.from(envelope, "base64url").toString()) as { task_id: string; timestamp: string };
}

function keyIdOf(token: string): unknown {
  const header = JSON.parse(Buffer.from(token.split(".", 1)[0] ?? "", "base64url").toString()) as { kid?: unknown };
  return header.kid;
}

function refusalOf({ refusals }: OwnBackend, path: string): string[] {
  return refusals.filter((refusal) => refusal.path === path).map(({ code }) => code);
}

/** Without credentials the newest release asks for the tools of `ps/mcp`, and does without. */
function refusalsWithCredentials({ refusals }: OwnBackend): string[] {
  return refusals.filter(({ code }) => code !== "credentials_missing").map(({ code }) => code);
}

async function send({ baseUrl }: OwnBackend, headers: Record<string, string>) {
  const response = await fetch(`${baseUrl}/codex/responses`, { method: "POST", headers });
  const text = await response.text();
  const error = response.ok ? undefined : (JSON.parse(text) as { error: { code: string } }).error;
  return { status: response.status, code: error?.code };
}

function report(name: string, version: CodexVersion, run: ProcessRun, backend: OwnBackend): void {
  const refused = backend.refusals.map(({ path, code }) => `${path.replace("/backend-api", "")}: ${code}`);
  turns.push([
    name,
    version,
    String(run.exitCode),
    run.stdout.trim(),
    lastLine(messageOf(run)).slice(0, 140),
    backend.registrations.join(" "),
    `${backend.calls.length} calls`,
    [...new Set(refused)].join(", "),
  ]);
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}

interface Shell {
  readonly home: string;
  start(command: readonly [string, ...string[]], cwd: string, env?: Record<string, string>): BackgroundProcess;
  paste(commands: string): Promise<ProcessRun>;
}

/** A shell on whose PATH `codex` is this release; what is started and left behind there goes with the test. */
async function createShell(version: CodexVersion): Promise<Shell> {
  const home = await mkdtemp(join(tmpdir(), "codex-shell-"));
  const codex = join(home, "codex");
  await writeFile(codex, `#!/bin/sh\nexec ${codexCommand(version).join(" ")} "$@"\n`);
  await chmod(codex, 0o755);
  const env = { PATH: `${home}:${process.env["PATH"] ?? ""}`, HOME: home, TMPDIR: home };
  const started: BackgroundProcess[] = [];
  onTestFinished(async () => {
    for (const server of started) await server.interrupt();
    await rm(home, { recursive: true, force: true });
  });
  return {
    home,
    start(command, cwd, more) {
      const server = startProcess(command, { cwd, env: { ...env, ...more } });
      started.push(server);
      return server;
    },
    paste: (commands) => runProcess(["sh", "-c", commands], { cwd: home, env }),
  };
}
