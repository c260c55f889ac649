import { existsSync } from "node:fs";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  enforceLoginRestrictions,
  loadAuth,
  loginStatus,
  loginWithAccessToken,
  loginWithApiKey,
  logout,
  type AuthConfig,
} from "../../src/login.js";
import { agentIdentityAuth } from "../../src/index.js";
import { agentPrivateKey, claims, createSigningKey, mint, signToken } from "../support/agents.js";
import { createCodexHome } from "../support/homes.js";
import { startBackend } from "../support/servers.js";

async function start(overrides: Partial<AuthConfig> = {}) {
  const backend = await startBackend();
  const home = createCodexHome();
  const config = { chatgptBaseUrl: backend.baseUrl, codexHome: home.codexHome, env: {}, jwks: {}, ...overrides };
  return { backend, home, config };
}

const agent = (id: string) => mint({ agent_runtime_id: id });

/** Who one is, in one word. */
async function whoIs(config: AuthConfig): Promise<string | undefined> {
  const auth = await loadAuth(config);
  return auth?.mode === "agentIdentity" ? auth.identity.agentRuntimeId : auth?.apiKey;
}

describe("the order in which credentials are looked for", () => {
  test("CODEX_API_KEY, memory, CODEX_ACCESS_TOKEN, auth.json, and without that file CODEX_AGENT_IDENTITY", async () => {
    const { config } = await start();
    const env: Record<string, string> = {
      CODEX_API_KEY: " sk-env\n",
      CODEX_ACCESS_TOKEN: ` ${agent("env-access-token")}\n`,
      CODEX_AGENT_IDENTITY: agent("env-agent-identity"),
    };
    const with_ = { ...config, env };
    await loginWithAccessToken(config, agent("file"));
    await loginWithAccessToken({ ...config, authCredentialsStoreMode: "ephemeral" }, agent("memory"));
    expect(await whoIs(with_)).toBe("sk-env");
    delete env["CODEX_API_KEY"];
    expect(await whoIs(with_)).toBe("memory");
    await logout({ ...config, authCredentialsStoreMode: "ephemeral" });
    await loginWithAccessToken(config, agent("file"));
    expect(await whoIs(with_)).toBe("env-access-token");
    env["CODEX_ACCESS_TOKEN"] = "  ";
    expect(await whoIs(with_)).toBe("file");
    expect(await whoIs({ ...with_, authCredentialsStoreMode: "ephemeral" })).toBe("env-agent-identity");
    await logout(config);
    expect(await whoIs(with_)).toBe("env-agent-identity");
    env["CODEX_AGENT_IDENTITY"] = "";
    expect(await whoIs(with_)).toBeUndefined();
  });

  test("status does not look at CODEX_API_KEY", async () => {
    const { config } = await start({ env: { CODEX_API_KEY: "sk-env" } });
    expect(await loginStatus(config)).toEqual({ mode: undefined, message: "Not logged in" });
    expect(await whoIs(config)).toBe("sk-env");
  });

  test("CODEX_HOME says where auth.json is, unless the configuration does", async () => {
    const { home, config } = await start();
    await loginWithApiKey(config, "sk-file");
    expect(await whoIs({ ...config, codexHome: undefined, env: { CODEX_HOME: home.codexHome } })).toBe("sk-file");
    expect(await whoIs({ ...config, env: { CODEX_HOME: "/nowhere" } })).toBe("sk-file");
  });
});

describe("a user without a home directory", () => {
  const home = process.env["HOME"];
  beforeEach(() => {
    process.env["HOME"] = "";
  });
  afterEach(() => {
    process.env["HOME"] = home;
  });

  test("signs in by the environment and by memory, and writes no file", async () => {
    const { config } = await start({ codexHome: undefined });
    expect(await whoIs({ ...config, env: { CODEX_API_KEY: "sk-env" } })).toBe("sk-env");
    expect(await whoIs({ ...config, env: { CODEX_ACCESS_TOKEN: agent("a") } })).toBe("a");
    expect(await whoIs({ ...config, env: { CODEX_AGENT_IDENTITY: agent("b") } })).toBe("b");
    const ephemeral = { ...config, authCredentialsStoreMode: "ephemeral" } as const;
    await loginWithApiKey(ephemeral, "sk-memory");
    expect(await whoIs(ephemeral)).toBe("sk-memory");
    expect(await logout(ephemeral)).toBe(true);
    expect(await whoIs(ephemeral)).toBeUndefined();
  });

  test("is told so where a file is needed, and nothing is written to the working directory", async () => {
    const { config } = await start({ codexHome: undefined });
    for (const act of [loadAuth, loginStatus, (c: AuthConfig) => loginWithApiKey(c, "sk-x")]) {
      await expect(act(config)).rejects.toMatchObject({ name: "LoginError", code: "codex_home_unknown" });
    }
    expect(existsSync(".codex")).toBe(false);
  });
});

describe("an agent record in auth.json, in which nothing is signed,", () => {
  const record = {
    agent_runtime_id: "agent-9",
    agent_private_key: agentPrivateKey,
    account_id: "acct-9",
    chatgpt_user_id: "user-9",
    email: null,
    plan_type: "hc",
    chatgpt_account_is_fedramp: false,
  };
  const files = [
    { auth_mode: "agentIdentity", agent_identity: record },
    { auth_mode: "chatgpt", tokens: {}, agent_identity: record },
    { agent_identity: record },
  ];

  test.each(files)("is an error that says what to do, and stays: %j", async (file) => {
    const { backend, home, config } = await start();
    home.write(JSON.stringify(file));
    for (const act of [loadAuth, loginStatus, enforceLoginRestrictions]) {
      await expect(act({ ...config, forcedLoginMethod: "api" })).rejects.toMatchObject({
        code: "agent_record_unsigned",
        message: expect.stringMatching(/acceptUnsignedRecord: true/) as string,
      });
    }
    expect(home.read()).toBe(JSON.stringify(file));
    expect(backend.fetches).toBe(0);
  });

  test.each(files)("is the agent where that is accepted, and restrictions apply to it: %j", async (file) => {
    const { backend, home, config } = await start({ acceptUnsignedRecord: true });
    home.write(JSON.stringify(file));
    const identity = {
      agentRuntimeId: "agent-9",
      accountId: "acct-9",
      chatgptUserId: "user-9",
      email: null,
      planType: "enterprise",
      chatgptAccountIsFedramp: false,
    };
    const auth = await loadAuth(config);
    expect(auth).toMatchObject({ mode: "agentIdentity" });
    expect(auth?.mode === "agentIdentity" && auth.identity).toEqual(identity);
    expect(inspect(auth, { showHidden: true, depth: 5 }) + JSON.stringify(auth)).not.toContain(agentPrivateKey);
    expect(await loginStatus(config)).toEqual({
      mode: "agentIdentity",
      message: "Logged in using access token",
      identity,
    });
    expect(backend.fetches).toBe(0);
    const forced = { ...config, forcedChatgptWorkspaceId: "acct-1" };
    await expect(enforceLoginRestrictions(forced)).rejects.toMatchObject({ code: "workspace_not_allowed" });
    expect(existsSync(home.authFile)).toBe(false);
  });

  test.each([
    {},
    ...Object.keys(record)
      .filter((name) => name !== "email")
      .map((name) => ({ ...record, [name]: undefined })),
    { ...record, email: 1 },
    { ...record, task_id: "" },
    { ...record, task_id: "a:b" },
    { ...record, task_id: 7 },
  ])("is refused with a member that is missing or wrong: %j", async (agent_identity) => {
    const { home, config } = await start({ acceptUnsignedRecord: true });
    home.write(JSON.stringify({ auth_mode: "agentIdentity", agent_identity }));
    await expect(loadAuth(config)).rejects.toMatchObject({ code: "auth_file_invalid" });
  });
});

describe("status", () => {
  test("speaks as Codex does, and holds no secret", async () => {
    const { config } = await start();
    expect(await loginStatus(config)).toEqual({ mode: undefined, message: "Not logged in" });
    await loginWithApiKey(config, "sk-secret");
    expect(await loginStatus(config)).toEqual({
      mode: "apikey",
      message: "API key configured - ***\nAuthentication is checked when you send a request.",
    });
    await loginWithAccessToken(config, mint());
    expect(await loginStatus(config)).toMatchObject({
      mode: "agentIdentity",
      message: "Logged in using access token",
      identity: { agentRuntimeId: "agent-1" },
    });
  });

  test("an API key that was loaded is in no serialisation", async () => {
    const { config } = await start();
    await loginWithApiKey(config, "sk-secret");
    const auth = await loadAuth(config);
    expect(auth).toHaveProperty("apiKey", "sk-secret");
    expect(JSON.stringify(auth) + inspect(auth)).not.toContain("sk-secret");
  });

  test("and loading ask the very resolver of the middleware: one fetch in all", async () => {
    const { backend, config } = await start({ jwks: undefined });
    const agents = agentIdentityAuth(backend.baseUrl);
    const token = mint();
    await loginWithAccessToken(config, token);
    await loginStatus(config);
    await loadAuth(config);
    await enforceLoginRestrictions(config);
    await agents.verifier.verify(token);
    expect(backend.fetches).toBe(1);
  });
});

describe("nothing is written or trusted before it is verified", () => {
  test.each([
    ["no JWT", "garbage", "token_malformed"],
    ["a claim missing", signToken({ alg: "RS256", kid: "key-1" }, claims({ account_id: undefined })), "claims_invalid"],
    ["expired", mint({ exp: 1 }), "token_expired"],
    ["of an unknown key", mint({}, createSigningKey("other")), "key_untrusted"],
    ["forged", mint({}, { ...createSigningKey("x"), kid: "key-1" }), "signature_invalid"],
    ["a personal access token", "at-secret", "credentials_unsupported"],
    ["empty", " \n", "credentials_empty"],
    ["not a string", undefined, "credentials_empty"],
  ])("an access token that is %s", async (_, token, code) => {
    const { home, config } = await start();
    await loginWithApiKey(config, "sk-before");
    const before = home.read();
    await expect(loginWithAccessToken(config, token as unknown as string)).rejects.toMatchObject({ code });
    expect(home.read()).toBe(before);
    if (token === undefined || code === "credentials_empty") return;
    home.write(JSON.stringify({ auth_mode: "agentIdentity", agent_identity: token }));
    await expect(loadAuth(config)).rejects.toMatchObject({ code });
    await expect(loginStatus(config)).rejects.toMatchObject({ code });
    await expect(enforceLoginRestrictions(config)).rejects.toMatchObject({ code });
    expect(existsSync(home.authFile)).toBe(true);
    home.write("{}");
    const env = { CODEX_ACCESS_TOKEN: token };
    await expect(loadAuth({ ...config, env })).rejects.toMatchObject({ code });
  });

  test("no key is asked for when the payload has the wrong shape", async () => {
    const { backend, config } = await start();
    await expect(loginWithAccessToken(config, mint({ plan_type: 1 }))).rejects.toMatchObject({
      code: "claims_invalid",
    });
    expect(backend.fetches).toBe(0);
  });

  test("an empty API key", async () => {
    const { home, config } = await start();
    await expect(loginWithApiKey(config, "  ")).rejects.toMatchObject({ code: "credentials_empty" });
    expect(existsSync(home.authFile)).toBe(false);
  });

  test("backend down: login writes nothing; loading, status and restrictions fail and the file stays", async () => {
    const { backend, home, config } = await start();
    backend.answer = (_req, res) => res.writeHead(503).end();
    const unavailable = { code: "keys_unavailable", status: 503 };
    await expect(loginWithAccessToken(config, mint())).rejects.toMatchObject(unavailable);
    expect(existsSync(home.authFile)).toBe(false);
    home.write(JSON.stringify({ auth_mode: "agentIdentity", OPENAI_API_KEY: null, agent_identity: mint() }));
    const before = home.read();
    const forced = { ...config, forcedLoginMethod: "api" } as const;
    for (const act of [loadAuth, loginStatus, enforceLoginRestrictions]) {
      await expect(act(forced)).rejects.toMatchObject(unavailable);
      expect(home.read()).toBe(before);
    }
  });
});

describe("login restrictions", () => {
  const forApi = { forcedLoginMethod: "api" } as const;
  const forChatgpt = { forcedLoginMethod: "chatgpt" } as const;

  test.each<[string, Partial<AuthConfig>, string | undefined]>([
    ["agent", {}, undefined],
    ["agent", forChatgpt, undefined],
    ["agent", forApi, "API key login is required, but ChatGPT is currently being used. Logging out."],
    ["key", forApi, undefined],
    ["key", forChatgpt, "ChatGPT login is required, but an API key is currently being used. Logging out."],
    ["agent", { forcedChatgptWorkspaceId: "acct-1" }, undefined],
    ["agent", { forcedChatgptWorkspaceId: ["x", "acct-1"] }, undefined],
    [
      "agent",
      { forcedChatgptWorkspaceId: ["x", "y"] },
      "Login is restricted to workspace(s) x, y, but current credentials belong to acct-1. Logging out.",
    ],
    ["key", { forcedChatgptWorkspaceId: ["x"] }, undefined],
    ["nobody", { ...forApi, forcedChatgptWorkspaceId: "x" }, undefined],
  ])("%s, %j", async (who, restrictions, message) => {
    const { home, config } = await start();
    const ephemeral = { ...config, authCredentialsStoreMode: "ephemeral" } as const;
    for (const store of [config, ephemeral]) {
      if (who === "agent") await loginWithAccessToken(store, mint());
      if (who === "key") await loginWithApiKey(store, "sk-x");
    }
    const enforced = enforceLoginRestrictions({ ...config, ...restrictions });
    if (message === undefined) {
      await enforced;
      expect(existsSync(home.authFile)).toBe(who !== "nobody");
      expect((await loadAuth(ephemeral)) === undefined).toBe(who === "nobody");
    } else {
      await expect(enforced).rejects.toMatchObject({ name: "LoginError", message });
      expect(existsSync(home.authFile)).toBe(false);
      expect(await loadAuth(ephemeral)).toBeUndefined();
    }
  });

  test.each<[Partial<AuthConfig>, "token" | "key", string, string]>([
    [forApi, "token", "login_method_not_allowed", "Access token login is disabled. Use API key login instead."],
    [forChatgpt, "key", "login_method_not_allowed", "API key login is disabled. Use ChatGPT login instead."],
    [
      { forcedChatgptWorkspaceId: ["x", "y"] },
      "token",
      "workspace_not_allowed",
      "Login is restricted to workspace id(s) x, y.",
    ],
  ])("hold for signing in as well, which then writes nothing: %j, %s", async (restrictions, what, code, message) => {
    const { home, config } = await start();
    const restricted = { ...config, ...restrictions };
    const login = what === "token" ? loginWithAccessToken(restricted, mint()) : loginWithApiKey(restricted, "sk-x");
    await expect(login).rejects.toMatchObject({ name: "LoginError", code, message });
    expect(existsSync(home.authFile)).toBe(false);
  });

  test("credentials of the environment are held to them as well, and auth.json goes too", async () => {
    const { home, config } = await start();
    await loginWithApiKey(config, "sk-x");
    const env = { CODEX_ACCESS_TOKEN: mint() };
    await expect(enforceLoginRestrictions({ ...config, env, ...forApi })).rejects.toMatchObject({
      code: "login_method_not_allowed",
    });
    expect(existsSync(home.authFile)).toBe(false);
  });

  test("and so is an API key of the environment", async () => {
    const { home, config } = await start();
    await loginWithAccessToken(config, mint());
    const env = { CODEX_API_KEY: "sk-env" };
    await expect(enforceLoginRestrictions({ ...config, env, ...forChatgpt })).rejects.toMatchObject({
      code: "login_method_not_allowed",
    });
    expect(existsSync(home.authFile)).toBe(false);
  });

  test.each([{ forcedChatgptWorkspaceId: [] }, { forcedChatgptWorkspaceId: " " }, { forcedLoginMethod: "x" }])(
    "that could mean everyone are a TypeError: %j",
    async (restrictions) => {
      const { config } = await start();
      await expect(enforceLoginRestrictions({ ...config, ...restrictions } as AuthConfig)).rejects.toThrow(TypeError);
    },
  );
});

describe("the configuration", () => {
  test.each<[unknown, RegExp]>([
    [undefined, /chatgptBaseUrl is missing/],
    [{}, /chatgptBaseUrl is missing/],
    [{ chatgptBaseUrl: undefined }, /chatgptBaseUrl is missing/],
    [{ chatgptBaseUrl: "chatgpt.com" }, /baseUrl must be an absolute/],
    [{ chatgptBaseUrl: "http://gw.example" }, /plain http/],
    [{ chatgptBaseUrl: "https://chatgpt.com", codexHome: " " }, /codexHome must be a string that is not blank/],
    [{ chatgptBaseUrl: "https://chatgpt.com", authApiBaseUrl: "http://gw.example" }, /authApiBaseUrl is plain http/],
    [{ chatgptBaseUrl: "https://chatgpt.com", authApiBaseUrl: "gw" }, /authApiBaseUrl must be an absolute/],
    [{ chatgptBaseUrl: "https://chatgpt.com", jwks: { maxAge: 1 } }, /there is no option "maxAge"/],
    [{ chatgptBaseUrl: "https://chatgpt.com", env: "x" }, /env must be an object/],
    [{ chatgptBaseUrl: "https://chatgpt.com", fetch: "x" }, /fetch must be a function/],
    [{ chatgptBaseUrl: "https://chatgpt.com", fetch, jwks: { fetch } }, /fetch is given twice: leave out jwks.fetch/],
    [{ chatgptBaseUrl: "https://chatgpt.com", acceptUnsignedRecord: 1 }, /acceptUnsignedRecord must be true or false/],
    [{ chatgptBaseUrl: "https://chatgpt.com", home: "x" }, /there is no option "home"/],
  ])("is checked: %j", async (config, message) => {
    await expect(loadAuth(config as AuthConfig)).rejects.toThrow(message);
    await expect(logout(config as AuthConfig)).rejects.toThrow(TypeError);
  });
});
