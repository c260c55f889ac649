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
const DOCS = readdirSync("docs").filter((name) => name.endsWith(".md"));
const FILES = [
  "CHANGELOG.md",
  "LICENSE",
  "README.md",
  "SECURITY.md",
  "package.json",
  ...DOCS.map((page) => `docs/${page}`),
];

/** Each consumer project, and what it has beside this package. */
const CONSUMER_PACKAGES = {
  bare: [],
  express: ["@types/express", "express"],
  koa: ["@types/koa", "koa"],
};

beforeAll(async () => {
  await run("npm", ["pack", "--pack-destination", directory]);
  tarball = join(directory, readdirSync(directory).find((name) => name.endsWith(".tgz")) ?? "");
  const { devDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as {
    devDependencies: Record<string, string>;
  };
  for (const [consumer, wanted] of Object.entries(CONSUMER_PACKAGES)) {
    const packages = ["@types/node", ...wanted].map((name) => `${name}@${devDependencies[name] ?? ""}`);
    await install(consumer, [tarball, ...packages]);
  }
  await install("typescript5", ["typescript@5.9.3"]);
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function install(project: string, packages: string[]): Promise<void> {
  const options = ["--prefer-offline", "--no-audit", "--no-fund"];
  await run("npm", ["install", "--prefix", join(directory, project), ...options, ...packages]);
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

const COMPILERS = {
  "TypeScript 5.9": join(directory, "typescript5/node_modules/typescript/bin/tsc"),
  "this TypeScript": resolve("node_modules/typescript/bin/tsc"),
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
  { compiler: "TypeScript 5.9", setting: "--module nodenext", file: "consumer.mts" },
  { compiler: "TypeScript 5.9", setting: "--module nodenext", file: "consumer.ts" },
  { compiler: "this TypeScript", setting: "--module commonjs", file: "consumer.ts" },
  { compiler: "this TypeScript", setting: "--module nodenext", file: "consumer.mts" },
  { compiler: "this TypeScript", setting: "--module esnext --moduleResolution bundler", file: "consumer.ts" },
];

/** Enough for the types of a framework: these are found in all settings, or in none. */
const SETTINGS_OF_FRAMEWORKS = SETTINGS.filter(
  ({ compiler, setting, file }) =>
    (compiler === "TypeScript 5.9" && setting === "--module commonjs") ||
    (compiler === "this TypeScript" && file === "consumer.mts"),
);

const compilations = Object.keys(CONSUMERS).flatMap((consumer) =>
  (consumer === "bare" ? SETTINGS : SETTINGS_OF_FRAMEWORKS).map((setting) => ({ consumer, ...setting })),
);

/** @returns what the compiler prints; "" if it finds nothing */
async function compile(consumer: string, { compiler, setting, file }: Setting): Promise<string> {
  const folder = mkdtempSync(join(directory, consumer, "compile-"));
  writeFileSync(join(folder, file), CONSUMERS[consumer as keyof typeof CONSUMERS]);
  const options = "--noEmit --strict --skipLibCheck false --esModuleInterop --target es2022 --lib es2022 --types node";
  const args = [COMPILERS[compiler], ...options.split(" "), ...setting.split(" "), file];
  return run(process.execPath, args, { cwd: folder }).then(
    () => "",
    (error: unknown) => (error as { stdout: string }).stdout,
  );
}

test.concurrent.for(compilations)(
  "a consumer compiles: $consumer, with $compiler, $setting, from $file",
  async ({ consumer, ...setting }, { expect }) => {
    expect(await compile(consumer, setting)).toBe("");
  },
);

test("with node16, which does not know that Node can require an ES module, a CommonJS file is refused", async () => {
  const setting = { compiler: "TypeScript 5.9", setting: "--module node16", file: "consumer.ts" } as const;
  const printed = await compile("bare", setting);
  expect(printed.match(/error TS\d+/g)).toEqual(specifiers.map(() => "error TS1479"));
});
