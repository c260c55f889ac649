/**
 * `npm run test:environments`: the same requests in processes in which much is not as usual, and a grid of the verdicts.
 * `-- --node 24` runs the children on another release, from the npm package `node`; `-- --only Promise` those rows alone.
 * PACKAGE is the folder of the package to test; default: this checkout, built.
 */

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { POLLUTED_NAMES } from "./children/prepare.js";
import { createEnvironments, type Environment } from "./environments.js";
import { createRows, drive, isForVerifier, keys, type Counts } from "./requests.js";

const AT_ONCE = 2;
const START_TIMEOUT = 60_000;

const here = import.meta.dirname;
const packageRoot = resolve(process.env["PACKAGE"] ?? join(here, "../.."));
const { values: options } = parseArgs({ options: { node: { type: "string" }, only: { type: "string" } } });
const node = options.node === undefined ? process.execPath : findNode(options.node);
const release = Number(execFileSync(node, ["-p", "process.versions.node"], { encoding: "utf8" }).split(".")[0]);
const work = mkdtempSync(join(tmpdir(), "agent-identity-auth-environments-"));
process.once("exit", () => {
  rmSync(work, { recursive: true, force: true });
});

installPackage();
await checkPollutedNames();
const backend = createServer((req, res) => {
  const keySets: Record<string, object> = {
    "/backend-api/wham/agent-identities/jwks": keys.jwks,
    "/attacker": keys.attackerJwks,
  };
  const keySet = keySets[req.url ?? ""];
  res.writeHead(keySet ? 200 : 404, { "Content-Type": "application/json", "Cache-Control": "max-age=60" });
  res.end(JSON.stringify(keySet));
}).listen(0, "127.0.0.1");
await once(backend, "listening");
const backendUrl = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`;

interface Result extends Counts {
  dead: number;
  /** What construction threw, by framework. */
  thrown: string[];
}

const environments = createEnvironments(release).filter(({ row }) => row.includes(options.only ?? ""));
if (environments.length === 0) throw new Error("no such environment");
const results = new Map<Environment, Result>();
const waiting = [...environments];
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) results.set(next, await run(next));
  }),
);
backend.close();
report();

/** As a user has it: in `node_modules`, beside its own dependencies. */
function installPackage(): void {
  const installed = join(here, "node_modules/agent-identity-auth");
  if (!existsSync(join(packageRoot, "dist/index.js"))) throw new Error(`${packageRoot} is not built: npm run build`);
  rmSync(installed, { recursive: true, force: true });
  mkdirSync(installed, { recursive: true });
  cpSync(join(packageRoot, "dist"), join(installed, "dist"), { recursive: true });
  cpSync(join(packageRoot, "package.json"), join(installed, "package.json"));
  symlinkSync(join(packageRoot, "node_modules"), join(installed, "node_modules"));
}

/** A new option is polluted too: the package itself lists what there is. */
async function checkPollutedNames(): Promise<void> {
  const index = join(here, "node_modules/agent-identity-auth/dist/index.js");
  const { agentIdentityAuth } = (await import(pathToFileURL(index).href)) as {
    agentIdentityAuth: (baseUrl: string, options: object) => unknown;
  };
  const messages = [{ "": 1 }, { jwks: { "": 1 } }, { tokenCache: { "": 1 } }].map((options) => {
    try {
      return String(agentIdentityAuth("https://gw.example", options));
    } catch (error) {
      return (error as Error).message;
    }
  });
  const names = messages.flatMap((message) => message.split("the options are ")[1]?.split(", ") ?? []);
  const missing = names.filter((name) => !POLLUTED_NAMES.includes(name));
  if (names.length < 10 || missing.length > 0) throw new Error(`not polluted: ${missing.join()} of ${names.join()}`);
}

function findNode(version: string): string {
  const command = ["--yes", "--package", `node@${version}`, "--", "node", "-p", "process.execPath"];
  return execFileSync("npx", command, { encoding: "utf8" }).trim();
}

async function run(environment: Environment): Promise<Result> {
  const folder = mkdtempSync(join(work, "child-"));
  const reportFile = join(folder, "report.json");
  const faultsFile = join(folder, "faults");
  const now = environment.now ?? Math.floor(Date.now() / 1000);
  const rows = createRows(now);
  const material = {
    ...environment,
    ...{ reportFile, now },
    baseUrl: `${environment.isMocked ? "https://keys.example" : backendUrl}/backend-api`,
    attackerJwksUrl: `${backendUrl}/attacker`,
    keys: { ...keys, authorization: rows.find(({ name }) => name === "valid")?.authorization },
  };
  writeFileSync(join(folder, "material.json"), JSON.stringify(material));
  const child = spawn(node, await commandOf(environment, folder), {
    cwd: here,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a group of its own, so that a runner's workers end with it
    env: {
      ...process.env,
      MATERIAL_FILE: join(folder, "material.json"),
      FAULTS_FILE: faultsFile,
      NODE_OPTIONS: `--no-warnings --require=${join(here, "children/record-faults.cjs")}`,
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      output += String(chunk);
    });

  const result: Result = { right: 0, wrongAccepts: 0, wrongRefusals: 0, hangs: 0, dead: 0, notes: [], thrown: [] };
  try {
    const started = await readReport(reportFile, child);
    if (started.error !== undefined) result.thrown.push(`the environment cannot be made: ${started.error}`);
    const adapters = Object.entries(started.adapters ?? {}).filter(
      ([adapter]) => environment.adapters?.includes(adapter) ?? true,
    );
    const driven = adapters.map(async ([adapter, { port, error }]) => {
      if (port === undefined) {
        result.thrown.push(`${adapter}: ${error}`);
        return;
      }
      const ofAdapter = adapter === "verifier" ? rows.filter(isForVerifier) : rows;
      const counts = await drive(adapter, port, ofAdapter, environment.allowed ?? (({ expected }) => [expected]));
      for (const name of ["right", "wrongAccepts", "wrongRefusals", "hangs"] as const) result[name] += counts[name];
      result.notes.push(...counts.notes);
    });
    await Promise.all(driven);
    if (result.thrown.length === 0 && hasEnded(child)) throw new Error("it has ended");
  } catch (error) {
    result.dead++;
    result.notes.push(`${(error as Error).message}: ${output.slice(-2_000)}`);
  } finally {
    if (child.pid !== undefined && !hasEnded(child)) {
      process.kill(-child.pid, "SIGKILL");
      await once(child, "exit");
    }
  }
  // Node's own loader leaves a rejection unhandled where two modules import one that throws, as depd does when frozen.
  const wasServed = result.right + result.wrongAccepts + result.wrongRefusals + result.hangs > 0;
  if (existsSync(faultsFile) && wasServed) {
    const faults = readFileSync(faultsFile, "utf8").trim().split("\n");
    result.dead += faults.length;
    result.notes.push(...faults);
  }
  return result;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

interface StartReport {
  error?: string;
  adapters?: Record<string, { port?: number; error?: string }>;
}

async function readReport(file: string, child: ChildProcess): Promise<StartReport> {
  const deadline = Date.now() + START_TIMEOUT;
  while (Date.now() < deadline) {
    if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as StartReport;
    if (hasEnded(child)) throw new Error("it has ended at its start");
    await sleep(20);
  }
  throw new Error("it has not started");
}

/** The arguments of `node`. */
async function commandOf(environment: Environment, folder: string): Promise<string[]> {
  const { runner = "node", flags = [], testEnvironment = "node" } = environment;
  const test = "children/in-runner.test.js";
  if (runner === "node") return [...flags, join(here, "children/start.js")];
  if (runner === "vitest") {
    const config = join(here, "vitest.config.mjs");
    return ["node_modules/vitest/vitest.mjs", "run", "--config", config, `--environment=${testEnvironment}`];
  }
  if (runner.startsWith("jest")) {
    // What preset-env does for Node, without its other plug-ins.
    const plugins = ["transform-modules-commonjs", "transform-dynamic-import"].map((name) => `@babel/plugin-${name}`);
    const config = {
      rootDir: here,
      testMatch: [`<rootDir>/${test}`],
      testEnvironment,
      cacheDirectory: join(work, "jest"),
      transform:
        runner === "jest ESM" ? {} : { "\\.js$": ["babel-jest", { plugins, babelrc: false, configFile: false }] },
      transformIgnorePatterns: ["/node_modules/(?!(agent-identity-auth|jose)/)"],
    };
    return [...flags, "node_modules/jest/bin/jest.js", "--runInBand", "--config", JSON.stringify(config)];
  }
  const { build } = await import("esbuild");
  const isEsm = runner === "esbuild ESM";
  // Below `node_modules`, so that the packages of an environment, which are not bundled, are found.
  const outfile = join(here, "node_modules/.environments", `${folder.slice(-6)}.${isEsm ? "mjs" : "cjs"}`);
  await build({
    entryPoints: [join(here, "children/start.js")],
    bundle: true,
    platform: "node",
    format: isEsm ? "esm" : "cjs",
    outfile,
    external: Object.keys((JSON.parse(readFileSync(join(here, "package.json"), "utf8")) as Manifest).devDependencies),
    ...(isEsm && {
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    }),
    logLevel: "silent",
  });
  return [...flags, outfile];
}

interface Manifest {
  devDependencies: Record<string, string>;
}

function report(): void {
  const grid = [["", "right", "wrong accepts", "wrong refusals", "hangs", "dead", ""]];
  const remarks: string[] = [];
  let [passed, failed] = [0, 0];
  for (const row of new Set(environments.map(({ row }) => row))) {
    const group = environments.filter((environment) => environment.row === row);
    const sum = { right: 0, wrongAccepts: 0, wrongRefusals: 0, hangs: 0, dead: 0 };
    const thrown = new Set<string>();
    for (const environment of group) {
      const result = results.get(environment);
      if (!result) throw new Error(`${row} did not run`);
      const isExcused = environment.reason !== undefined;
      const isRight =
        result.wrongAccepts + result.hangs + result.dead === 0 &&
        (isExcused || (result.wrongRefusals === 0 && result.thrown.length === 0));
      if (isRight) passed++;
      else failed++;
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += result[name];
      for (const message of result.thrown) thrown.add(message.split("\n")[0] ?? "");
      const { argument = "" } = environment;
      for (const note of [...result.thrown, ...result.notes])
        remarks.push(`${isRight ? "known" : "FAILED"}: ${row} ${argument}: ${note}`);
    }
    const reason = group.find(({ reason }) => reason !== undefined)?.reason ?? "";
    const children = group.length > 1 ? `${group.length} processes` : "";
    const { right, wrongAccepts, wrongRefusals, hangs, dead } = sum;
    const remark = [children, reason, ...thrown].filter((text) => text !== "").join("; ");
    grid.push([row, ...[right, wrongAccepts, wrongRefusals, hangs, dead].map(String), remark]);
  }
  for (const remark of remarks) console.log(remark);
  const widths = grid[0]?.map((_, column) => Math.max(...grid.map((row) => row[column]?.length ?? 0))) ?? [];
  console.log(`Node ${release}`);
  for (const row of grid) console.log(row.map((cell, i) => (i === 6 ? cell : cell.padEnd(widths[i] ?? 0))).join("  "));
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
