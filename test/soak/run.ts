/**
 * The soak: good and bad requests against a real server whose key endpoints and store fail all the while.
 *
 *     npm run soak                       3 minutes, with a new seed, which is printed
 *     npm run soak -- --seconds 30       the shortest run; it has everything in it
 *     npm run soak -- --seed 123         that schedule and those choices once more
 *     npm run soak -- --store redis      the issuer's documents are in a real Redis; or postgres, or sqlite
 *     npm run soak -- --issuer           AgentAssertions, registrations and revocations only: 15 s have everything in them
 *
 * The clients of the databases are those of the tests of stores: `npm --prefix test/stores ci`.
 *
 * A seed makes the schedule (faults, rotations, revocations) and the choices of every connection again. It does not make
 * keys, the machine's speed or the jitter of the server's back-off again.
 * Exit status 1: a wrong answer, a bound that was not kept, or a run that left out what it should have had in it.
 */

import { subscribe } from "node:diagnostics_channel";
import { Agent, createServer, request, type IncomingHttpHeaders, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import express, { type Request, type Response } from "express";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  createJwksResolver,
  type JwksFetchEvent,
} from "../../src/index.js";
import { createIssuer } from "../../src/issuer.js";
import { createSigningKey } from "../support/agents.js";
import { createBackend, createFaultyStore, FAULTS, type Deployment, type Served } from "./backend.js";
import { JWKS_OPTIONS, Judge, type Judged } from "./judge.js";
import { createRandom, DEPLOYMENTS, planDeployment, planStore, ROUND, STORE_ROUND, type Random } from "./schedule.js";
import { openStore } from "./stores.js";
import {
  agentOfToken,
  ALLOWED_ACCOUNT,
  createAssertionTraffic,
  createBearerTraffic,
  registration,
  type RegisteredAgent,
  type Shot,
} from "./traffic.js";

const LONGEST_RUN = 3_000; // seconds; tokens live an hour
/** RSA keys take their time to make: a pair comes back under another id. */
const KEY_PAIRS = 7;
const LASTING_AGENTS = 12;
/** ms between two revocations of an agent. */
const REVOKE_EVERY = 4_000;
/** ms after which a request is judged: whatever ended before its answer is known by then. */
const JUDGED_AFTER = 500;
/** Bytes that the process may hold after a run beyond what it held before. The caches are full then. */
const MOST_HEAP_GROWTH = 16 * 2 ** 20;
/** Fetches of one deployment in one cooldown: one for an unknown key id, and one for the age of the set. */
const MOST_IN_COOLDOWN = 2;

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    seed: { type: "string" },
    store: { type: "string", default: "memory" },
    issuer: { type: "boolean", default: false },
  },
});
const shortest = values.issuer ? STORE_ROUND : ROUND;
const seconds = Number(values.seconds ?? 180);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
if (!Number.isInteger(seed)) throw new RangeError("--seed must be an integer");
if (!(seconds * 1_000 >= shortest && seconds <= LONGEST_RUN)) {
  throw new RangeError(`--seconds must be ${shortest / 1_000} to ${LONGEST_RUN}`);
}
console.log(`soak of ${seconds} s, seed ${seed}, store ${values.store}`);

const duration = seconds * 1_000;
let zero = Infinity;
/** ms since the start of the run; before that it is negative. */
const clock = () => (zero === Infinity ? -1 : performance.now() - zero);
const count = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.keepAliveTimeout = 0; // to close a connection under a request would be a failure of ours
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

// The backend, and what the server fetched from it.
const pairs = Array.from({ length: KEY_PAIRS }, () => createSigningKey(""));
const deployments = Array.from({ length: DEPLOYMENTS }, (_, d): Deployment => {
  const plan = planDeployment(d, seed, duration);
  const signers = plan.keys.map(({ kid }, i) => {
    const pair = pairs[(i + 2 * d) % KEY_PAIRS] ?? createSigningKey("");
    return { ...pair, kid, jwk: { ...pair.jwk, kid } };
  });
  return { ...plan, signers };
});
const refusedKey = createSigningKey("refused");
const storeFaults = planStore(seed, duration);
const judge = new Judge(DEPLOYMENTS, [...storeFaults.hanging, ...storeFaults.failing]);
const faultsMet = new Map<string, number>();
const served: Served[] = [];
const problems: string[] = [];
let fetches = 0;
const backendUrl = await listen(
  createBackend(
    deployments,
    refusedKey,
    clock,
    createRandom(seed, "endpoint"),
    (each) => served.push(each),
    (name) => count(faultsMet, name),
  ),
);
subscribe("agent-identity-auth:jwks.fetch", (message) => {
  const { url, outcome, durationMs } = message as JwksFetchEvent;
  const deployment = Number(/\/d(\d)\//.exec(url)?.[1]);
  const [askedAt, endedAt] = [clock() - durationMs, clock()];
  // What the endpoint says that it answered counts, and not what the server says that it read.
  const answer = served.findLast((each) => each.deployment === deployment && each.arrivedAt >= askedAt);
  if (outcome === "success" && !answer?.kids) problems.push(`a faulty answer was taken for a key set: ${url}`);
  const log = judge.logs[deployment]?.fetches ?? [];
  log.push({ askedAt, endedAt, kids: outcome === "success" ? answer?.kids : undefined });
  const inCooldown = log.filter((each) => each.askedAt > askedAt - JWKS_OPTIONS.cooldownDuration + 50).length;
  if (inCooldown > MOST_IN_COOLDOWN) problems.push(`${inCooldown} fetches in one cooldown: ${url}`);
  fetches++;
  // Nothing that is judged from now on needs what is older.
  while ((log[0]?.endedAt ?? Infinity) < endedAt - 60_000) log.shift();
  if (served.length > 200) served.splice(0, 100);
});

// The server under test.
const place = await openStore(values.store);
const issuer = await createIssuer({ store: createFaultyStore(place.store, storeFaults, clock) });
const tokens: string[] = [];
for (let i = 0; i < LASTING_AGENTS + duration / REVOKE_EVERY; i++) {
  tokens.push((await issuer.mint({ accountId: ALLOWED_ACCOUNT, chatgptUserId: "user-1", planType: "pro" })).token);
}
const app = express();
const sayWho = (req: Request, res: Response) => void res.json(req.agentIdentity);
for (let d = 0; d < DEPLOYMENTS; d++) {
  const baseUrl = `${backendUrl}/d${d}/backend-api`;
  // So few that tokens are forgotten, and verified again.
  const options = { jwks: createJwksResolver(baseUrl, JWKS_OPTIONS), tokenCache: { max: 1_000 } };
  const bearer = agentIdentityAuth(baseUrl, options);
  app.get(`/d${d}/bearer`, bearer, sayWho);
  app.get(`/d${d}/restricted`, bearer.restrictTo({ forcedChatgptWorkspaceId: ALLOWED_ACCOUNT }), sayWho);
  app.get(`/d${d}/both`, agentIdentityAuth(baseUrl, { ...options, directory: issuer.directory }), sayWho);
}
app.use(issuer.router(), agentIdentityErrorHandler());
const serverUrl = await listen(app);
await fetch(backendUrl); // Node loads its `fetch` when it is first called, which is no part of the first fetch of keys

// The load.
const agent = new Agent({ keepAlive: true });
function ask({ path, headers, body }: Shot): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? "GET" : "POST";
    request(serverUrl + path, { agent, headers, method, timeout: 10_000 }, (res) => {
      const chunks: Buffer[] = [];
      res.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", reject);
      res.on("end", () => {
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks).toString() });
      });
    })
      .on("timeout", () => {
        reject(new Error("it took too long"));
      })
      .on("error", reject)
      .end(body);
  });
}

interface Body {
  agentRuntimeId?: string;
  task_id?: string;
  error?: { code: string };
}
const STATUS: Partial<Record<string, number>> = { request_malformed: 400, workspace_not_allowed: 403 };

/** @returns the verdict and the agent; a refusal with the wrong status or headers is none */
async function verdictOf(shot: Shot): Promise<[outcome: string, identity?: string | undefined]> {
  const { status, headers, body } = await ask(shot);
  const { agentRuntimeId, error } = JSON.parse(body) as Body;
  if (status === 200) return ["accepted", agentRuntimeId];
  const code = error?.code === "invalid_task_id" ? "task_invalid" : (error?.code ?? "no code");
  const isRight = code.endsWith("_unavailable")
    ? status === 503 && /^([1-9]|[12]\d|30)$/.test(headers["retry-after"] ?? "")
    : status === (STATUS[code] ?? 401) && headers["www-authenticate"]?.startsWith("Bearer realm=");
  return [isRight && headers["cache-control"] === "no-store" ? code : `status ${status}, ${code}`];
}

const agents: RegisteredAgent[] = [];
for (const token of tokens) {
  const agent = agentOfToken(token);
  const { task_id: taskId } = JSON.parse((await ask(registration("task registration", agent))).body) as Body;
  agents.push({ agent, taskId: taskId ?? "" });
}
const revocable = agents.slice(LASTING_AGENTS);

const sent = new Map<string, number>();
const outcomes = new Map<string, number>();
const wrong = new Map<"accepted" | "refused", string[]>([
  ["accepted", []],
  ["refused", []],
]);
let waiting: Judged[] = [];

function judgeUntil(time: number): void {
  for (const record of waiting.filter(({ span }) => span[1] < time)) {
    const { what, truth, outcome, span } = record;
    count(sent, what);
    count(outcomes, outcome);
    if (judge.isRight(record)) continue;
    const at = span.map((each) => (each / 1_000).toFixed(3)).join("–");
    wrong
      .get(outcome === "accepted" ? "accepted" : "refused")
      ?.push(`${at} s, ${what}: ${outcome}; ${JSON.stringify(truth)}`);
  }
  waiting = waiting.filter(({ span }) => span[1] >= time);
}

async function connect(name: string, pause: number, next: (random: Random, at: number) => Shot): Promise<void> {
  const random = createRandom(seed, name);
  for (let at = clock(); at < duration; at = clock()) {
    const shot = next(random, at);
    const from = clock();
    const verdict = await verdictOf(shot).catch((error: unknown): [string] => [`no answer: ${String(error)}`]);
    waiting.push({
      what: shot.what,
      truth: shot.truth,
      span: [from, clock()],
      outcome: verdict[0],
      identity: verdict[1],
    });
    await delay(-Math.log(1 - random.fraction()) * pause);
  }
}

async function revokeInTurn(): Promise<void> {
  for (const { agent } of revocable) {
    await delay(REVOKE_EVERY);
    if (clock() > duration) return;
    const from = clock();
    // Until it has succeeded, nothing can be said of the agent.
    judge.revocations.set(agent.id, [from, Infinity]);
    const isRevoked = await issuer.revokeAgent(agent.id).then(
      () => true,
      () => false,
    );
    if (isRevoked) judge.revocations.set(agent.id, [from, clock()]);
  }
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
async function heldBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collect();
    await delay(20);
  }
  return process.memoryUsage().heapUsed;
}

const heapBefore = await heldBytes();
const startedAt = Date.now();
zero = performance.now();
const judging = setInterval(() => {
  judgeUntil(clock() - JUDGED_AFTER);
}, 500);
const bearers = deployments.map((_, d) => createBearerTraffic(deployments, d, refusedKey, startedAt));
const assertions = createAssertionTraffic(agents.slice(0, LASTING_AGENTS), revocable, DEPLOYMENTS);
await Promise.all([
  ...(values.issuer ? [] : bearers).flatMap((next, d) =>
    Array.from({ length: 8 }, (_, i) => connect(`bearer ${d}.${i}`, 25, next)),
  ),
  ...Array.from({ length: 10 }, (_, i) => connect(`assertions ${i}`, 30, assertions)),
  revokeInTurn(),
]);
clearInterval(judging);
await delay(JUDGED_AFTER);
judgeUntil(Infinity);
agent.destroy();
const growth = (await heldBytes()) - heapBefore;

// What it comes to.
const total = [...sent.values()].reduce((sum, each) => sum + each, 0);
const list = (counts: Map<string, number>) => Array.from(counts, ([name, number]) => `${name} ${number}`).join(", ");
console.log(`${total} requests in ${seconds} s, ${fetches} fetches of keys`);
console.log(`sent: ${list(sent)}\noutcomes: ${list(outcomes)}\nfaults met: ${list(faultsMet)}`);

const CLASSES = values.issuer ? 12 : 29;
const revoked = [...judge.revocations.values()].filter(([, to]) => to < Infinity).length;
if (revoked === 0) problems.push("no agent was revoked");
if (sent.size < CLASSES) problems.push(`only ${sent.size} of ${CLASSES} classes of traffic were sent`);
for (const name of values.issuer ? [] : Object.keys(FAULTS))
  if (!faultsMet.has(name)) problems.push(`no fetch met the fault: ${name}`);
const ofBearers = ["keys_unavailable", "key_untrusted", "token_expired", "signature_invalid"];
for (const code of ["directory_unavailable", ...(values.issuer ? ["task_invalid"] : ofBearers)]) {
  if (!outcomes.has(code)) problems.push(`nobody was told ${code}`);
}
if (growth > MOST_HEAP_GROWTH) problems.push(`the process holds ${(growth / 2 ** 20).toFixed()} MiB more than before`);

const checks: [name: string, problems: readonly string[]][] = [
  ["nobody was wrongly accepted", wrong.get("accepted") ?? []],
  ["nobody was wrongly refused", wrong.get("refused") ?? []],
  ["the bounds were kept, and everything was lived through", problems],
];
for (const [name, found] of checks) {
  console.log([`${found.length === 0 ? "passed" : "FAILED"}  ${name}`, ...found.slice(0, 20)].join("\n        "));
}
const failed = checks.filter(([, found]) => found.length > 0).length;
console.log(`\nseed ${seed}\n${checks.length - failed} passed, ${failed} failed`);
await place.close();
process.exit(failed > 0 ? 1 : 0);
