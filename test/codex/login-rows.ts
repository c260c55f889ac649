/** What is asked of the client and of ours, and what both have to answer. Words are those of the newest release. */

import type { LoginRestrictions } from "../../dist/login.js";
import { createAgent } from "./agents.js";
import { generateRsaKey, secondsSinceEpoch } from "./tokens.js";

export const agent = createAgent();
const expired = createAgent({ claims: { exp: secondsSinceEpoch() - 3600 } });
const forged = createAgent({ signToken: generateRsaKey().sign });
const withBadKey = createAgent({ encodeKey: () => "AAAA" });
export const API_KEY = "sk-test-1";

/** The very text of `auth.json`. */
export const fileOf = {
  agent: (token: string) =>
    `{\n  "auth_mode": "agentIdentity",\n  "OPENAI_API_KEY": null,\n  "agent_identity": "${token}"\n}`,
  apiKey: (apiKey: string) => `{\n  "auth_mode": "apikey",\n  "OPENAI_API_KEY": "${apiKey}"\n}`,
};

const agentFile = fileOf.agent(agent.token);
const apiKeyFile = fileOf.apiKey("sk-old");

/** What one is signed in with before anything is run. */
export interface Given {
  readonly authFile?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly backend?: "down" | "refuses tasks";
}

export type Command = "login --with-access-token" | "login --with-api-key" | "status" | "logout";

export interface Outcome {
  readonly exitCode: number | null;
  /** Of a failure only its beginning, up to the reason: `Error checking login status: …`. */
  readonly says: string;
  readonly leaves: Leaves;
}

/** "as it was" may be no file at all. */
export type Leaves = "no file" | "as it was" | "the access token, 600" | "the API key, 600";

export interface Step {
  readonly name: string;
  readonly command: Command;
  readonly given: Given;
  readonly stdin?: string;
  readonly outcome: Outcome;
  /** What older releases say, where that differs. */
  readonly saidBefore?: string;
  /** Ours, where it is another on purpose: it has to be there, too. */
  readonly difference?: { readonly why: string; readonly ours: Outcome };
}

const LOGGED_IN = {
  agent: "Logged in using access token",
  apiKey: "API key configured - ***\nAuthentication is checked when you send a request.",
  nobody: "Not logged in",
};

const ok = (says: string, leaves: Leaves = "as it was"): Outcome => ({ exitCode: 0, says, leaves });
const fails = (says: string): Outcome => ({ exitCode: 1, says, leaves: "as it was" });

const statusFails = fails("Error checking login status: …");
const isAgent = ok(LOGGED_IN.agent);
const isApiKey = ok(LOGGED_IN.apiKey);
const isNobody = fails(LOGGED_IN.nobody);

export const API_KEY_STATUS = LOGGED_IN.apiKey;

function login(name: string, stdin: string, given: Given, rest: Pick<Step, "outcome" | "difference">): Step {
  return { name: `login, ${name}`, command: "login --with-access-token", stdin, given, ...rest };
}

const savesToken = { outcome: ok("Successfully logged in", "the access token, 600") };
const loginFails = { outcome: fails("Error logging in with access token: …") };

const loginSteps: Step[] = [
  login("signed out", agent.token, {}, savesToken),
  login("token in spaces and newlines", ` \t${agent.token}\r\n\n`, {}, savesToken),
  login("over an API key", agent.token, { authFile: apiKeyFile }, savesToken),
  login("over another agent", agent.token, { authFile: fileOf.agent(expired.token) }, savesToken),
  login("over another kind of sign-in", agent.token, { authFile: '{"auth_mode":"chatgpt"}' }, savesToken),
  login(
    "agent_private_key is none",
    withBadKey.token,
    {},
    {
      outcome: ok("Successfully logged in", "the access token, 600"),
    },
  ),
  login("backend down, signed out", agent.token, { backend: "down" }, loginFails),
  login("backend down, over an API key", agent.token, { backend: "down", authFile: apiKeyFile }, loginFails),
  login("expired token", expired.token, { authFile: apiKeyFile }, loginFails),
  login("signed by somebody else", forged.token, { authFile: apiKeyFile }, loginFails),
  login("not a JWT", "a.b", { authFile: apiKeyFile }, loginFails),
  login("personal access token", "at-1", { authFile: apiKeyFile }, loginFails),
  login(
    "empty standard input",
    " \n",
    { authFile: apiKeyFile },
    {
      outcome: fails("No access token provided via stdin."),
    },
  ),
  login(
    "over a corrupt file",
    agent.token,
    { authFile: "nope" },
    {
      ...savesToken,
      difference: {
        why: "a corrupt file is left alone (design §8)",
        ours: fails("Error logging in with access token: …"),
      },
    },
  ),
  login(
    "over another program's file",
    agent.token,
    { authFile: '{"foo":1}' },
    {
      ...savesToken,
      difference: {
        why: "a foreign file is left alone (issue 4, item 2)",
        ours: fails("Error logging in with access token: …"),
      },
    },
  ),
  ...(
    [
      ["signed out", {}],
      ["over an access token", { authFile: agentFile }],
      ["backend down", { backend: "down" }],
    ] as [string, Given][]
  ).map(([name, given]): Step => ({
    name: `login with an API key, ${name}`,
    command: "login --with-api-key",
    stdin: `${API_KEY}\n`,
    given,
    outcome: ok("API key saved. Authentication is checked when you send a request.", "the API key, 600"),
    saidBefore: "Successfully logged in",
  })),
  {
    name: "login with an API key, empty standard input",
    command: "login --with-api-key",
    stdin: "\n",
    given: { authFile: agentFile },
    outcome: fails("No API key provided via stdin."),
  },
];

function status(name: string, given: Given, outcome: Outcome, difference?: Step["difference"]): Step {
  return {
    name: `status, ${name}`,
    command: "status",
    given,
    outcome,
    ...(outcome === isApiKey && { saidBefore: "Logged in using an API key - ***" }),
    ...(difference && { difference }),
  };
}

const olderName = { why: "CODEX_AGENT_IDENTITY is the name before 0.129 (design §8)", ours: isAgent };
const noTask = { why: "no task is registered for a status", ours: isAgent };
const inEnv = (token: string) => ({ CODEX_ACCESS_TOKEN: token });

const statusSteps: Step[] = [
  status("signed out", {}, isNobody),
  status("access token in auth.json", { authFile: agentFile }, isAgent),
  status("API key in auth.json", { authFile: apiKeyFile }, isApiKey),
  status("access token, backend down", { authFile: agentFile, backend: "down" }, statusFails),
  status("API key, backend down", { authFile: apiKeyFile, backend: "down" }, isApiKey),
  status("signed out, backend down", { backend: "down" }, isNobody),
  status("expired token", { authFile: fileOf.agent(expired.token) }, statusFails),
  status("signed by somebody else", { authFile: fileOf.agent(forged.token) }, statusFails),
  status("tasks are refused", { authFile: agentFile, backend: "refuses tasks" }, statusFails, noTask),
  status("agent_private_key is none", { authFile: fileOf.agent(withBadKey.token) }, statusFails, noTask),

  status("CODEX_ACCESS_TOKEN", { env: inEnv(agent.token) }, isAgent),
  status("CODEX_ACCESS_TOKEN in spaces", { env: inEnv(` ${agent.token}\n`) }, isAgent),
  status("CODEX_ACCESS_TOKEN beats auth.json", { env: inEnv(agent.token), authFile: apiKeyFile }, isAgent),
  status("CODEX_ACCESS_TOKEN beats a corrupt auth.json", { env: inEnv(agent.token), authFile: "nope" }, isAgent),
  status(
    "CODEX_ACCESS_TOKEN expired, API key in auth.json",
    {
      env: inEnv(expired.token),
      authFile: apiKeyFile,
    },
    statusFails,
  ),
  status("CODEX_ACCESS_TOKEN, backend down", { env: inEnv(agent.token), backend: "down" }, statusFails),
  status("CODEX_ACCESS_TOKEN blank, API key in auth.json", { env: inEnv(" \n"), authFile: apiKeyFile }, isApiKey),
  status("CODEX_ACCESS_TOKEN empty, signed out", { env: inEnv("") }, isNobody),
  status("CODEX_ACCESS_TOKEN is at-…", { env: inEnv("at-1"), authFile: apiKeyFile }, statusFails),
  status("CODEX_ACCESS_TOKEN is not a JWT", { env: inEnv("a.b") }, statusFails),
  status("CODEX_AGENT_IDENTITY", { env: { CODEX_AGENT_IDENTITY: agent.token } }, isNobody, olderName),
  status(
    "CODEX_AGENT_IDENTITY, API key in auth.json",
    { env: { CODEX_AGENT_IDENTITY: agent.token }, authFile: apiKeyFile },
    isApiKey,
  ),
  status(
    "CODEX_AGENT_IDENTITY, corrupt auth.json",
    { env: { CODEX_AGENT_IDENTITY: agent.token }, authFile: "nope" },
    statusFails,
  ),
  status(
    "CODEX_ACCESS_TOKEN beats CODEX_AGENT_IDENTITY",
    {
      env: { CODEX_ACCESS_TOKEN: agent.token, CODEX_AGENT_IDENTITY: "a.b" },
    },
    isAgent,
  ),
  status("CODEX_API_KEY is not looked at", { env: { CODEX_API_KEY: "sk-env" } }, isNobody),
  status("CODEX_API_KEY does not beat auth.json", { env: { CODEX_API_KEY: "sk-env" }, authFile: agentFile }, isAgent),
  status("OPENAI_API_KEY is not looked at", { env: { OPENAI_API_KEY: "sk-env" } }, isNobody),
];

function logout(name: string, given: Given, outcome: Outcome): Step {
  return { name: `logout, ${name}`, command: "logout", given, outcome };
}

const loggedOut = ok("Successfully logged out", "no file");

const logoutSteps: Step[] = [
  logout("access token", { authFile: agentFile }, loggedOut),
  logout("API key", { authFile: apiKeyFile }, loggedOut),
  logout("access token, backend down", { authFile: agentFile, backend: "down" }, loggedOut),
  logout("corrupt file", { authFile: "nope" }, loggedOut),
  logout("signed out", {}, ok(LOGGED_IN.nobody)),
  logout("CODEX_ACCESS_TOKEN only", { env: inEnv(agent.token) }, ok(LOGGED_IN.nobody)),
];

export const steps: Step[] = [...loginSteps, ...statusSteps, ...logoutSteps];

/** How an `auth.json` is understood: what `status` says of it, `fails` for any failure. */
export interface AuthFileRow {
  readonly name: string;
  readonly authFile: string | Uint8Array;
  readonly says: FileVerdict;
  readonly saidBefore?: FileVerdict;
  readonly difference?: { readonly why: string; readonly ours: FileVerdict };
}

export type FileVerdict = "access token" | "API key" | "ChatGPT" | "fails";

function file(name: string, content: unknown, says: FileVerdict, difference?: AuthFileRow["difference"]): AuthFileRow {
  const authFile = typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content);
  return { name, authFile, says, ...(difference && { difference }) };
}

const agentRecord = {
  agent_runtime_id: "agent-1",
  agent_private_key: agent.privateKey,
  account_id: "acct-1",
  chatgpt_user_id: "user-1",
  email: "agent@example.com",
  plan_type: "pro",
  chatgpt_account_is_fedramp: false,
};
const unsigned = { why: "nothing in a record is signed (design §8)", ours: "fails" } as const;

/** An agent record: releases before 0.169 know none. */
function recordFile(name: string, content: object, says: FileVerdict): AuthFileRow {
  return { ...file(name, content, says, unsigned), saidBefore: "fails" };
}

const otherKind = { why: "neither an agent identity nor an API key", ours: "fails" } as const;
const foreign = { why: "a foreign file is an error (issue 4, item 2)", ours: "fails" } as const;
const repeated = { why: "a repeated member (design §3)", ours: "API key" } as const;
const neverRead = { why: "a member of other kinds of sign-in, never read here", ours: "API key" } as const;
const { token } = agent;

export const authFiles: AuthFileRow[] = [
  file("access token", { auth_mode: "agentIdentity", OPENAI_API_KEY: null, agent_identity: token }, "access token"),
  file("access token, members in another order", { agent_identity: token, auth_mode: "agentIdentity" }, "access token"),
  file(
    "access token beside nulls",
    { auth_mode: "agentIdentity", OPENAI_API_KEY: null, tokens: null, last_refresh: null, agent_identity: token },
    "access token",
  ),
  file(
    "access token beside an API key",
    { auth_mode: "agentIdentity", OPENAI_API_KEY: "sk-1", agent_identity: token },
    "access token",
  ),
  file("access token beside the unknown", { auth_mode: "agentIdentity", agent_identity: token, x: 1 }, "access token"),
  file("access token in spaces", { auth_mode: "agentIdentity", agent_identity: ` ${token}\n` }, "fails"),
  file("access token empty", { auth_mode: "agentIdentity", agent_identity: "" }, "fails"),
  file("access token is at-…", { auth_mode: "agentIdentity", agent_identity: "at-1" }, "fails"),
  file("access token null", { auth_mode: "agentIdentity", agent_identity: null }, "fails"),
  file("access token missing", { auth_mode: "agentIdentity" }, "fails"),
  file("access token number", { auth_mode: "agentIdentity", agent_identity: 1 }, "fails"),
  file(
    "access token beside an API key number",
    { auth_mode: "agentIdentity", OPENAI_API_KEY: 1, agent_identity: token },
    "fails",
  ),
  file("access token without a mode", { agent_identity: token }, "ChatGPT", otherKind),
  file("API key", { auth_mode: "apikey", OPENAI_API_KEY: "sk-1" }, "API key"),
  file("API key without a mode", { OPENAI_API_KEY: "sk-1" }, "API key"),
  file("API key of mode null", { auth_mode: null, OPENAI_API_KEY: "sk-1" }, "API key"),
  file("API key without a mode, beside an access token", { OPENAI_API_KEY: "sk-1", agent_identity: token }, "API key"),
  file(
    "API key beside an access token",
    { auth_mode: "apikey", OPENAI_API_KEY: "sk-1", agent_identity: token },
    "API key",
  ),
  file(
    "API key beside an access token number",
    { auth_mode: "apikey", OPENAI_API_KEY: "sk-1", agent_identity: 1 },
    "fails",
  ),
  file("API key empty", { auth_mode: "apikey", OPENAI_API_KEY: "" }, "API key"),
  file("API key null", { auth_mode: "apikey", OPENAI_API_KEY: null }, "fails"),
  file("API key missing", { auth_mode: "apikey" }, "fails"),
  file("API key number", { auth_mode: "apikey", OPENAI_API_KEY: 1 }, "fails"),
  file("API key twice", '{"auth_mode":"apikey","OPENAI_API_KEY":"sk-1","OPENAI_API_KEY":"sk-2"}', "fails", repeated),
  file("API key beside bad tokens", { auth_mode: "apikey", OPENAI_API_KEY: "sk-1", tokens: 1 }, "fails", neverRead),
  file("API key and blank lines", '{"OPENAI_API_KEY":"sk-1"}\n\n', "API key"),
  file("API key and something after it", '{"OPENAI_API_KEY":"sk-1"}x', "fails"),
  file("API key after a byte order mark", '\ufeff{"OPENAI_API_KEY":"sk-1"}', "fails"),
  file("API key that is not UTF-8", Buffer.from('{"OPENAI_API_KEY":"sk-\u00ff"}', "latin1"), "fails"),
  file("mode chatgpt", { auth_mode: "chatgpt" }, "ChatGPT", otherKind),
  file("mode unknown", { auth_mode: "x", OPENAI_API_KEY: "sk-1" }, "fails"),
  file("mode in other case", { auth_mode: "ApiKey", OPENAI_API_KEY: "sk-1" }, "fails"),
  file("mode number", { auth_mode: 1, OPENAI_API_KEY: "sk-1" }, "fails"),
  recordFile("agent record", { auth_mode: "agentIdentity", agent_identity: agentRecord }, "access token"),
  recordFile(
    "agent record with its task",
    { auth_mode: "agentIdentity", agent_identity: { ...agentRecord, task_id: "task-1" } },
    "access token",
  ),
  recordFile("agent record, mode chatgpt", { auth_mode: "chatgpt", agent_identity: agentRecord }, "ChatGPT"),
  file("empty object", {}, "ChatGPT", otherKind),
  file("another program's", { foo: 1 }, "ChatGPT", foreign),
  file("null", null, "fails"),
  file("array", [], "fails"),
  file("string", '"sk-1"', "fails"),
  file("empty file", "", "fails"),
  file("not JSON", "nope", "fails"),
  file("cut short", agentFile.slice(0, 60), "fails"),
];

/** What a restriction does: `fails` is any failure that signs nobody out. */
export interface RestrictionRow {
  readonly signedInAs: string;
  readonly given: Given;
  readonly restrictions: LoginRestrictions;
  readonly outcome: RestrictionOutcome;
  readonly difference?: { readonly why: string; readonly ours: RestrictionOutcome };
}

export interface RestrictionOutcome {
  /** `allowed`, `fails`, `TypeError`, or the message of the violation. */
  readonly result: string;
  readonly authFile: "kept" | "removed" | "none";
}

const asAgent = { signedInAs: "agent of acct-1", given: { authFile: agentFile } };
const asApiKey = { signedInAs: "API key", given: { authFile: apiKeyFile } };
const asNobody = { signedInAs: "nobody", given: {} };

const allowed: RestrictionOutcome = { result: "allowed", authFile: "kept" };
const failing: RestrictionOutcome = { result: "fails", authFile: "kept" };
const violates = (message: string, authFile: "removed" | "none" = "removed"): RestrictionOutcome => ({
  result: `${message} Logging out.`,
  authFile,
});
const notChatgpt = violates("ChatGPT login is required, but an API key is currently being used.");
const notApi = violates("API key login is required, but ChatGPT is currently being used.");
const notIn = (workspaces: string, authFile?: "removed" | "none") =>
  violates(`Login is restricted to workspace(s) ${workspaces}, but current credentials belong to acct-1.`, authFile);

const ids = (forcedChatgptWorkspaceId: string | string[]): LoginRestrictions => ({ forcedChatgptWorkspaceId });
const method = (forcedLoginMethod: "chatgpt" | "api"): LoginRestrictions => ({ forcedLoginMethod });

const blank = {
  why: "nothing but blanks is a TypeError (design §7)",
  ours: { result: "TypeError", authFile: "kept" },
} as const;

const listAsString = {
  why: "a list written as one string is a TypeError (design §7)",
  ours: { result: "TypeError", authFile: "kept" },
} as const;

export const restrictionRows: RestrictionRow[] = [
  // The table of codex-facts.md.
  { ...asAgent, restrictions: method("chatgpt"), outcome: allowed },
  { ...asAgent, restrictions: method("api"), outcome: notApi },
  { ...asApiKey, restrictions: method("chatgpt"), outcome: notChatgpt },
  { ...asAgent, restrictions: ids("acct-1"), outcome: allowed },
  { ...asAgent, restrictions: ids(["x", "acct-1"]), outcome: allowed },
  { ...asAgent, restrictions: ids(["x", "y"]), outcome: notIn("x, y") },
  { ...asApiKey, restrictions: ids(["x", "y"]), outcome: allowed },

  // Beyond it.
  { ...asApiKey, restrictions: method("api"), outcome: allowed },
  { ...asAgent, restrictions: { ...method("api"), ...ids("x") }, outcome: notApi },
  { ...asAgent, restrictions: { ...method("chatgpt"), ...ids("x") }, outcome: notIn("x") },
  { ...asApiKey, restrictions: { ...method("chatgpt"), ...ids("x") }, outcome: notChatgpt },
  { ...asNobody, restrictions: { ...method("api"), ...ids("x") }, outcome: { result: "allowed", authFile: "none" } },
  { ...asAgent, restrictions: ids("ACCT-1"), outcome: notIn("ACCT-1") },
  { ...asAgent, restrictions: ids(["x", "x"]), outcome: notIn("x, x") },
  { ...asAgent, restrictions: ids(["x", " ", ""]), outcome: notIn("x") },
  { ...asAgent, restrictions: ids(["a,b", "c"]), outcome: notIn("a,b, c") },
  { ...asAgent, restrictions: ids(" acct-1 "), outcome: allowed },
  { ...asAgent, restrictions: ids(["x", " acct-1"]), outcome: allowed },
  { ...asAgent, restrictions: ids(["x", " y "]), outcome: notIn("x, y") },
  { ...asAgent, restrictions: ids("x,acct-1"), outcome: failing, difference: listAsString },
  { ...asAgent, restrictions: ids(""), outcome: allowed, difference: blank },
  { ...asAgent, restrictions: ids([]), outcome: allowed, difference: blank },
  { ...asAgent, restrictions: ids([" ", ""]), outcome: allowed, difference: blank },

  // Other ways to be signed in.
  {
    signedInAs: "CODEX_ACCESS_TOKEN, API key in auth.json",
    given: { env: inEnv(agent.token), authFile: apiKeyFile },
    restrictions: method("api"),
    outcome: notApi,
  },
  {
    signedInAs: "CODEX_ACCESS_TOKEN, no auth.json",
    given: { env: inEnv(agent.token) },
    restrictions: ids("x"),
    outcome: notIn("x", "none"),
  },
  {
    signedInAs: "CODEX_API_KEY, agent in auth.json",
    given: { env: { CODEX_API_KEY: "sk-env" }, authFile: agentFile },
    restrictions: method("chatgpt"),
    outcome: notChatgpt,
  },
  {
    signedInAs: "CODEX_API_KEY beats CODEX_ACCESS_TOKEN",
    given: { env: { CODEX_API_KEY: "sk-env", ...inEnv(agent.token) } },
    restrictions: method("api"),
    outcome: { result: "allowed", authFile: "none" },
  },
  {
    signedInAs: "CODEX_API_KEY blank, agent in auth.json",
    given: { env: { CODEX_API_KEY: " " }, authFile: agentFile },
    restrictions: method("chatgpt"),
    outcome: allowed,
  },

  // Whoever cannot be verified is not signed out.
  {
    signedInAs: "agent, backend down",
    given: { authFile: agentFile, backend: "down" },
    restrictions: method("api"),
    outcome: failing,
  },
  {
    signedInAs: "API key, backend down",
    given: { authFile: apiKeyFile, backend: "down" },
    restrictions: method("chatgpt"),
    outcome: notChatgpt,
  },
  {
    signedInAs: "agent, token expired",
    given: { authFile: fileOf.agent(expired.token) },
    restrictions: method("api"),
    outcome: failing,
  },
  {
    signedInAs: "corrupt auth.json",
    given: { authFile: "nope" },
    restrictions: method("api"),
    outcome: failing,
  },
  {
    signedInAs: "agent, tasks are refused",
    given: { authFile: agentFile, backend: "refuses tasks" },
    restrictions: method("api"),
    outcome: failing,
    difference: { why: "no task is registered to load", ours: notApi },
  },
];
