/**
 * The soak: minutes of valid and hostile requests against a server whose key endpoints and store fail all the while,
 * and an oracle that knows of each request how it may be answered.
 *
 *     npm run soak                       3 minutes, with a new seed, which is printed
 *     npm run soak -- --seconds 20       the shortest run; it has everything in it
 *     npm run soak -- --seed 123         that schedule and those choices once more
 *
 * A seed makes the schedule (faults, rotations, revocations) and the choices of every connection again. It does not make
 * keys, the machine's speed or the jitter of the server's back-off again: a failure is met again in the same
 * situation, not at the same microsecond. Everything is kept until the end: for minutes, not for days.
 *
 * Four processes, all on loopback: this one, the server under test (`server.ts`), the backends with their key endpoints
 * (`backend.ts`) and the load (`load.ts`). They end when this one does, whatever its end.
 * Exit status 1: a wrong answer, a bound that was not kept, or a run that left out what it should have had in it.
 */

import type { JsonWebKey } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { exportJwk } from "../../src/protocol/jwk.js";
import { startChild, type Child } from "../support/processes.js";
import { createSigningKey, type SigningKey } from "../support/agents.js";
import type { BackendSetUp, JwksFetchRecord } from "./backend.js";
import { createRunClock, monotonicNow } from "./clock.js";
import { createFetchLogs } from "./fetch-log.js";
import type { LoadProgress, LoadSetUp, RequestRecord } from "./load.js";
import type { Evidence } from "./oracle.js";
import { createReport } from "./report.js";
import { createSchedule, SHORTEST_RUN, type Schedule } from "./schedule.js";
import type { RunningServer, ServerReport, ServerSetUp } from "./server.js";

/** Tokens live an hour. */
const LONGEST_RUN = 3_000; // seconds
/** Seconds for what comes before and after. */
const MARGIN = 90;
/** ms from telling everybody when to begin until then. */
const LEAD = 500;
/** RSA keys take their time to make: a pair comes back under another id after so many rotations. */
const KEY_PAIRS = 8;

const { values } = parseArgs({ options: { seconds: { type: "string" }, seed: { type: "string" } } });
const seconds = Number(values.seconds ?? 180);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
if (!Number.isInteger(seed)) throw new RangeError("--seed must be an integer");
if (!(seconds >= SHORTEST_RUN && seconds <= LONGEST_RUN)) {
  throw new RangeError(`--seconds must be ${SHORTEST_RUN} to ${LONGEST_RUN}`);
}

// Children end when their channel to this process closes.
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));
setTimeout(
  () => {
    console.error("the run did not come to its end in time");
    process.exit(1);
  },
  (seconds + MARGIN) * 1_000,
).unref();

console.log(`soak of ${seconds} s, seed ${seed}`);
const { passed, failed, lines } = await run(createSchedule(seed, seconds));
console.log(lines.join("\n"));
console.log(`\nseed ${seed}\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

async function run(schedule: Schedule) {
  const keys = schedule.deployments.map((deployment) => createKeys(deployment.keys.map(({ kid }) => kid)));
  const refusedKey = createSigningKey("refused");
  const backend = start("backend.ts");
  const server = start("server.ts");
  const load = start("load.ts");
  try {
    const publicKeys = keys.map((ofDeployment) => ofDeployment.map(({ jwk }) => jwk));
    const ofBackend: BackendSetUp = { schedule, publicKeys, refusedKey: refusedKey.jwk };
    const backendUrl = (await backend.ask({ setUp: ofBackend })) as string;
    const ofServer: ServerSetUp = { schedule, backendUrl };
    const { url: serverUrl, agentTokens } = (await server.ask({ setUp: ofServer })) as RunningServer;
    const privateKeys = keys.map((ofDeployment) => ofDeployment.map(privateJwk));
    const refused = { kid: refusedKey.kid, privateKey: privateJwk(refusedKey) };
    const ofLoad: LoadSetUp = { schedule, serverUrl, privateKeys, refusedKey: refused, agentTokens };
    await load.ask({ setUp: ofLoad });

    const beginAt = monotonicNow() + LEAD;
    const clock = createRunClock(beginAt);
    // The most of several: between the two readings of any one, this process may have been put aside.
    const startedAt = Math.max(...Array.from({ length: 9 }, () => Date.now() - clock()));
    await Promise.all([backend.ask({ beginAt }), server.ask({ beginAt }), load.ask({ beginAt })]);
    const requests: RequestRecord[] = [];
    for (let isOver = false; !isOver;) {
      await delay(1_000);
      const progress = (await load.ask({ take: true })) as LoadProgress;
      for (const record of progress.records) requests.push(record);
      isOver = progress.isOver;
    }
    const measured = (await server.ask({ report: true })) as ServerReport;
    const arrived = (await backend.ask({ report: true })) as JwksFetchRecord[];
    const { fetchesAsked, revocations } = measured;
    const fetches = createFetchLogs(schedule.deployments.length, fetchesAsked, arrived);
    const evidence: Evidence = { schedule, startedAt, fetches, revocations, requests };
    return createReport(evidence, measured);
  } finally {
    await Promise.all([load.stop(), server.stop(), backend.stop()]);
  }
}

/** @param module a file beside this one */
function start(module: string): Child {
  return startChild(new URL(module, import.meta.url).href, { exposeGc: true });
}

function createKeys(kids: readonly string[]): SigningKey[] {
  const keys: SigningKey[] = [];
  for (const kid of kids) {
    const pair = keys[keys.length - KEY_PAIRS] ?? createSigningKey(kid);
    keys.push({ ...pair, kid, jwk: { ...pair.jwk, kid } });
  }
  return keys;
}

function privateJwk({ privateKey }: SigningKey): JsonWebKey {
  return exportJwk(privateKey);
}
