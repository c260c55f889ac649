import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-package-"));
const manifest = JSON.parse(readFileSync("package.json", "utf8")) as { exports: Record<string, unknown> };
const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json");
const specifiers = subpaths.map((subpath) => `agent-identity-auth${subpath.slice(1)}`);
/** Those that need no framework to be installed. */
const bareSpecifiers = specifiers.filter((specifier) => !/\/(fastify|hono|otel)$/.test(specifier));
let tarball = "";

const committed = execFileSync("git", ["ls-files"], { encoding: "utf8" }).split("\n");

/** What is in the package, apart from the compiled modules of `src`. */
const FILES = [
  "CHANGELOG.md",
  "LICENSE",
  "README.md",
  "SECURITY.md",
  "package.json",
  "docs/alerts.yml",
  "bench/chart.svg",
  ...committed.filter((file) => /^(docs|bench)\/[^/]*\.md$/.test(file)),
  ...committed.filter((file) => /^examples\/.*\.(ts|js|json)$/.test(file) && !file.endsWith("/package-lock.json")),
];

/** Consumer projects, and the packages that they have beside this one. */
const PROJECTS = {
  bare: ["@types/node"],
  frameworks: [
    "@opentelemetry/api",
    "@types/express",
    "@types/koa",
    "@types/node",
    "express",
    "fastify",
    "hono",
    "koa",
  ],
};

beforeAll(async () => {
  await run("npm", ["pack", "--pack-destination", directory]);
  tarball = join(directory, readdirSync(directory).find((name) => name.endsWith(".tgz")) ?? "");
  const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const installing = Object.entries(PROJECTS).map(([project, names]) => {
    const packages = names.map((name) => `${name}@${devDependencies[name] ?? ""}`);
    const options = ["--prefer-offline", "--no-audit", "--no-fund"];
    return run("npm", ["install", "--prefix", join(directory, project), ...options, tarball, ...packages]);
  });
  await Promise.all(installing);
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

test("the tarball holds the compiled modules, the pages and the examples, and nothing else", async () => {
  const { stdout } = await run("tar", ["-tzf", tarball]);
  const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const compiled = sources.flatMap((name) => [".js", ".d.ts"].map((ending) => `dist/${name.slice(0, -3)}${ending}`));
  const packed = stdout
    .trim()
    .split("\n")
    .map((name) => name.replace("package/", ""));
  expect(packed.sort()).toEqual([...compiled, ...FILES].sort());
});

test("every file directly in src is an entry point, and the other way round", () => {
  const files = readdirSync("src")
    .filter((name) => name.endsWith(".ts"))
    .map((name) => name.slice(0, -3));
  const commands = ["cli"];
  const entries = subpaths.map((subpath) => (subpath === "." ? "index" : subpath.slice(2)));
  expect(files.filter((name) => !commands.includes(name)).sort()).toEqual(entries.sort());
});

test("publint and attw find nothing", async () => {
  await run("npx", ["publint", "run", "--strict", tarball]);
  await run("npx", ["attw", "--profile", "esm-only", tarball]);
});

test("the command runs through npx", async () => {
  const cwd = join(directory, "bare");
  const { stdout } = await run("npx", ["--no", "agent-identity-auth", "jwks-url", "https://gw.example/codex"], { cwd });
  expect(stdout).toBe("https://gw.example/api/codex/agent-identities/jwks\n");
});

test.each(specifiers)("%s is imported and required", async (specifier) => {
  const cwd = join(directory, bareSpecifiers.includes(specifier) ? "bare" : "frameworks");
  const print = 'console.log(Object.keys(m).filter((name) => name !== "__esModule").sort().join())';
  const evaluate = (...args: string[]) => run("node", ["--no-warnings", ...args], { cwd });
  const imported = await evaluate("--input-type=module", "-e", `import * as m from "${specifier}"; ${print}`);
  const required = await evaluate("-e", `const m = require("${specifier}"); ${print}`);
  expect(imported.stdout).toMatch(/^\w+/);
  expect(required.stdout).toBe(imported.stdout);
});

const CONSUMERS = {
  bare: bareSpecifiers
    .map((specifier, i) => `import * as m${String(i)} from "${specifier}"; void m${String(i)};`)
    .join("\n"),
  express: `
    import express from "express";
    import { agentIdentityAuth, agentIdentityErrorHandler } from "agent-identity-auth";
    const agents = agentIdentityAuth("https://chatgpt.com/backend-api");
    const app = express();
    app.get("/", agents, (req, res) => void res.json(req.agentIdentity?.accountId.toUpperCase()));
    app.use(agents.restrictTo({ forcedLoginMethod: "chatgpt" }), agentIdentityErrorHandler());
    // @ts-expect-error -- the identity is optional
    app.get("/", (req, res) => void res.json(req.agentIdentity.accountId));
  `,
  koa: `
    import Koa from "koa";
    import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityState } from "agent-identity-auth/koa";
    const agents = agentIdentityAuth("https://chatgpt.com/backend-api");
    const app = new Koa<AgentIdentityState>();
    app.use(agentIdentityErrorHandler()).use(agents.restrictTo({ forcedLoginMethod: "chatgpt" }));
    app.use((ctx) => void (ctx.body = ctx.state.agentIdentity?.accountId.toUpperCase()));
    // @ts-expect-error -- the identity is optional
    app.use((ctx) => void (ctx.body = ctx.state.agentIdentity.accountId));
  `,
  hono: `
    import { Hono } from "hono";
    import { agentIdentityAuth, agentOf } from "agent-identity-auth/hono";
    const app = new Hono();
    const agents = agentIdentityAuth("https://chatgpt.com/backend-api");
    app.get("/a", agents, (c) => c.text(c.var.agentIdentity.accountId.toUpperCase() + agentOf(c).accountId));
    const optional = agentIdentityAuth("https://chatgpt.com/backend-api", { credentialsRequired: false });
    // @ts-expect-error -- the identity is optional
    app.get("/b", optional, (c) => c.text(c.var.agentIdentity.accountId));
    app.get("/c", agents.restrictTo({ forcedLoginMethod: "api" }), (c) => c.text(c.var.agentIdentity.accountId));
  `,
  fastify: `
    import Fastify from "fastify";
    import { agentIdentityAuth, agentIdentityErrorHandler, agentOf } from "agent-identity-auth/fastify";
    const app = Fastify();
    app.setErrorHandler(agentIdentityErrorHandler());
    void app.register(agentIdentityAuth, { baseUrl: "https://chatgpt.com/backend-api" });
    app.get("/a", { onRequest: app.agents }, (request) => agentOf(request).accountId.toUpperCase());
    app.get("/b", { onRequest: app.agents.require(({ planType }) => planType === "pro") }, (request) => request.agentIdentity?.accountId);
    // @ts-expect-error -- the identity is optional
    app.get("/c", { onRequest: app.agents }, (request) => request.agentIdentity.accountId);
  `,
};

const COMPILERS = {
  "TypeScript 5.9": resolve("node_modules/typescript5/bin/tsc"),
  "TypeScript 7": resolve("node_modules/typescript7/bin/tsc"),
};

interface Setting {
  readonly compiler: keyof typeof COMPILERS;
  readonly setting: string;
  /** `.ts` is a CommonJS file here (the project's package.json has no `type`), and `.mts` an ES module. */
  readonly file: "consumer.ts" | "consumer.mts";
}

/** All ways in which TypeScript finds an entry point. */
const SETTINGS: Setting[] = [
  { compiler: "TypeScript 5.9", setting: "--module commonjs", file: "consumer.ts" },
  { compiler: "TypeScript 5.9", setting: "--module esnext --moduleResolution node10", file: "consumer.ts" },
  { compiler: "TypeScript 5.9", setting: "--module esnext --moduleResolution bundler", file: "consumer.ts" },
  { compiler: "TypeScript 5.9", setting: "--module node16", file: "consumer.mts" },
  { compiler: "TypeScript 5.9", setting: "--module nodenext", file: "consumer.ts" },
  { compiler: "TypeScript 7", setting: "--module nodenext", file: "consumer.mts" },
  { compiler: "TypeScript 7", setting: "--module esnext --moduleResolution bundler", file: "consumer.ts" },
];

const compilations = Object.keys(CONSUMERS).flatMap((consumer) =>
  // The types of a framework are found with all settings, or with none.
  SETTINGS.filter(
    ({ compiler, file }) => consumer === "bare" || (compiler === "TypeScript 7" && file === "consumer.mts"),
  ).map((setting) => ({ consumer, ...setting })),
);

/** @returns what the compiler prints; "" if it finds nothing */
async function compile(consumer: string, { compiler, setting, file }: Setting): Promise<string> {
  const project = consumer === "bare" ? "bare" : "frameworks";
  const folder = mkdtempSync(join(directory, project, "compile-"));
  writeFileSync(join(folder, file), CONSUMERS[consumer as keyof typeof CONSUMERS]);
  const options = "--noEmit --strict --esModuleInterop --target es2022 --lib es2022 --types node";
  // Our declarations are checked whole by each compiler once; the types of frameworks are not ours to check.
  const ownTypes = `--skipLibCheck ${String(consumer !== "bare" || !setting.includes("nodenext"))}`;
  const args = [COMPILERS[compiler], ...`${options} ${ownTypes} ${setting}`.split(" "), file];
  return run(process.execPath, args, { cwd: folder }).then(
    () => "",
    (error: unknown) => (error as { stdout: string }).stdout,
  );
}

test.for(compilations)(
  "a consumer compiles: $consumer, with $compiler, $setting, from $file",
  async ({ consumer, ...setting }) => {
    expect(await compile(consumer, setting)).toBe("");
  },
);

test.each([
  ["fetch", "{}"],
  ["hono", "{}"],
  ["mcp", '{ resource: "https://mcp.example/mcp" }'],
])("a consumer of /%s compiles without the types of Node, and checks ours", async (entry, options) => {
  const folder = mkdtempSync(join(directory, "frameworks", "compile-"));
  writeFileSync(
    join(folder, "consumer.mts"),
    `import { agentIdentityAuth, AgentIdentityError } from "agent-identity-auth/${entry}";
       const agents = agentIdentityAuth("https://chatgpt.com/backend-api", ${options});
       void agents.ready().catch((error: unknown) => error instanceof AgentIdentityError && error.code);`,
  );
  const flags = "--noEmit --strict --target es2022 --lib es2022,dom --typeRoots nowhere --module nodenext";
  const args = [COMPILERS["TypeScript 5.9"], ...flags.split(" "), "consumer.mts"];
  const printed = await run(process.execPath, args, { cwd: folder }).then(
    () => "",
    (error: unknown) => (error as { stdout: string }).stdout,
  );
  expect(printed).toBe("");
});

test("with node16, which does not know that Node can require an ES module, a CommonJS file is refused", async () => {
  const setting = { compiler: "TypeScript 5.9", setting: "--module node16", file: "consumer.ts" } as const;
  const printed = await compile("bare", setting);
  expect(printed.match(/error TS\d+/g)).toEqual(bareSpecifiers.map(() => "error TS1479"));
});
