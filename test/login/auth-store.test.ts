import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  loadAuth,
  loginStatus,
  loginWithAccessToken,
  loginWithApiKey,
  logout,
  type AuthConfig,
} from "../../src/login.js";
import { mint } from "../support/agents.js";
import { createCodexHome } from "../support/homes.js";
import { startBackend } from "../support/servers.js";

async function start() {
  const backend = await startBackend();
  const home = createCodexHome();
  const config: AuthConfig = { chatgptBaseUrl: backend.baseUrl, codexHome: home.codexHome, env: {}, jwks: {} };
  return { backend, home, config };
}

describe("auth.json", () => {
  test("is Codex's for an access token, byte by byte, and only its owner reads it", async () => {
    const { home, config } = await start();
    const token = mint();
    await loginWithAccessToken(config, `  ${token}\n`);
    expect(home.read()).toBe(
      `{\n  "auth_mode": "agentIdentity",\n  "OPENAI_API_KEY": null,\n  "agent_identity": "${token}"\n}`,
    );
    expect(home.mode()).toBe("600");
    expect(readdirSync(home.codexHome)).toEqual(["auth.json"]);
  });

  test("is Codex's for an API key", async () => {
    const { home, config } = await start();
    await loginWithApiKey(config, "sk-test\n");
    expect(home.read()).toBe('{\n  "auth_mode": "apikey",\n  "OPENAI_API_KEY": "sk-test"\n}');
    expect(home.mode()).toBe("600");
  });

  test("that others could read is replaced by one that they cannot", async () => {
    const { home, config } = await start();
    writeFileSync(home.authFile, "{}", { mode: 0o644 });
    await loginWithApiKey(config, "sk-test");
    expect(home.mode()).toBe("600");
  });

  test("is made along with a home that is not there yet, which only its owner enters", async () => {
    const { home, config } = await start();
    const codexHome = join(home.codexHome, "new", "home");
    await loginWithApiKey({ ...config, codexHome }, "sk-test");
    expect(existsSync(join(codexHome, "auth.json"))).toBe(true);
    expect(statSync(codexHome).mode & 0o777).toBe(0o700);
  });

  test("is replaced through a symbolic link, which stays", async () => {
    const { home, config } = await start();
    const real = join(home.codexHome, "real.json");
    writeFileSync(real, "{}");
    symlinkSync(real, home.authFile);
    await loginWithApiKey(config, "sk-test");
    expect(await loadAuth(config)).toMatchObject({ mode: "apikey" });
    expect(readdirSync(home.codexHome).sort()).toEqual(["auth.json", "real.json"]);
  });

  test("is left whole by 50 writers at once", async () => {
    const { home, config } = await start();
    const tokens = Array.from({ length: 25 }, (_, i) => mint({ jti: String(i).repeat(i) }));
    await Promise.all(
      tokens.flatMap((token, i) => [loginWithAccessToken(config, token), loginWithApiKey(config, `sk-${String(i)}`)]),
    );
    expect(["agentIdentity", "apikey"]).toContain((await loadAuth(config))?.mode);
    expect(readdirSync(home.codexHome)).toEqual(["auth.json"]);
  });

  test.each([
    ["a mode-less API key", '{"OPENAI_API_KEY":"sk-x"}', "apikey"],
    ["members that are not known here", '{"auth_mode":"apikey","OPENAI_API_KEY":"sk-x","future":{}}', "apikey"],
    [
      "an API key beside an agent identity, by its mode",
      '{"auth_mode":"apikey","OPENAI_API_KEY":"sk-x","agent_identity":"x"}',
      "apikey",
    ],
  ])("is read with %s", async (_, content, mode) => {
    const { home, config } = await start();
    home.write(content);
    expect(await loadAuth(config)).toMatchObject({ mode });
  });

  test.each([
    ["", /not JSON/],
    ["{", /not JSON/],
    ["\ufeff{}", /not JSON/],
    ["[]", /not a JSON object/],
    ["null", /not a JSON object/],
    ['{"name":"some-package","version":"1.0.0"}', /another program wrote it/],
    ['{"auth_mode":7}', /auth_mode is not a string/],
    ['{"auth_mode":"agentIdentity","OPENAI_API_KEY":1,"agent_identity":"x"}', /OPENAI_API_KEY is not a string/],
    ['{"auth_mode":"apikey","OPENAI_API_KEY":"sk-x","agent_identity":1}', /agent_identity is not a string/],
  ])("that is corrupt or foreign is named and left alone: %s", async (content, reason) => {
    const { home, config } = await start();
    home.write(content);
    for (const act of [
      () => loadAuth(config),
      () => loginStatus(config),
      () => loginWithAccessToken(config, mint()),
      () => loginWithApiKey(config, "sk-x"),
    ]) {
      await expect(act()).rejects.toMatchObject({ name: "LoginError", code: "auth_file_invalid" });
      await expect(act()).rejects.toThrow(reason);
      await expect(act()).rejects.toThrow(home.authFile);
      expect(home.read()).toBe(content);
    }
    expect(await logout(config)).toBe(true);
    expect(existsSync(home.authFile)).toBe(false);
  });

  test.each([
    ['{"auth_mode":"agentIdentity"}', /missing an agent identity token/],
    ['{"auth_mode":"agentIdentity","agent_identity":{}}', /no agent record/],
    ['{"auth_mode":"apikey","OPENAI_API_KEY":null}', /missing a key/],
  ])("that lacks its credentials is an error, and may be replaced: %s", async (content, reason) => {
    const { home, config } = await start();
    home.write(content);
    await expect(loadAuth(config)).rejects.toMatchObject({ code: "auth_file_invalid" });
    await expect(loadAuth(config)).rejects.toThrow(reason);
    await loginWithApiKey(config, "sk-x");
    expect(await loadAuth(config)).toMatchObject({ mode: "apikey" });
  });

  test.each(['{"auth_mode":"chatgpt","tokens":{}}', '{"auth_mode":"chatgptAuthTokens"}', '{"tokens":{}}', "{}"])(
    "of another kind of sign-in is a clear error, and may be replaced: %s",
    async (content) => {
      const { home, config } = await start();
      home.write(content);
      await expect(loadAuth(config)).rejects.toMatchObject({ code: "credentials_unsupported" });
      await loginWithAccessToken(config, mint());
      expect(await loadAuth(config)).toMatchObject({ mode: "agentIdentity" });
    },
  );
});

test("auth.json that is not UTF-8 is corrupt", async () => {
  const { home, config } = await start();
  writeFileSync(home.authFile, Buffer.from('{"OPENAI_API_KEY":"sk-\u00ff"}', "latin1"));
  await expect(loadAuth(config)).rejects.toMatchObject({ code: "auth_file_invalid" });
});

describe("logging out", () => {
  test("removes what is there, and is fine where nothing is", async () => {
    const { home, config } = await start();
    await loginWithApiKey(config, "sk-x");
    expect(await logout(config)).toBe(true);
    expect(existsSync(home.authFile)).toBe(false);
    expect(await logout(config)).toBe(false);
    expect(await logout({ ...config, codexHome: join(home.codexHome, "nowhere") })).toBe(false);
    expect(await loadAuth(config)).toBeUndefined();
  });

  test("leaves Codex's other files alone, its locks too", async () => {
    const { home, config } = await start();
    for (const name of ["auth.json.lock", ".auth.json.lock", "config.toml"]) {
      writeFileSync(join(home.codexHome, name), "x");
    }
    await loginWithApiKey(config, "sk-x");
    expect(await logout(config)).toBe(true);
    expect(readdirSync(home.codexHome).sort()).toEqual([".auth.json.lock", "auth.json.lock", "config.toml"]);
  });

  test("empties the target of a symbolic link, through which the credentials were written", async () => {
    const { home, config } = await start();
    const real = join(home.codexHome, "real.json");
    writeFileSync(real, "{}");
    symlinkSync(real, home.authFile);
    await loginWithApiKey(config, "sk-secret");
    expect(readFileSync(real, "utf8")).toContain("sk-secret");
    expect(await logout(config)).toBe(true);
    expect(readdirSync(home.codexHome)).toEqual(["real.json"]);
    expect(readFileSync(real, "utf8")).toBe("");
  });

  test("removes a symbolic link that leads nowhere, and one to something that is no file", async () => {
    const { home, config } = await start();
    for (const target of [join(home.codexHome, "nowhere"), "/dev/null"]) {
      symlinkSync(target, home.authFile);
      expect(await logout(config)).toBe(true);
      expect(readdirSync(home.codexHome)).toEqual([]);
    }
  });
});

describe("in place of auth.json", () => {
  test("a named pipe is an error at once: nobody waits for a writer", async () => {
    const { home, config } = await start();
    execFileSync("mkfifo", [home.authFile]);
    for (const act of [loadAuth, loginStatus, (c: AuthConfig) => loginWithApiKey(c, "sk-x")]) {
      await expect(act(config)).rejects.toMatchObject({
        code: "auth_file_unreadable",
        message: expect.stringMatching(/auth\.json cannot be read \(it is not a regular file\)$/) as string,
      });
    }
  });

  test("a file of 1 GB is an error, and is not read", async () => {
    const { home, config } = await start();
    home.write("{");
    truncateSync(home.authFile, 1024 ** 3);
    const before = process.memoryUsage().rss;
    await expect(loadAuth(config)).rejects.toThrow(/auth\.json is not a valid auth\.json.*more than 1048576 bytes/);
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * 1024 ** 2);
  });

  test("a file that others can read is read, as by Codex, with one warning that says what to do", async () => {
    const { home, config } = await start();
    await loginWithApiKey(config, "sk-x");
    chmodSync(home.authFile, 0o644);
    const warnings = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
    onTestFinished(() => {
      warnings.mockRestore();
    });
    expect(await loadAuth(config)).toMatchObject({ mode: "apikey" });
    expect(await loadAuth(config)).toMatchObject({ mode: "apikey" });
    expect(warnings.mock.calls).toEqual([
      [`other users of this machine may read ${home.authFile}: run chmod 600 on it`, "AgentIdentityWarning"],
    ]);
  });
});

describe("a home that cannot be used is a clear error that names the file", () => {
  const expectFailure = (promise: Promise<unknown>, code: string, path: string, systemCode: string) =>
    expect(promise).rejects.toMatchObject({
      code,
      message: expect.stringMatching(new RegExp(`${path}.*\\(${systemCode}\\)`)) as string,
    });

  test("a directory in place of the file", async () => {
    const { home, config } = await start();
    mkdirSync(home.authFile);
    await expectFailure(loadAuth(config), "auth_file_unreadable", home.authFile, "EISDIR");
    await expectFailure(loginWithApiKey(config, "sk-x"), "auth_file_unreadable", home.authFile, "EISDIR");
    await expect(logout(config)).rejects.toMatchObject({ code: "auth_file_unwritable" });
  });

  test("a file in place of the directory", async () => {
    const { home, config } = await start();
    home.write("{}");
    const inside = { ...config, codexHome: home.authFile };
    await expectFailure(loadAuth(inside), "auth_file_unreadable", join(home.authFile, "auth.json"), "ENOTDIR");
  });

  // Permissions mean nothing to root: it takes on another user for the moment.
  const asSomebodyElse = async (act: () => Promise<void>) => {
    const { geteuid, seteuid } = process;
    const root = geteuid?.() === 0;
    if (root) seteuid?.(65534);
    try {
      await act();
    } finally {
      if (root) seteuid?.(0);
    }
  };

  test("one that is not ours to read or write", async () => {
    const { home, config } = await start();
    await loginWithApiKey(config, "sk-x");
    rmSync(home.authFile);
    writeFileSync(home.authFile, "{}", { mode: process.geteuid?.() === 0 ? 0o600 : 0o000 });
    await asSomebodyElse(async () => {
      await expectFailure(loadAuth(config), "auth_file_unreadable", home.authFile, "EACCES");
      await expectFailure(loginWithApiKey(config, "sk-x"), "auth_file_unreadable", home.authFile, "EACCES");
    });
  });
});

describe("the ephemeral store", () => {
  test("is the memory of this process, by home, and writes nothing", async () => {
    const { home, config } = await start();
    const ephemeral: AuthConfig = { ...config, authCredentialsStoreMode: "ephemeral" };
    await loginWithAccessToken(ephemeral, mint());
    expect(existsSync(home.authFile)).toBe(false);
    expect(await loadAuth(ephemeral)).toMatchObject({ mode: "agentIdentity" });
    const elsewhere = createCodexHome();
    expect(await loadAuth({ ...ephemeral, codexHome: elsewhere.codexHome })).toBeUndefined();
    expect(await logout(ephemeral)).toBe(true);
    expect(await loadAuth(ephemeral)).toBeUndefined();
  });

  test("does not read auth.json", async () => {
    const { config } = await start();
    await loginWithApiKey(config, "sk-x");
    expect(await loadAuth({ ...config, authCredentialsStoreMode: "ephemeral" })).toBeUndefined();
  });

  test.each(["keyring", "auto", "", null])("and file are the only modes: %j", async (mode) => {
    const { config } = await start();
    const load = loadAuth({ ...config, authCredentialsStoreMode: mode as "file" });
    await expect(load).rejects.toThrow(/authCredentialsStoreMode must be "file" or "ephemeral"/);
  });
});
