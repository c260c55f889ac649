import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { createCodexHome } from "../support/homes.js";
import { mint } from "../support/agents.js";
import { startBackend } from "../support/servers.js";
import { expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);
const readme = readFileSync("README.md", "utf8");
const blocks = [...readme.matchAll(/```ts\n([^]*?)```/g)].map(([, code = ""]) => code);

/** A module in the package's own tree, where its name resolves to its build. */
function writeModule(code: string): string {
  const directory = mkdtempSync(join("test", "package", ".readme-"));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, "block.ts");
  writeFileSync(file, code);
  return file;
}

test("the first code block is within the first ten lines", () => {
  expect(readme.split("\n").findIndex((line) => line.startsWith("```ts"))).toBeLessThan(10);
});

/** Type-checks it as a consumer would, and starts it with ports, URLs and paths of this test. */
async function start(code: string, replacements: Record<string, string>) {
  const texts = Object.entries(replacements);
  const file = writeModule(texts.reduce((text, [from, to]) => text.replaceAll(from, to), code));
  const options = [
    "--noEmit",
    "--strict",
    "--module",
    "nodenext",
    "--target",
    "es2023",
    "--types",
    "node",
    "--skipLibCheck",
  ];
  await run(process.execPath, ["node_modules/typescript/bin/tsc", "--ignoreConfig", ...options, file]);
  const child = spawn(process.execPath, ["--import", "tsx", file], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, TOKEN: mint() },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

const isServer = (code: string): boolean => /app\.listen\(|\bserve\(/.test(code);
const servers = blocks.filter(isServer);
const scripts = blocks.filter((code) => !isServer(code));

test.each(servers)("type-checks and serves:\n%s", async (code) => {
  const port = String(await freePort());
  await start(code, {
    "listen(3000)": `listen(${port}, "127.0.0.1")`,
    "port: 3000": `port: ${port}, ${code.includes("serve(") ? "hostname" : "host"}: "127.0.0.1"`,
    "8080": port,
    "tasks.example": "127.0.0.1",
  });
  const [method, path] = code.includes('app.post("/mcp"')
    ? ["POST", "/mcp"]
    : ["GET", code.includes("issuer.router") ? "/backend-api/whoami" : "/tasks"];
  const answer = await answerOf(`http://127.0.0.1:${port}${path}`, method);
  expect(answer.status).toBe(401);
  expect(await answer.json()).toMatchObject({ error: { code: "credentials_missing" } });
});

test.each(scripts)("type-checks and runs:\n%s", async (code) => {
  const backend = await startBackend();
  const requested: (string | undefined)[] = [];
  backend.server.on("request", ({ url }) => requested.push(url));
  const { codexHome } = createCodexHome();
  const child = await start(code, { "http://127.0.0.1:8080": backend.url, "/var/lib/agent": codexHome });
  expect(await once(child, "exit")).toEqual([0, null]);
  if (code.includes("127.0.0.1:8080")) expect(requested).toContain("/backend-api/tasks");
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** Asks until the server listens; the test's time limit ends it. */
async function answerOf(url: string, method: string): Promise<Response> {
  for (;;) {
    try {
      return await fetch(url, { method });
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
