/** `npm run bench`: measures everything and writes RESULTS.md and results.svg; with `--quick`, only prints. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { measureAssertions } from "./assertion-traffic.js";
import { startBackend } from "./backend.js";
import { renderChart } from "./chart.js";
import { contestants, type Contestant, type ContestantName } from "./contestants.js";
import { measureImports } from "./import-time.js";
import type { InProcessQuestion, InProcessResult } from "./in-process.js";
import type { MemoryQuestion, MemorySample } from "./memory.js";
import type { MountsQuestion, MountsResult } from "./mounts.js";
import { fullPlan, quickPlan } from "./plan.js";
import { askOnce } from "./processes.js";
import { renderReport, type Results } from "./report.js";
import { createRefusedTokens, writeTokenFile } from "./tokens.js";
import { measureTraffic } from "./traffic.js";

const quick = process.argv.includes("--quick");
const plan = quick ? quickPlan : fullPlan;

const beganAt = performance.now();
const log = (line: string): void => {
  console.error(`${((performance.now() - beganAt) / 1000).toFixed(0).padStart(4)} s  ${line}`);
};

const directory = mkdtempSync(join(os.tmpdir(), "agent-identity-auth-bench-"));
const tokenFile = join(directory, "tokens");
process.once("SIGINT", () => process.exit(130));
process.once("exit", () => {
  rmSync(directory, { recursive: true });
});
const backend = await startBackend();
try {
  const [load = 0] = os.loadavg();
  if (load > 1) log(`the machine is busy (load average ${load.toFixed(1)}): the figures will be worth little`);
  log(`signing ${plan.tokens} tokens`);
  await writeTokenFile(tokenFile, plan.tokens, backend);
  const results = await measure();
  const report = await renderReport(results);
  if (quick) console.log(report);
  else {
    writeFileSync(new URL("RESULTS.md", import.meta.url), report);
    writeFileSync(
      new URL("results.svg", import.meta.url),
      renderChart(results.traffic.express, results.contestants, plan.firstSeenTokens),
    );
    log("wrote bench/RESULTS.md and bench/results.svg");
  }
} finally {
  backend.stop();
}

async function measure(): Promise<Results> {
  const { trust } = backend;
  const refusedTokens = await createRefusedTokens(backend);

  log("import time");
  const importTimes = await measureImports(plan.imports);

  log("inside the process");
  const inProcessQuestion: InProcessQuestion = { trust, tokenFile, refusedTokens, batches: plan.batches };
  const inProcess = (await askOnce("in-process.ts", inProcessQuestion)) as InProcessResult;

  log("memory");
  const memoryQuestion: MemoryQuestion = { baseUrl: trust.baseUrl, tokenFile, checkpoints: plan.floodCheckpoints };
  const memory = (await askOnce("memory.ts", memoryQuestion, { exposeGc: true })) as MemorySample[];

  log("mounts and stampede");
  const { mounts: mountCount, coldRequests } = plan;
  backend.takeFetchCount();
  const mountsQuestion: MountsQuestion = { trust, tokenFile, mounts: mountCount, coldRequests };
  const mounts = (await askOnce("mounts.ts", mountsQuestion)) as MountsResult;
  const reported = mounts.mounts.jwksFetches + mounts.coldRequests.jwksFetches;
  const served = backend.takeFetchCount();
  if (served !== reported) throw new Error(`the backend served its keys ${served} times, not ${reported}`);

  log("HTTP, AgentAssertions");
  const assertionFile = join(directory, "assertions");
  const assertions = await measureAssertions({ trust, tokenFile, assertionFile, ...plan.assertions });

  const takeFetchCount = () => backend.takeFetchCount();
  const traffic = await measureTraffic({ plan, trust, takeFetchCount, tokenFile, refusedTokens, log });
  return { plan, contestants: await loadContestants(), traffic, assertions, inProcess, memory, importTimes, mounts };
}

async function loadContestants(): Promise<Record<ContestantName, Contestant>> {
  const loaded = Object.entries(contestants).map(async ([name, load]) => [name, (await load()).contestant] as const);
  return Object.fromEntries(await Promise.all(loaded)) as Record<ContestantName, Contestant>;
}
