/** Starts the app on a real runtime, on a free port of loopback. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { freePort } from "../support/free-port.js";

const HERE = import.meta.dirname;
const installed = (name: string) => join(HERE, "node_modules", ".bin", name);

export interface RunningApp {
  readonly url: string;
  /** Standard output and error so far. */
  readonly output: () => string;
  stop(): Promise<void>;
}

export type StartApp = (baseUrl: string, options?: object) => Promise<RunningApp>;

/** For workerd. */
export interface WorkerOptions {
  compatibilityDate?: string;
  /** Whether the app gets `waitUntil` of `cloudflare:workers`. */
  passWaitUntil?: boolean;
}

const onRuntime =
  (command: string, ...args: string[]): StartApp =>
  async (baseUrl, options = {}) => {
    const app = run(command, [...args, baseUrl, JSON.stringify(options)]);
    const port = await app.waitFor(/listening on (\d+)/);
    return { ...app, url: `http://127.0.0.1:${port}` };
  };

export const onWorkers = (worker: WorkerOptions = {}): StartApp => {
  const { compatibilityDate = "2026-11-01", passWaitUntil = false } = worker;
  return async (baseUrl, options = {}) => {
    const folder = mkdtempSync(join(tmpdir(), "agent-identity-auth-workerd-"));
    await build({
      entryPoints: [join(HERE, "worker.js")],
      outfile: join(folder, "worker.js"),
      bundle: true,
      format: "esm",
      conditions: ["workerd", "worker", "import"],
      external: ["node:*", "cloudflare:*"],
      logLevel: "warning",
    });
    const port = await freePort();
    const text = (name: string, value: string) => `(name = "${name}", text = ${JSON.stringify(value)})`;
    const bindings = [
      text("BASE_URL", baseUrl),
      text("OPTIONS", JSON.stringify(options)),
      text("PASS_WAIT_UNTIL", passWaitUntil ? "yes" : "no"),
    ];
    writeFileSync(
      join(folder, "config.capnp"),
      `using Workerd = import "/workerd/workerd.capnp";
       const config :Workerd.Config = (
         services = [(name = "main", worker = .main), (name = "internet", network = (allow = ["local", "private"]))],
         sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
       );
       const main :Workerd.Worker = (
         modules = [(name = "worker", esModule = embed "worker.js")],
         compatibilityDate = "${compatibilityDate}",
         compatibilityFlags = ["nodejs_compat"],
         bindings = [${bindings.join(", ")}]
       );`,
    );
    const app = run(installed("workerd"), ["serve", join(folder, "config.capnp")]);
    const url = `http://127.0.0.1:${port}`;
    await answers(`${url}/status`);
    return {
      ...app,
      url,
      async stop() {
        await app.stop();
        rmSync(folder, { recursive: true });
      },
    };
  };
};

export const RUNTIMES: [name: string, start: StartApp, adapter: "fetch" | "node:http"][] = [
  ["Cloudflare Workers", onWorkers(), "fetch"],
  ["Cloudflare Workers of 2024", onWorkers({ compatibilityDate: "2024-10-01" }), "fetch"],
  ["Bun.serve", onRuntime(installed("bun"), join(HERE, "serve-bun.js")), "fetch"],
  ["Bun, node:http", onRuntime(installed("bun"), join(HERE, "serve-node-http.js")), "node:http"],
  ["Deno.serve", onRuntime(installed("deno"), "run", "--allow-net", join(HERE, "serve-deno.js")), "fetch"],
  [
    "Deno, node:http",
    onRuntime(installed("deno"), "run", "--allow-net", "--allow-env", join(HERE, "serve-node-http.js")),
    "node:http",
  ],
];

function run(command: string, args: string[]) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  const closed = once(child, "close");
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  }
  return {
    output: () => output,
    async waitFor(pattern: RegExp): Promise<string> {
      for (const deadline = Date.now() + 30_000; Date.now() < deadline && child.exitCode === null;) {
        const [, found] = pattern.exec(output) ?? [];
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error(`no ${String(pattern)} in: ${output}`);
    },
    async stop() {
      // The command may be a script that has started the runtime.
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
      await closed;
    },
  };
}

async function answers(url: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; ;) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    if (Date.now() > deadline) throw new Error(`${url} does not answer`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
