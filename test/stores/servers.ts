/** Real servers on loopback, with empty data of their own. */

import { execFileSync, spawn, spawnSync, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface Server {
  url: string;
  stop(): Promise<void>;
}

export type ServerKind = "redis" | "redis-cluster" | "postgres" | "file";

const POSTGRES = findPostgres();

/** What has to be installed for it; `undefined` if it is. */
export function missingFor(kind: ServerKind): string | undefined {
  if (kind === "postgres") return POSTGRES === undefined ? "postgresql" : undefined;
  const installed = kind === "file" || spawnSync("redis-cli", ["--version"]).status === 0;
  return installed ? undefined : "redis-server";
}

export function startServer(kind: ServerKind): Promise<Server> {
  if (kind === "redis") return startRedis();
  if (kind === "redis-cluster") return startRedisCluster();
  return kind === "postgres" ? startPostgres() : Promise.resolve(makeFolder());
}

async function startRedis(args: string[] = []): Promise<Server> {
  const directory = createFolder();
  const port = await freePort();
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory, ...args];
  const redis = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] });
  for await (const chunk of redis.stdout) if (String(chunk).includes("Ready to accept connections")) break;
  redis.stdout.resume();
  return { url: `redis://127.0.0.1:${port}`, stop: () => end(redis, "SIGKILL", directory) };
}

async function startRedisCluster(): Promise<Server> {
  const start = async () => startRedis(["--cluster-enabled", "yes", "--cluster-port", String(await freePort())]);
  const nodes = [await start(), await start(), await start()] as const;
  const hosts = nodes.map(({ url }) => new URL(url).host);
  execFileSync("redis-cli", ["--cluster", "create", ...hosts, "--cluster-yes"]);
  const isUp = ({ url }: Server) => execFileSync("redis-cli", ["-u", url, "CLUSTER", "INFO"]).includes("state:ok");
  while (!nodes.every(isUp)) await sleep(100);
  const stop = async () => {
    for (const node of nodes) await node.stop();
  };
  return { url: nodes[0].url, stop };
}

async function startPostgres(): Promise<Server> {
  const directory = createFolder();
  // Postgres refuses to run as root.
  const user: SpawnOptions = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g"), cwd: directory } : {};
  if (user.uid !== undefined && user.gid !== undefined) chownSync(directory, user.uid, user.gid);
  const bin = (name: string) => join(POSTGRES ?? "", name);
  const data = join(directory, "data");
  execFileSync(bin("initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], user);
  const port = await freePort();
  const settings = ["listen_addresses=127.0.0.1", `port=${port}`, `unix_socket_directories=${directory}`, "fsync=off"];
  const postgres = spawn(bin("postgres"), ["-D", data, ...settings.flatMap((setting) => ["-c", setting])], {
    ...user,
    stdio: "ignore",
  });
  while (spawnSync(bin("pg_isready"), ["-h", "127.0.0.1", "-p", String(port)]).status !== 0) await sleep(100);
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
