/** Real servers on loopback, with empty data of their own. */

import { execFileSync, spawn, spawnSync, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.js";

export interface Server {
  url: string;
  stop(): Promise<void>;
}

export interface DatabaseServer extends Server {
  /** `SIGSTOP` or `SIGCONT`, to its process and to those that it has started. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  /** Sets an option of its configuration, for connections that are there as well. */
  configure(setting: string, value: string): void;
}

export interface RedisServer extends DatabaseServer {
  command(words: string): string;
  /** Ends it with SIGKILL and starts it again. Does not wait until it is ready. */
  restart(): Promise<void>;
  /** Whether it is ready. */
  answers(): boolean;
}

export type ServerKind = "redis" | "redis-cluster" | "postgres" | "file";

const POSTGRES = findPostgres();

/** What has to be installed for it; `undefined` if it is. */
export function missingFor(kind: ServerKind): string | undefined {
  if (kind === "postgres") return POSTGRES === undefined ? "postgresql" : undefined;
  const installed = kind === "file" || spawnSync("redis-server", ["--version"]).status === 0;
  return installed ? undefined : "redis-server";
}

export function startServer(kind: ServerKind): Promise<Server> {
  if (kind === "redis") return startRedis();
  if (kind === "redis-cluster") return startRedisCluster();
  return kind === "postgres" ? startPostgres() : Promise.resolve(makeFolder());
}

export async function startRedis(args: string[] = [], inCluster = false): Promise<RedisServer> {
  const directory = createFolder();
  let port = 0;
  let options: string[] = [];
  const start = () => spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] });
  let redis = await onFreePort(async (free) => {
    port = free;
    options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory, ...args];
    if (inCluster) options.push("--cluster-enabled", "yes", "--cluster-port", String(await freePort()));
    const started = start();
    for await (const chunk of started.stdout) if (String(chunk).includes("Ready to accept connections")) return started;
    return undefined;
  });
  redis.stdout.resume();
  const command = (words: string) =>
    spawnSync("redis-cli", ["-p", String(port), ...words.split(" ")], { encoding: "utf8" }).stdout;
  return {
    url: `redis://127.0.0.1:${port}`,
    signal: (signal) => {
      signalTree(redis, signal);
    },
    command,
    configure: (setting, value) => void command(`CONFIG SET ${setting} ${value}`),
    async restart() {
      redis.kill("SIGKILL");
      await once(redis, "exit");
      redis = start();
      redis.stdout.resume();
    },
    answers: () => command("PING") === "PONG\n",
    stop: () => end(redis, "SIGKILL", directory),
  };
}

async function startRedisCluster(): Promise<Server> {
  const nodes = [await startRedis([], true), await startRedis([], true), await startRedis([], true)] as const;
  const stop = async () => {
    for (const node of nodes) await node.stop();
  };
  const isUp = ({ url }: Server) => execFileSync("redis-cli", ["-u", url, "CLUSTER", "INFO"]).includes("state:ok");
  try {
    const hosts = nodes.map(({ url }) => new URL(url).host);
    execFileSync("redis-cli", ["--cluster", "create", ...hosts, "--cluster-yes"]);
    while (!nodes.every(isUp)) await sleep(100);
  } catch (error) {
    await stop(); // they would outlive this process
    throw error;
  }
  return { url: nodes[0].url, stop };
}

export async function startPostgres(): Promise<DatabaseServer> {
  const directory = createFolder();
  // Postgres refuses to run as root.
  const user: SpawnOptions = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g"), cwd: directory } : {};
  if (user.uid !== undefined && user.gid !== undefined) chownSync(directory, user.uid, user.gid);
  const bin = (name: string) => join(POSTGRES ?? "", name);
  const data = join(directory, "data");
  execFileSync(bin("initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], user);
  let port = 0;
  const postgres = await onFreePort(async (free) => {
    port = free;
    const settings = [
      "listen_addresses=127.0.0.1",
      `port=${port}`,
      `unix_socket_directories=${directory}`,
      "fsync=off",
    ];
    const options = ["-D", data, ...settings.flatMap((setting) => ["-c", setting])];
    const started = spawn(bin("postgres"), options, { ...user, stdio: "ignore" });
    while (spawnSync(bin("pg_isready"), ["-h", "127.0.0.1", "-p", String(port)]).status !== 0) {
      await sleep(100);
      if (started.exitCode !== null) return undefined;
    }
    return started;
  });
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  return {
    url,
    signal: (signal) => {
      signalTree(postgres, signal);
    },
    configure(setting, value) {
      const statements = [`ALTER SYSTEM SET ${setting} = ${value}`, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)"];
      execFileSync(bin("psql"), [...statements.flatMap((statement) => ["-c", statement]), url], { stdio: "ignore" });
    },
    stop: () => end(postgres, "SIGQUIT", directory), // at once, as in a crash
  };
}

function makeFolder(): Server {
  const directory = createFolder();
  return {
    url: directory,
    stop: () => {
      rmSync(directory, { recursive: true });
      return Promise.resolve();
    },
  };
}

/** The parent first, so that it starts no further process meanwhile. */
function signalTree({ pid = 0 }: ChildProcess, signal: NodeJS.Signals): void {
  process.kill(pid, signal);
  const { stdout } = spawnSync("pgrep", ["-P", String(pid)], { encoding: "utf8" });
  for (const child of stdout.split("\n").filter(Boolean)) process.kill(Number(child), signal);
}

/** Starts again on another port where a server has ended: another process can take a port before the server does. */
async function onFreePort<T>(start: (port: number) => Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const started = await start(await freePort());
    if (started !== undefined) return started;
  }
  throw new Error("the server ends when it is started");
}

async function end(server: ChildProcess, signal: NodeJS.Signals, directory: string): Promise<void> {
  if (server.exitCode === null && server.signalCode === null) {
    server.kill(signal);
    await once(server, "exit");
  }
  rmSync(directory, { recursive: true, force: true });
}

function createFolder(): string {
  return mkdtempSync(join(tmpdir(), "agent-identity-auth-stores-"));
}

function findPostgres(): string | undefined {
  if (spawnSync("postgres", ["--version"]).status === 0) return "";
  const debian = "/usr/lib/postgresql";
  try {
    return readdirSync(debian).map((version) => join(debian, version, "bin"))[0];
  } catch {
    return undefined;
  }
}

function idOf(option: "-u" | "-g"): number {
  return Number(execFileSync("id", [option, "postgres"], { encoding: "utf8" }));
}
