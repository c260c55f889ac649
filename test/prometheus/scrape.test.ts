/** A real Prometheus scrapes the example, and an outage fires the alert. */

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { mint } from "../support/agents.js";
import { startBackend } from "../support/servers.js";
import { freePort } from "../support/free-port.js";

const isInstalled = spawnSync("prometheus", ["--version"]).status === 0;
if (!isInstalled) console.log("SKIPPED: the tests with a real Prometheus, because it is not installed");

test.skipIf(!isInstalled)("each alert fires when it should, by promtool", () => {
  const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", "test/prometheus/alerts.test.yml"], {
    encoding: "utf8",
  });
  expect(status, stdout + stderr).toBe(0);
});

test.skipIf(!isInstalled)("an outage fires the alert, and its end ends it", async () => {
  const backend = await startBackend();
  backend.answer = (_req, res) => res.writeHead(500).end();
  const api = await startExample(backend.baseUrl);
  const alerts = await startPrometheus(api);
  const token = mint();
  const ask = async () => {
    const answer = await fetch(`http://${api}/tasks`, { headers: { authorization: `Bearer ${token}` } });
    await answer.body?.cancel();
    return answer.status;
  };
  const asking = setInterval(() => void ask(), 100);
  onTestFinished(() => {
    clearInterval(asking);
  });
  const poll = { timeout: 60_000, interval: 500 };
  await expect.poll(alerts, poll).toContain("AgentIdentityKeysUnavailable");
  backend.answer = undefined;
  await expect.poll(ask, poll).toBe(200);
  await expect.poll(alerts, poll).not.toContain("AgentIdentityKeysUnavailable");
});

/** @returns its host and port */
async function startExample(baseUrl: string): Promise<string> {
  const child = run(process.execPath, ["--import", "tsx", "examples/prometheus.ts"], {
    AGENTS_BASE_URL: baseUrl,
    PORT: "0",
  });
  let output = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
  await expect.poll(() => output, { timeout: 20_000 }).toMatch(/metrics at/);
  return /http:\/\/([^/]+)/.exec(output)?.[1] ?? "";
}

/** @returns a function that asks which alerts are firing */
async function startPrometheus(target: string): Promise<() => Promise<string[]>> {
  const folder = mkdtempSync(join(tmpdir(), "agent-identity-auth-prometheus-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  // The same rules, with seconds in the place of minutes: a test does not wait for an hour.
  const rules = readFileSync("docs/alerts.yml", "utf8")
    .replace(/\[(\d+)m\]/g, "[$1s]")
    .replace(/for: \d+m/g, "for: 1s");
  writeFileSync(join(folder, "alerts.yml"), rules);
  writeFileSync(
    join(folder, "prometheus.yml"),
    JSON.stringify({
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: ["alerts.yml"],
      scrape_configs: [{ job_name: "api", static_configs: [{ targets: [target] }] }],
    }),
  );
  const port = await freePort();
  run("prometheus", [
    `--config.file=${join(folder, "prometheus.yml")}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  return async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/alerts`).catch(() => undefined);
    if (answer?.ok !== true) return [];
    const { data } = (await answer.json()) as { data: { alerts: { state: string; labels: { alertname: string } }[] } };
    return data.alerts.filter(({ state }) => state === "firing").map(({ labels }) => labels.alertname);
  };
}

function run(command: string, args: string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, ...env } });
  const closed = once(child, "close");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await closed;
  });
  return child;
}
