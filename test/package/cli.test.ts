import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { agentPrivateKey, mint } from "../support/agents.js";
import { createCodexHome } from "../support/homes.js";
import { startBackend } from "../support/servers.js";

interface Run {
  exitCode: number;
  stdout: string;
  stderr: string;
}

async function command(args: string[], { stdin = "", env = {} }: { stdin?: string; env?: object } = {}): Promise<Run> {
  const child = spawn(process.execPath, ["dist/cli.js", ...args], {
    env: { PATH: process.env["PATH"], HOME: "/nowhere", ...env },
  });
  child.stdin.on("error", () => undefined).end(stdin); // it may end without having read it
  const exited = once(child, "exit") as Promise<[number]>;
  const [stdout, stderr, [exitCode]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { exitCode, stdout, stderr };
}

async function start() {
  const backend = await startBackend();
  const home = createCodexHome();
  return { backend, home, options: ["--base-url", backend.baseUrl, "--codex-home", home.codexHome] };
}

const success = (stdout: string): Run => ({ exitCode: 0, stdout: `${stdout}\n`, stderr: "" });
const failure = (stderr: string, exitCode = 1): Run => ({ exitCode, stdout: "", stderr: `${stderr}\n` });

describe("login, status and logout", () => {
  test("with an access token", async () => {
    const { home, options } = await start();
    const token = mint();
    expect(await command(["status", ...options])).toEqual({ exitCode: 1, stdout: "Not logged in\n", stderr: "" });
    expect(await command(["login", "--with-access-token", ...options], { stdin: `${token}\n` })).toEqual(
      success("Successfully logged in"),
    );
    expect(home.read()).toContain(token);
    expect(await command(["status", ...options])).toEqual(success("Logged in using access token"));
    const { stdout } = await command(["status", "--json", ...options]);
    expect(JSON.parse(stdout)).toMatchObject({ mode: "agentIdentity", identity: { accountId: "acct-1" } });
    expect(await command(["logout", "--codex-home", home.codexHome])).toEqual(success("Successfully logged out"));
    expect(await command(["logout", "--codex-home", home.codexHome])).toEqual(success("Not logged in"));
    expect(readdirSync(home.codexHome)).toEqual([]);
  });

  test("with an API key", async () => {
    const { options } = await start();
    expect(await command(["login", "--with-api-key", ...options], { stdin: "sk-secret" })).toEqual(
      success("API key saved. Authentication is checked when you send a request."),
    );
    const message = "API key configured - ***\nAuthentication is checked when you send a request.";
    expect(await command(["status", ...options])).toEqual(success(message));
    expect(await command(["status", "--json", ...options])).toEqual(
      success(JSON.stringify({ mode: "apikey", message })),
    );
  });

  test("help and version have every spelling that people try", async () => {
    for (const args of [["-h"], ["help"], ["--help"], ["verify", "-h"]]) {
      expect((await command(args)).stdout).toMatch(/^Usage: agent-identity-auth <command>/);
    }
    expect((await command(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test("verify --explain prints the checks, and its exit status is the verdict", async () => {
    const { backend } = await start();
    const args = ["verify", "--explain", "--base-url", backend.baseUrl];
    const good = await command(args, { stdin: mint() });
    expect([good.exitCode, good.stdout.split("\n").at(-2), good.stderr]).toEqual([0, "accepted", ""]);
    const bad = await command([...args, "--json"], { stdin: mint({ exp: 1 }) });
    expect([bad.exitCode, JSON.parse(bad.stdout)]).toMatchObject([
      1,
      { verdict: { accepted: false, code: "token_expired" } },
    ]);
  });

  test("status looks at the environment", async () => {
    const { options } = await start();
    const env = { CODEX_ACCESS_TOKEN: mint() };
    expect(await command(["status", ...options], { env })).toEqual(success("Logged in using access token"));
  });

  test("failures are one line on standard error", async () => {
    const { backend, home, options } = await start();
    expect(await command(["login", "--with-access-token", ...options], { stdin: mint({ exp: 1 }) })).toEqual(
      failure("Error logging in with access token: token_expired: The token has expired."),
    );
    expect(await command(["login", "--with-access-token", ...options])).toEqual(
      failure("No access token provided via stdin."),
    );
    home.write(JSON.stringify({ auth_mode: "agentIdentity", agent_identity: mint() }));
    backend.answer = (_req, res) => res.writeHead(500).end();
    expect(await command(["status", ...options])).toEqual(
      failure(
        "Error checking login status: keys_unavailable: The signing keys are unavailable at the moment. Try again later. (status 500)",
      ),
    );
    const asJson = await command(["status", "--json", ...options]);
    expect(JSON.parse(asJson.stderr)).toMatchObject({ error: { code: "keys_unavailable", reason: "status 500" } });
  });
});

describe("verify", () => {
  test("prints the identity as JSON, or code and reason", async () => {
    const { backend } = await start();
    const verify = (args: string[], stdin: string) =>
      command(["verify", ...args, "--base-url", backend.baseUrl], { stdin });
    for (const args of [[], ["-"]]) {
      const { exitCode, stdout } = await verify(args, `${mint()}\n`);
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ agentRuntimeId: "agent-1", email: "agent@example.com" });
    }
    expect(await verify([], mint({ aud: "x" }))).toEqual(
      failure("agent-identity-auth: audience_invalid: The token is for another audience."),
    );
    expect(await verify(["--json"], "x")).toEqual(
      failure('{"error":{"message":"The token is not a well-formed JWT.","code":"token_malformed"}}'),
    );
  });
});

test("doctor prints a line for each finding, and exits with 1 on a failure", async () => {
  const { backend, home, options } = await start();
  home.write(JSON.stringify({ auth_mode: "agentIdentity", agent_identity: mint() }));
  const good = await command(["doctor", ...options]);
  expect([good.exitCode, good.stderr]).toEqual([0, ""]);
  expect(good.stdout).toMatch(/^ok +keys +1 usable: "key-1"/m);
  backend.answer = (_req, res) => res.writeHead(404).end();
  const { exitCode, stdout, stderr } = await command(["doctor", "--json", ...options]);
  expect([exitCode, stderr]).toEqual([1, ""]);
  const { findings } = JSON.parse(stdout) as { findings: { level: string; about: string }[] };
  expect(findings.filter(({ level }) => level === "FAIL").map(({ about }) => about)).toEqual(["keys"]);
  for (const secret of [agentPrivateKey, "eyJ"]) expect(good.stdout + stdout).not.toContain(secret);
});

test("jwks-url prints where the keys are", async () => {
  const url = "https://chatgpt.com/backend-api/wham/agent-identities/jwks";
  expect(await command(["jwks-url", "https://chatgpt.com/codex"])).toEqual(success(url));
  expect(await command(["jwks-url", "https://chatgpt.com", "--json"])).toEqual(success(`{"jwksUrl":"${url}"}`));
});

test("serve runs a backend, prints what works as pasted, says who calls, and leaves nothing behind", async () => {
  const child = spawn(process.execPath, ["dist/cli.js", "serve", "--port", "0", "--account", "acct-1"]);
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  await expect.poll(() => output, { timeout: 10_000 }).toContain('"say hi"');
  const [variables = "", curl = ""] = [/^BASE=.*$/m, /^curl .*$/m].map((line) => line.exec(output)?.[0]);
  const shell = spawn("sh", ["-c", `${variables.replace(" ", "; ")}; ${curl}?secret --silent`]);
  expect(JSON.parse(await text(shell.stdout))).toMatchObject({ accountId: "acct-1", planType: "pro" });
  await expect
    .poll(() => output, { timeout: 10_000 })
    .toMatch(/GET \/backend-api\/whoami {2}agent-\S+ of acct-1 \(Bearer\)/);
  expect(output).not.toContain("secret");
  const [baseUrl = "", tokenFile = ""] = variables.replace("BASE=", "").split(" TOKEN_FILE=");
  expect((await fetch(`${baseUrl}/whoami`)).status).toBe(401);
  // All of 127.0.0.0/8 is this machine, where it is a machine of Linux: what listens on every address listens here too.
  await expect(fetch(baseUrl.replace("127.0.0.1", "127.0.0.2"))).rejects.toThrow();
  expect((statSync(tokenFile).mode & 0o777).toString(8)).toBe("600");
  expect(output).not.toContain(readFileSync(tokenFile, "utf8"));
  child.kill("SIGINT");
  expect(await once(child, "exit")).toEqual([0, null]);
  expect(existsSync(tokenFile)).toBe(false);
});

test("serve --store keeps keys and agents over a restart, or says what to install", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "agent-identity-auth-serve-")), "issuer.db");
  const start = async () => {
    const child = spawn(process.execPath, ["dist/cli.js", "serve", "--port", "0", "--store", file]);
    onTestFinished(() => void child.kill("SIGKILL"));
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    await expect.poll(() => output, { timeout: 10_000 }).toMatch(/say hi|npm install better-sqlite3/);
    const [, baseUrl, tokenFile] = /^BASE=(\S+) TOKEN_FILE=(\S+)$/m.exec(output) ?? [];
    return baseUrl === undefined ? undefined : { child, baseUrl, token: readFileSync(tokenFile ?? "", "utf8") };
  };
  const first = await start();
  if (first === undefined) return; // this Node has no driver, and the command has said what to install
  expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
  first.child.kill("SIGINT");
  await once(first.child, "exit");
  const second = await start();
  const answer = await fetch(`${second?.baseUrl ?? ""}/whoami`, {
    headers: { Authorization: `Bearer ${first.token}` },
  });
  expect(await answer.json()).toMatchObject({ agentRuntimeId: "agent-demo" });
});

test("--help says what each command reads and writes", async () => {
  const { exitCode, stdout, stderr } = await command(["--help"]);
  expect([exitCode, stderr]).toEqual([0, ""]);
  for (const name of ["login", "status", "logout", "verify", "doctor", "jwks-url", "serve"])
    expect(stdout).toContain(`  ${name}`);
});

describe("wrong usage is exit 2, and repeats no value of the command line", () => {
  const token = mint();
  test.each([
    [[], /the command is missing; commands: login, status, logout, verify, doctor, jwks-url, serve/],
    [["signin"], /unknown command signin; commands: login, /],
    [["logut"], /unknown command logut \(did you mean logout\?\); commands: /],
    [["constructor"], /unknown command constructor; /],
    [[token], /unknown command; /],
    [["sk-secret"], /unknown command; /],
    [["login", "--base-url", "http://localhost"], /either --with-access-token or --with-api-key/],
    [["login", "--with-api-key", "--with-access-token", "--base-url", "http://localhost"], /either/],
    [
      ["login", "--with-access-token", token, "--base-url", "http://localhost"],
      /takes no arguments, only options: --with/,
    ],
    [["login", `--with-access-token=${token}`], /--with-access-token takes no value; options of login: /],
    [["login", `-${token}`], /unknown option -e; options of login: /],
    [["login", `--${token}`], /unknown option; options of login: /],
    [["status"], /--base-url is missing/],
    [["status", "--base-url"], /--base-url needs a value; options of status: --base-url, --codex-home, --json, --help/],
    [["status", "--base-url", "--json=no"], /--base-url needs a value/],
    [["doctor"], /--base-url is missing/],
    [["doctor", "--base-url", ""], /--base-url is empty: is the environment variable set\?/],
    [["doctor", token, "--base-url", "http://localhost"], /doctor takes no arguments, only options: --base-url, /],
    [["status", "--base-url", "chatgpt.com"], /must be an absolute http\(s\) URL/],
    [["status", "--base-url", "https://user:secret@chatgpt.com"], /must not contain credentials/],
    [["verify", token, "--base-url", "http://localhost"], /standard input only/],
    [["verify", "--assertion", "--public-key", "{}"], /--assertion needs --explain and --public-key/],
    [["verify", "--explain", "--assertion"], /--assertion needs --explain and --public-key/],
    [["verify", "--explain", "--assertion", "--public-key", "secret"], /--public-key must be an Ed25519 public key/],
    [["verify", "--explain", "--assertion", "--public-key", "{}"], /--public-key must be an Ed25519 public key/],
    [["verify", "--token", token], /unknown option --token; options of verify: --base-url, /],
    [["verify", "--bsae-url", token], /unknown option --bsae-url \(did you mean --base-url\?\)/],
    [["jwks-url"], /takes one base URL/],
    [["jwks-url", "http://gw.example"], /plain http/],
    [["serve", "--port", "http"], /--port must be an integer of 0 to 65535/],
  ])("%j", async (args, message) => {
    const { exitCode, stdout, stderr } = await command(args);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(stderr).not.toMatch(/secret|eyJ/);
  });
});

test("neither token nor private key is in any output, nor in any file but auth.json", async () => {
  const { backend, home, options } = await start();
  const token = mint();
  const runs = [
    await command(["login", "--with-access-token", ...options], { stdin: token }),
    await command(["status", ...options]),
    await command(["status", "--json", ...options]),
    await command(["verify", ...options], { stdin: token }),
    await command(["verify", ...options], { stdin: `${token}x` }),
    await command(["verify", token, ...options]),
    await command(["login", "--with-access-token", ...options], { stdin: mint({ exp: 1 }) }),
  ];
  home.write(`{"auth_mode":"agentIdentity","agent_identity":"${token}"`);
  runs.push(await command(["status", ...options]));
  backend.answer = (_req, res) => res.writeHead(500).end();
  runs.push(await command(["login", "--with-access-token", ...options], { stdin: token }));
  const output = JSON.stringify(runs);
  expect(output).toContain("auth_file_invalid");
  const files = readdirSync(home.codexHome, { recursive: true, encoding: "utf8" }).filter(
    (name) => name !== "auth.json",
  );
  const contents = files.map((name) => readFileSync(join(home.codexHome, name), "utf8")).join();
  for (const secret of [token, agentPrivateKey, token.split(".")[1] ?? ""]) {
    expect(output).not.toContain(secret);
    expect(contents).not.toContain(secret);
  }
});
