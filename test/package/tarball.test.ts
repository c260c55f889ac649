import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-package-"));
const manifest = JSON.parse(readFileSync("package.json", "utf8")) as { exports: Record<string, unknown> };
const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json");
const specifiers = subpaths.map((subpath) => `agent-identity-auth${subpath.slice(1)}`);
let tarball = "";

/** What is in the package, apart from the compiled modules of `src`. */
const FILES = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "package.json"];

/** Each consumer project, and what it has beside this package. */
const CONSUMER_PACKAGES = {
  bare: [],
  express: ["@types/express", "express"],
  koa: ["@types/koa", "koa"],
};

beforeAll(async () => {
  await run("npm", ["pack", "--pack-destination", directory]);
  tarball = join(directory, readdirSync(directory).find((name) => name.endsWith(".tgz")) ?? "");
  for (const [consumer, packages] of Object.entries(CONSUMER_PACKAGES)) await install(consumer, packages);
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function install(consumer: string, wanted: string[]): Promise<void> {
  const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const prefix = join(directory, consumer);
  const packages = ["@types/node", ...wanted].map((name) => `${name}@${devDependencies[name] ?? ""}`);
  await run("npm", [
    "install",
    "--prefix",
    prefix,
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    tarball,
    ...packages,
  ]);
}

test("the tarball holds the compiled modules and nothing else", async () => {
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

describe.each(specifiers)("%s", (specifier) => {
  test.each(Object.keys(CONSUMER_PACKAGES))(
    "is imported and required in the consumer project: %s",
    async (consumer) => {
      const cwd = join(directory, consumer);
      const print = "console.log(Object.keys(m).sort().join())";
      const imported = await run("node", ["--input-type=module", "-e", `import * as m from "${specifier}"; ${print}`], {
        cwd,
      });
      const required = await run("node", ["--no-warnings", "-e", `const m = require("${specifier}"); ${print}`], {
        cwd,
      });
      expect(imported.stdout.trim()).not.toBe("");
      expect(
        required.stdout
          .trim()
          .split(",")
          .filter((name) => name !== "__esModule")
          .join(),
      ).toBe(imported.stdout.trim());
    },
  );
});

const CONSUMERS: Record<keyof typeof CONSUMER_PACKAGES, string> = {
  bare: specifiers
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
};

const MODULES = [
  ["nodenext", ["--module", "nodenext"]],
  ["bundler", ["--module", "esnext", "--moduleResolution", "bundler"]],
] as const;

const compilations = Object.entries(CONSUMERS).flatMap(([consumer, code]) =>
  MODULES.map(([resolution, moduleOptions]) => ({ consumer, code, resolution, moduleOptions })),
);

test.each(compilations)("a consumer compiles: $consumer, $resolution", async ({ consumer, code, moduleOptions }) => {
  const cwd = join(directory, consumer);
  writeFileSync(join(cwd, "consumer.ts"), code);
  const options = ["--noEmit", "--strict", ...moduleOptions, "--target", "es2022", "--types", "node"];
  await run(
    process.execPath,
    [resolve("node_modules/typescript/bin/tsc"), "--ignoreConfig", ...options, "consumer.ts"],
    { cwd },
  );
});
