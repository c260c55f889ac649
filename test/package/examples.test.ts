import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { loadAuth, loginWithAccessToken } from "../../src/login.js";
import { createCodexHome } from "../support/homes.js";
import { redisIsInstalled, startRedis } from "../support/redis.js";

const run = promisify(execFile);

/** Every file that a test of this file has started. */
const started = new Set<string>();

/** In a process of its own, with a directory of its own for temporary files. */
function start(file: string, { args = [], env = {} }: { args?: string[]; env?: Record<string, string> } = {}) {
  started.add(file);
  const temporary = mkdtempSync(join(tmpdir(), "agent-identity-auth-examples-"));
  const child = spawn(process.execPath, ["--import", "tsx", file, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, FORCE_COLOR: "0", PORT: "0", TMPDIR: temporary, ...env },
  });
  const ended = once(child, "close");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
    rmSync(temporary, { recursive: true });
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  }

  return {
    async prints(pattern: RegExp): Promise<string> {
      await expect.poll(() => output, { timeout: 60_000 }).toMatch(pattern);
      return output;
    },
    /** All that it printed, once it has ended: with this exit code, and nothing of its own left in the file system. */
    async ends(exitCode = 0): Promise<string> {
      expect(await ended, output).toEqual([exitCode, null]);
      expect(readdirSync(temporary).filter((name) => !name.startsWith("tsx-"))).toEqual([]);
      return output;
    },
    ctrlC: () => child.kill("SIGINT"),
  };
}

/** The answer to a line that was printed to be pasted. */
async function paste(line: string): Promise<string> {
  return (await run("sh", ["-c", `${line} --silent`])).stdout;
}

const curlLines = (output: string): string[] => output.match(/curl .*/g) ?? [];
const headerFileOf = (line: string): string => /@(\S+)/.exec(line)?.[1] ?? "";
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

/** All of 127.0.0.0/8 is this machine: a server that listens everywhere would answer at another address of it, too. */
async function expectOnlyOnLoopback(output: string): Promise<void> {
  const urls = new Set(output.match(/http:\/\/127\.0\.0\.1:\d+/g));
  expect(urls.size).toBeGreaterThan(0);
  for (const url of urls) {
    expect((await fetch(url)).status).toBeGreaterThan(0);
    await expect(fetch(url.replace("127.0.0.1", "127.0.0.2"))).rejects.toThrow("fetch failed");
  }
}

/** A port that somebody listens on until the test ends. */
async function takePort(): Promise<string> {
  const occupant = createServer().listen(0, "127.0.0.1");
  await once(occupant, "listening");
  onTestFinished(() => void occupant.close());
  return String((occupant.address() as AddressInfo).port);
}

test("npm start -- --once makes three calls and exits 0", async () => {
  const output = await start("scripts/try.ts", { args: ["--once"] }).ends();
  expect(output.match(/as it should be/g)).toHaveLength(3);
  expect(output).not.toContain("WRONG");
  expect(output).toMatch(/200 OK[^]+401 Unauthorized[^]+403 Forbidden/);
});

test("npm start: its curl lines work as pasted; it takes another port if need be, and Ctrl-C ends it cleanly", async () => {
  const taken = await takePort();
  const demonstration = start("scripts/try.ts", { env: { PORT: taken } });
  const output = await demonstration.prints(/Ctrl-C ends it\.\n/);
  expect(output).toContain(`Port ${taken} is taken: taking another.`);
  await expectOnlyOnLoopback(output);

  const answers = await Promise.all(curlLines(output).map(paste));
  expect(answers.map((answer) => answer.slice(0, 12))).toEqual(["HTTP/1.1 200", "HTTP/1.1 401", "HTTP/1.1 403"]);

  demonstration.ctrlC();
  await demonstration.ends();
});

test("npm start is that", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
  expect(scripts["start"]).toBe("npm run --silent build && tsx scripts/try.ts");
});

const SERVERS = ["express", "fastify", "hono", "koa", "mcp-server", "node-http"];

test.each(SERVERS)(
  "examples/%s.ts: its curl lines get in, no one without the token does, and Ctrl-C ends it cleanly",
  async (name) => {
    const example = start(`examples/${name}.ts`);
    const output = await example.prints(/http:\/\/\S+\n/);
    await expectOnlyOnLoopback(output);
    for (const line of curlLines(output)) {
      const headerFile = headerFileOf(line);
      expect(modeOf(headerFile)).toBe("600");
      expect(await paste(line)).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*\bagent-[0-9a-f-]{36}\b/);
      expect(await paste(line.replace(`-H @${headerFile}`, ""))).toMatch(
        /^HTTP\/1.1 401 Unauthorized\r\n[^]*"code":"credentials_missing"/,
      );
    }
    example.ctrlC();
    await example.ends();
  },
);

test("examples/rate-limit.ts: the sixth request of an agent in a minute is 429", async () => {
  const [line = ""] = curlLines(await start("examples/rate-limit.ts").prints(/http:\/\/\S+\n/));
  const statuses = [];
  for (let i = 0; i < 6; i++) statuses.push(/^HTTP\/1.1 (\d+)/.exec(await paste(line))?.[1]);
  expect(statuses).toEqual(["200", "200", "200", "200", "200", "429"]);
});

test("examples/people-and-agents.ts: each kind of credentials has its judge, and a 401 names both", async () => {
  const output = await start("examples/people-and-agents.ts").prints(/http:\/\/\S+\n/);
  const url = /http:\S+/.exec(output)?.[0] ?? "";
  const ask = (authorization: string) => fetch(url, { headers: { authorization } });
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
  expect(await (await ask(basic("ann:correct horse"))).json()).toEqual({ caller: "ann" });
  const both = 'Bearer realm="agent-identity", Basic realm="people"';
  expect((await fetch(url)).headers.get("www-authenticate")).toBe(both);
  expect((await ask(basic("ann:wrong"))).headers.get("www-authenticate")).toBe(both);
  const badToken = await ask("Bearer abc");
  expect([badToken.status, badToken.headers.get("www-authenticate")]).toEqual([
    401,
    expect.stringMatching(/^Bearer .*error="invalid_token"/),
  ]);
});

test("examples/reverse-proxy.ts: a caller cannot say who it is, and the service sees no token", async () => {
  const [line = ""] = curlLines(await start("examples/reverse-proxy.ts").prints(/http:\/\/\S+\n/));
  const forged = ["X-Agent-Id: somebody", "X_Agent_Id: somebody", "x-agent-id: somebody"];
  for (const header of forged) {
    const answer = await paste(line.replace("curl ", `curl -H '${header}' `));
    expect(answer).toMatch(/\{"agent":"agent-[0-9a-f-]{36}"\}$/);
  }
});

test("examples/prometheus.ts: serves its metrics", async () => {
  const output = await start("examples/prometheus.ts").prints(/metrics at http:\/\/\S+\n/);
  const metrics = await (await fetch(/http:\S+/.exec(output)?.[0] ?? "")).text();
  expect(metrics).toContain("# TYPE agent_identity_verification_duration_seconds histogram");
});

test("examples/web-socket.ts: an agent gets its connection, and others a 401 on the socket", async () => {
  const output = await start("examples/web-socket.ts").prints(/ws:\/\/\S+\n/);
  const [, headerFile = "", url = ""] = /header of (\S+) to (\S+)/.exec(output) ?? [];
  const [, authorization = ""] = /^Authorization: (.*)$/m.exec(readFileSync(headerFile, "utf8")) ?? [];
  const client = new WebSocket(url, { headers: { authorization } });
  const [message] = (await once(client, "message")) as [Buffer];
  expect(message.toString()).toMatch(/^hello, agent-[0-9a-f-]{36}$/);
  client.close();
  const stranger = new WebSocket(url);
  const [, response] = (await once(stranger, "unexpected-response")) as [unknown, IncomingMessage];
  expect([response.statusCode, response.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="agent-identity"']);
  response.destroy();
});

test.each(["express", "fastify"])("examples/%s.ts: /admin is for another workspace", async (name) => {
  const output = await start(`examples/${name}.ts`).prints(/http:\/\/\S+\n/);
  const [line = ""] = curlLines(output);
  expect(await paste(line.replace("/tasks", "/admin"))).toMatch(
    /^HTTP\/1.1 403 Forbidden\r\n[^]*"code":"workspace_not_allowed"/,
  );
});

test.each(["express", "fastify", "hono"])("examples/%s.ts: says so if its port is taken", async (name) => {
  const taken = await takePort();
  const output = await start(`examples/${name}.ts`, { env: { PORT: taken } }).ends(1);
  expect(output).toContain(`listen EADDRINUSE: address already in use 127.0.0.1:${taken}`);
});

test("examples/codex-backend.ts: an agent signs in to it, has a turn, and is named", async () => {
  const example = start("examples/codex-backend.ts");
  const output = await example.prints(/^BASE=\S+ TOKEN_FILE=\S+\n/m);
  await expectOnlyOnLoopback(output);
  const [, chatgptBaseUrl = "", tokenFile = ""] = /BASE=(\S+) TOKEN_FILE=(\S+)/.exec(output) ?? [];
  expect(modeOf(tokenFile)).toBe("600");

  const config = { chatgptBaseUrl, codexHome: createCodexHome().codexHome, env: {} };
  const { agentRuntimeId } = await loginWithAccessToken(config, readFileSync(tokenFile, "utf8"));
  const auth = await loadAuth(config);
  if (auth?.mode !== "agentIdentity") throw new Error("not signed in");
  await auth.registerTask();
  const request = { method: "POST", headers: auth.authorizationHeaders() };
  const turn = await fetch(`${chatgptBaseUrl}/codex/responses`, request);
  expect(turn.status).toBe(200);
  expect(await turn.text()).toContain("Hello from your own backend.");
  const log = await example.prints(/^POST \/backend-api\/codex\/responses \{[^]*?^\}/m);
  expect(log).toContain(`agentRuntimeId: '${agentRuntimeId}'`);
  expect(log).toMatch(/accountId: 'acct-1'[^]*taskId: 'task-/);

  const stranger = await fetch(`${chatgptBaseUrl}/codex/responses`, { method: "POST" });
  expect(stranger.status).toBe(401);
  expect(await stranger.json()).toMatchObject({ error: { code: "credentials_missing" } });
  example.ctrlC();
  await example.ends();
});

test("examples/login.ts: signs in, is known to the API by its assertion, and signs out", async () => {
  const output = await start("examples/login.ts", { env: { CODEX_API_KEY: "sk-of-this-shell" } }).ends();
  expect(output).toMatch(
    /^Logged in using access token\nThe API knows: \{\n {2}agentRuntimeId: 'agent-[0-9a-f-]{36}',\n {2}accountId: 'acct-1',\n[^]*taskId: 'task-[^]*\}\nNot logged in\n$/,
  );
});

test("examples/testing-your-routes.ts: its tests pass", async () => {
  const output = await start("examples/testing-your-routes.ts").ends();
  expect(output).toMatch(/^\S+ pass 5$/m);
  expect(output).toMatch(/^\S+ fail 0$/m);
});

test.skipIf(!redisIsInstalled)(
  "examples/fleet.ts: every process serves, two of which never saw the backend",
  async () => {
    const example = start("examples/fleet.ts", { env: { REDIS_URL: await startRedis() } });
    const output = await example.prints(/http:\/\/\S+\n/);
    const processes = [...output.matchAll(/^process (\d+) has the keys, the backend being (up|down)$/gm)];
    expect(processes.map(([, , state]) => state)).toEqual(["up", "down", "down"]);
    await expectOnlyOnLoopback(output);

    const [line = ""] = curlLines(output);
    const answeredBy = new Set<string | undefined>();
    for (let request = 1; request <= 9; request++) {
      const [, pid] =
        /^HTTP\/1.1 200 OK\r\n[^]*\{"process":(\d+),"agent":"agent-[0-9a-f-]{36}"\}$/.exec(await paste(line)) ?? [];
      answeredBy.add(pid);
    }
    expect([...answeredBy].sort()).toEqual(processes.map(([, pid]) => pid).sort());
    expect(await paste(line.replace(/-H @\S+/, ""))).toMatch(/^HTTP\/1.1 401 Unauthorized\r\n/);
    example.ctrlC();
    await example.ends();
  },
);

test.skipIf(!redisIsInstalled)("examples/fleet.ts: ends if a process of it cannot start", async () => {
  const output = await start("examples/fleet.ts", { env: { REDIS_URL: "redis://127.0.0.1:1" } }).ends(1);
  expect(output).toContain("connect ECONNREFUSED 127.0.0.1:1\n");
});

/** What examples share. Folders have packages of their own: `test:recipes` is for them. */
const HELPERS = ["demo-agent.ts", "temporary-directory.ts", "nestjs", "next"];

test("every example is shorter than 40 lines, and was started by a test above", () => {
  const examples = readdirSync("examples").filter((name) => !HELPERS.includes(name));
  const lines = examples.map((name) => [name, readFileSync(`examples/${name}`, "utf8").trimEnd().split("\n").length]);
  expect(lines.filter(([, count]) => Number(count) >= 40)).toEqual([]);
  const unstarted = examples.filter((name) => !started.has(`examples/${name}`));
  expect(unstarted).toEqual(redisIsInstalled ? [] : ["fleet.ts"]);
});
