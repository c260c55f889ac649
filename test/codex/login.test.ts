/** The real Codex client and ours sign in, side by side: same input, same outcome, same words. */

import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it, type TestContext } from "vitest";
import {
  enforceLoginRestrictions,
  loadAuth,
  loginStatus,
  loginWithAccessToken,
  loginWithApiKey,
  logout,
  type AuthConfig,
} from "../../dist/login.js";
import { findLoginViolation } from "../../dist/protocol/login-restrictions.js";
import { startBackend, MODEL_SAYS, type Backend } from "./backend.js";
import {
  backendSettings,
  CODEX_VERSIONS,
  createCodex,
  messageOf,
  NEWEST,
  turnSettings,
  type Codex,
  type CodexVersion,
} from "./codex-client.js";
import {
  agent,
  API_KEY,
  API_KEY_STATUS,
  authFiles,
  fileOf,
  restrictionRows,
  steps,
  type AuthFileRow,
  type Command,
  type FileVerdict,
  type Given,
  type Leaves,
  type Outcome,
  type RestrictionOutcome,
  type RestrictionRow,
  type Step,
} from "./login-rows.js";
import { runOurs } from "./our-command.js";
import { renderTable } from "./table.js";

describe.each(CODEX_VERSIONS)("auth.json, both ways with Codex %s", (version) => {
  /** Each way in which ours signs in. */
  const signIns: { how: string; mode: "agentIdentity" | "apikey"; signIn: (place: Place) => Promise<unknown> }[] = [
    {
      how: "loginWithAccessToken",
      mode: "agentIdentity",
      signIn: (place) => loginWithAccessToken(configOf(place), agent.token),
    },
    {
      how: "our command, access token",
      mode: "agentIdentity",
      signIn: (place) => ours(place, "login --with-access-token", agent.token),
    },
    { how: "loginWithApiKey", mode: "apikey", signIn: (place) => loginWithApiKey(configOf(place), API_KEY) },
    {
      how: "our command, API key",
      mode: "apikey",
      signIn: (place) => ours(place, "login --with-api-key", API_KEY),
    },
  ];

  it.concurrent.for(signIns)("Codex is signed in by $how, and logs out", async ({ mode, signIn }, context) => {
    const place = await createPlace(context);
    await signIn(place);
    const status = await codexRuns(version, place, "status");
    expect([status.exitCode, messageOf(status)]).toEqual([0, statusWords(version, mode)]);
    expect(messageOf(await codexRuns(version, place, "logout"))).toBe("Successfully logged out");
    expect(await loadAuth(configOf(place))).toBeUndefined();
  });

  it.concurrent.for(signIns)("what $how writes is what Codex writes", async ({ mode, signIn }, context) => {
    const [ourPlace, codexPlace] = [await createPlace(context), await createPlace(context)];
    await signIn(ourPlace);
    const command = mode === "apikey" ? "login --with-api-key" : "login --with-access-token";
    await codexRuns(version, codexPlace, command, mode === "apikey" ? API_KEY : agent.token);
    const [ourFile, codexFile] = [join(ourPlace.codex.home, "auth.json"), join(codexPlace.codex.home, "auth.json")];
    expect(await readFile(ourFile)).toEqual(await readFile(codexFile));
    expect(await readFile(codexFile, "utf8")).toBe(
      mode === "apikey" ? fileOf.apiKey(API_KEY) : fileOf.agent(agent.token),
    );
    expect(await permissionsOf(ourFile)).toBe("600");
    expect(await permissionsOf(codexFile)).toBe("600");
    // Both ask for the keys at the same place, once, and only for an access token.
    const asked = [ourPlace, codexPlace].map(({ backend }) => backend.takeRequests().keys.map(({ path }) => path));
    const once = mode === "apikey" ? [] : ["/backend-api/wham/agent-identities/jwks"];
    expect(asked).toEqual([once, once]);
  });

  it.concurrent("we are the agent that Codex signed in, and log it out", async (context) => {
    const place = await createPlace(context);
    await codexRuns(version, place, "login --with-access-token", agent.token);
    const identity = {
      agentRuntimeId: "agent-1",
      accountId: "acct-1",
      chatgptUserId: "user-1",
      email: "agent@example.com",
      planType: "team",
      chatgptAccountIsFedramp: false,
    };
    const auth = await loadAuth(configOf(place));
    expect(auth).toMatchObject({ mode: "agentIdentity", identity });
    expect(await loginStatus(configOf(place))).toMatchObject({
      mode: "agentIdentity",
      message: messageOf(await codexRuns(version, place, "status")),
      identity,
    });
    const status = await ours(place, "status");
    expect([status.exitCode, status.stdout, status.stderr]).toEqual([0, "Logged in using access token\n", ""]);
    expect(await logout(configOf(place))).toBe(true);
    await expectSignedOut(version, place);
  });

  it.concurrent("we have the API key that Codex saved, and log it out", async (context) => {
    const place = await createPlace(context);
    await codexRuns(version, place, "login --with-api-key", API_KEY);
    const auth = await loadAuth(configOf(place));
    expect(auth?.mode === "apikey" && auth.apiKey).toBe(API_KEY);
    expect(await loginStatus(configOf(place))).toEqual({
      mode: "apikey",
      message: API_KEY_STATUS,
    });
    const status = await ours(place, "status");
    expect([status.exitCode, status.stdout, status.stderr]).toEqual([0, `${API_KEY_STATUS}\n`, ""]);
    expect((await ours(place, "logout")).stdout).toBe("Successfully logged out\n");
    await expectSignedOut(version, place);
  });

  it.concurrent("each replaces what the other wrote", async (context) => {
    const place = await createPlace(context);
    await codexRuns(version, place, "login --with-api-key", API_KEY);
    await loginWithAccessToken(configOf(place), agent.token);
    expect(messageOf(await codexRuns(version, place, "status"))).toBe(statusWords(version, "agentIdentity"));
    await codexRuns(version, place, "login --with-api-key", API_KEY);
    expect(await loadAuth(configOf(place))).toMatchObject({ mode: "apikey" });
    await loginWithApiKey(configOf(place), "sk-other");
    await codexRuns(version, place, "login --with-access-token", agent.token);
    expect(await loadAuth(configOf(place))).toMatchObject({ mode: "agentIdentity" });
  });

  it.concurrent("neither is signed in, nor signed out, while the keys cannot be had", async (context) => {
    const place = await createPlace(context, { authFile: fileOf.agent(agent.token), backend: "down" });
    const status = await codexRuns(version, place, "status");
    expect([status.exitCode, messageOf(status)]).toEqual([1, `${STATUS_FAILS}failed to request agent identity JWKS`]);
    await expect(loginStatus(configOf(place))).rejects.toMatchObject({ code: "keys_unavailable" });
    await expect(loadAuth(configOf(place))).rejects.toMatchObject({ code: "keys_unavailable" });
    const ourStatus = await ours(place, "status");
    expect([ourStatus.exitCode, ourStatus.stdout]).toEqual([1, ""]);
    expect(ourStatus.stderr).toMatch(/^Error checking login status: keys_unavailable: .+\n$/);
    expect(await place.codex.readAuthFile()).toBe(fileOf.agent(agent.token));
  });

  it.concurrent("without CODEX_HOME it is in ~/.codex", async (context) => {
    const [ourPlace, codexPlace] = [await createPlace(context), await createPlace(context)];
    const env = { CODEX_HOME: "" };
    await codexRuns(version, codexPlace, "login --with-access-token", agent.token, env);
    await ours(ourPlace, "login --with-access-token", agent.token, env);
    for (const { codex } of [ourPlace, codexPlace]) {
      expect(await readFile(join(codex.home, ".codex", "auth.json"), "utf8")).toBe(fileOf.agent(agent.token));
      expect(await codex.readAuthFile()).toBeUndefined();
    }
    // And each finds the other's there.
    expect((await ours(codexPlace, "status", "", env)).stdout).toBe("Logged in using access token\n");
    const status = await codexRuns(version, ourPlace, "status", "", env);
    expect(messageOf(status)).toBe("Logged in using access token");
  });
});

describe.each(CODEX_VERSIONS)("a step is as with Codex %s:", (version) => {
  const lines = new Map<Step, string[]>();

  it.concurrent.for(named(steps))("%s", async ([, step], context) => {
    const codex = await takeStep(context, step, (place) =>
      codexRuns(version, place, step.command, step.stdin, step.given.env),
    );
    const our = await takeStep(context, step, (place) => ours(place, step.command, step.stdin, step.given.env));
    const words = version === NEWEST ? step.outcome.says : (step.saidBefore ?? step.outcome.says);
    const expected = { ...step.outcome, says: words };
    const expectedOfUs = step.difference?.ours ?? step.outcome;

    const agreed = same(codex.outcome, expected) && same(our.outcome, expectedOfUs);
    const note = [
      ...(agreed ? [] : ["DISAGREEMENT"]),
      ...(step.difference ? [step.difference.why] : []),
      ...(expected.says === step.outcome.says ? [] : [`words of ${version}`]),
    ];
    lines.set(step, [step.name, ...columns(codex.outcome), ...columns(our.outcome), note.join("; ")]);

    expect(codex.outcome).toEqual(expected);
    expect(our.outcome).toEqual(expectedOfUs);
    if (step.difference === undefined && step.outcome.exitCode === 0) expect(our.keysAsked).toEqual(codex.keysAsked);
  });

  afterAll(() => {
    const header = ["step", `Codex ${version}`, "auth.json", "ours", "auth.json", "note"];
    console.log(renderTable(`Signing in: Codex ${version} and ours`, [header, ...inOrder(steps, lines)]));
  });

  const columns = ({ exitCode, says, leaves }: Outcome) => [
    `${String(exitCode)} ${says.replaceAll("\n", " ⏎ ")}`,
    leaves,
  ];
});

describe.each(CODEX_VERSIONS)("an auth.json is understood as by Codex %s:", (version) => {
  const lines = new Map<AuthFileRow, string[]>();

  it.concurrent.for(named(authFiles))("%s", async ([, row], context) => {
    const { authFile, says, saidBefore, difference } = row;
    const place = await createPlace(context, { authFile });
    const run = await codexRuns(version, place, "status");
    const codex = run.exitCode === 1 && messageOf(run).startsWith(STATUS_FAILS) ? "fails" : verdictOf(messageOf(run));
    const our = await verdictOfOurs(place);

    const expectedOfCodex = version === NEWEST ? says : (saidBefore ?? says);
    const expectedOfUs = difference?.ours ?? says;
    const note = codex === expectedOfCodex && our === expectedOfUs ? (difference?.why ?? "") : "DISAGREEMENT";
    lines.set(row, [row.name, codex, our, note]);

    expect(codex).toBe(expectedOfCodex);
    expect(our).toBe(expectedOfUs);
    expect(await readFile(join(place.codex.home, "auth.json"))).toEqual(Buffer.from(authFile));
  });

  afterAll(() => {
    const header = ["auth.json", `Codex ${version}`, "ours", "note"];
    console.log(renderTable(`auth.json: Codex ${version} and ours`, [header, ...inOrder(authFiles, lines)]));
  });
});

describe.each(CODEX_VERSIONS)("restrictions are enforced as by Codex %s:", (version) => {
  const lines = new Map<RestrictionRow | string, string[]>();
  const rows = restrictionRows.map((row) => [row.signedInAs, describeRestriction(row), row] as const);

  it.concurrent.for(rows)("%s, %s", async ([, restriction, row], context) => {
    const codex = await enforceByCodex(context, version, row);
    const our = await enforceByUs(context, row);

    const expectedOfUs = row.difference?.ours ?? row.outcome;
    const agreed = same(codex, row.outcome) && same(our, expectedOfUs);
    const note = agreed ? (row.difference?.why ?? "") : "DISAGREEMENT";
    lines.set(row, [row.signedInAs, restriction, codex.result, codex.authFile, our.result, our.authFile, note]);

    expect(codex).toEqual(row.outcome);
    expect(our).toEqual(expectedOfUs);
  });

  it("no workspace id in the credentials, of the pure function", () => {
    const restrictions = { loginMethod: undefined, workspaceIds: ["x", "y"] };
    const violation = findLoginViolation(restrictions, { mode: "agentIdentity", accountId: undefined });
    const restriction = describeRestriction({ restrictions: { forcedChatgptWorkspaceId: restrictions.workspaceIds } });
    const cells = ["out of reach", "", violation?.message ?? "allowed", "", "the pure function, which adds nothing"];
    lines.set("pure function", ["no workspace id", restriction, ...cells]);
    expect(violation?.message).toBe(
      "Login is restricted to workspace(s) x, y, but current credentials lack a workspace identifier.",
    );
  });

  afterAll(() => {
    const header = ["signed in as", "restriction", `Codex ${version}`, "auth.json", "ours", "auth.json", "note"];
    const order = [...restrictionRows, "pure function"];
    console.log(renderTable(`Login restrictions: Codex ${version} and ours`, [header, ...inOrder(order, lines)]));
  });
});

/** For titles: of objects, vitest cuts the strings. */
function named<Row extends { readonly name: string }>(rows: readonly Row[]): [name: string, row: Row][] {
  return rows.map((row) => [row.name, row]);
}

/** A home directory, and a backend of its own. */
interface Place {
  readonly codex: Codex;
  readonly backend: Backend;
}

async function createPlace(context: TestContext, { authFile, backend: fault }: Given = {}): Promise<Place> {
  const refuse = () => ({ status: 403, body: {} });
  const [codex, backend] = [await createCodex(), await startBackend(fault === "refuses tasks" ? refuse : undefined)];
  context.onTestFinished(async () => {
    await backend.close();
    await codex.remove();
  });
  if (authFile !== undefined) await writeFile(join(codex.home, "auth.json"), authFile, { mode: 0o600 });
  if (fault === "down") await backend.close();
  return { codex, backend };
}

function configOf({ codex, backend }: Place, env: Given["env"] = {}): AuthConfig {
  return { chatgptBaseUrl: backend.baseUrl, codexHome: codex.home, env, jwks: {} };
}

function codexRuns(version: CodexVersion, place: Place, command: Command, stdin = "", env: Given["env"] = {}) {
  const settings = backendSettings(place.backend.baseUrl);
  const args = command === "status" ? ["login", "status"] : command.split(" ");
  return place.codex.run(args, { version, stdin, config: settings.config, env: { ...settings.env, ...env } });
}

function ours({ codex, backend }: Place, command: Command, stdin = "", env: Given["env"] = {}) {
  return runOurs(codex.home, [...command.split(" "), "--base-url", backend.baseUrl], { stdin, env });
}

function statusWords(version: CodexVersion, mode: "agentIdentity" | "apikey"): string {
  if (mode === "agentIdentity") return "Logged in using access token";
  return version === NEWEST ? API_KEY_STATUS : "Logged in using an API key - ***";
}

async function expectSignedOut(version: CodexVersion, place: Place): Promise<void> {
  expect(await place.codex.readAuthFile()).toBeUndefined();
  const status = await codexRuns(version, place, "status");
  expect([status.exitCode, messageOf(status)]).toEqual([1, "Not logged in"]);
  const ourStatus = await ours(place, "status");
  expect([ourStatus.exitCode, ourStatus.stdout, ourStatus.stderr]).toEqual([1, "Not logged in\n", ""]);
}

interface StepTaken {
  readonly outcome: Outcome;
  readonly keysAsked: number;
}

async function takeStep(
  context: TestContext,
  { stdin, given }: Step,
  run: (place: Place) => ReturnType<typeof runOurs>,
): Promise<StepTaken> {
  const place = await createPlace(context, given);
  const result = await run(place);
  const says = `${messageOf(result)}${result.stdout}`.trim().replace(/^(Error [a-z ]+: )[^]*$/, "$1…");
  const leaves = await leavesOf(place, given.authFile, stdin?.trim() ?? "");
  return { outcome: { exitCode: result.exitCode, says, leaves }, keysAsked: place.backend.takeRequests().keys.length };
}

async function leavesOf({ codex }: Place, before: Given["authFile"], secret: string): Promise<Leaves> {
  const after = await codex.readAuthFile();
  if (after === before) return "as it was";
  if (after === undefined) return "no file";
  const permissions = await permissionsOf(join(codex.home, "auth.json"));
  // Anything unforeseen is shown as it is.
  if (after === fileOf.agent(secret)) return `the access token, ${permissions}` as Leaves;
  return (after === fileOf.apiKey(secret) ? `the API key, ${permissions}` : after) as Leaves;
}

async function permissionsOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

const STATUS_FAILS = "Error checking login status: ";

const VERDICTS: Record<string, FileVerdict> = {
  "Logged in using access token": "access token",
  "Logged in using an API key - ***": "API key",
  [API_KEY_STATUS]: "API key",
  "Logged in using ChatGPT": "ChatGPT",
};

/** @returns the message itself, if it is none that is known */
function verdictOf(message: string): string {
  return VERDICTS[message] ?? message;
}

async function verdictOfOurs(place: Place): Promise<string> {
  try {
    return verdictOf((await loginStatus(configOf(place))).message);
  } catch (error) {
    return codeOf(error) === undefined ? String(error) : "fails";
  }
}

/** `exec` enforces restrictions, `login status` does not. */
async function enforceByCodex(
  context: TestContext,
  version: CodexVersion,
  row: RestrictionRow,
): Promise<RestrictionOutcome> {
  const place = await createPlace(context, row.given);
  const { forcedLoginMethod, forcedChatgptWorkspaceId } = row.restrictions;
  const { config, env } = turnSettings(place.backend.baseUrl);
  const run = await place.codex.run(["exec", "--skip-git-repo-check", "say hi"], {
    version,
    env: { ...env, ...row.given.env },
    config: {
      ...config,
      ...(forcedLoginMethod && { forced_login_method: JSON.stringify(forcedLoginMethod) }),
      ...(forcedChatgptWorkspaceId !== undefined && {
        forced_chatgpt_workspace_id: JSON.stringify(forcedChatgptWorkspaceId),
      }),
    },
  });
  const authFile = await whatBecameOf(place, row.given.authFile);
  if (run.exitCode === 0 && run.stdout.includes(MODEL_SAYS)) return { result: "allowed", authFile };
  const message = messageOf(run);
  if (run.exitCode !== 1 || message === "") throw new Error(`no outcome: ${JSON.stringify(run)}`);
  return { result: message.endsWith("Logging out.") ? message : "fails", authFile };
}

async function enforceByUs(context: TestContext, row: RestrictionRow): Promise<RestrictionOutcome> {
  const place = await createPlace(context, row.given);
  const result = await outcomeOf(enforceLoginRestrictions({ ...configOf(place, row.given.env), ...row.restrictions }));
  return { result, authFile: await whatBecameOf(place, row.given.authFile) };
}

async function outcomeOf(enforcement: Promise<void>): Promise<string> {
  try {
    await enforcement;
    return "allowed";
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) return error instanceof TypeError ? "TypeError" : String(error);
    const violated = code === "login_method_not_allowed" || code === "workspace_not_allowed";
    return violated ? (error as Error).message : "fails";
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

async function whatBecameOf({ codex }: Place, before: Given["authFile"]): Promise<RestrictionOutcome["authFile"]> {
  const after = await codex.readAuthFile();
  if (before === undefined && after === undefined) return "none";
  if (after === undefined) return "removed";
  if (after !== before) throw new Error("auth.json was changed");
  return "kept";
}

function describeRestriction({ restrictions }: Pick<RestrictionRow, "restrictions">): string {
  const { forcedLoginMethod, forcedChatgptWorkspaceId } = restrictions;
  return [forcedLoginMethod, forcedChatgptWorkspaceId]
    .filter((restriction) => restriction !== undefined)
    .map((restriction) => JSON.stringify(restriction))
    .join(" and ");
}

function same(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Tests end in any order. */
function inOrder<Row>(rows: readonly Row[], lines: ReadonlyMap<Row, string[]>): string[][] {
  return rows.flatMap((row) => {
    const line = lines.get(row);
    return line === undefined ? [] : [line];
  });
}
