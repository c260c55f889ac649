/** The load, in a process of its own: many connections, each with its own seeded mix, and a record of every request. */

import { createPrivateKey, type JsonWebKey } from "node:crypto";
import { Agent, request, type IncomingHttpHeaders } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { answerParent } from "../support/processes.js";
import type { SigningKey } from "../support/agents.js";
import { createAgent } from "../support/assertions.js";
import { agentOfToken, AssertionTraffic, registration, type RegisteredAgent } from "./assertion-traffic.js";
import { BearerTraffic, HotTokens, type Deployment } from "./bearer-traffic.js";
import { createRunClock, type RunClock } from "./clock.js";
import { createRandom, type Random } from "./random.js";
import type { Schedule } from "./schedule.js";
import { LASTING_AGENTS } from "./settings.js";
import type { Shot, TrafficClass, Truth } from "./traffic.js";

export interface LoadSetUp {
  readonly schedule: Schedule;
  /** Of the server under test. */
  readonly serverUrl: string;
  /** Those of every scheduled key, by deployment. */
  readonly privateKeys: readonly (readonly JsonWebKey[])[];
  readonly refusedKey: { readonly kid: string; readonly privateKey: JsonWebKey };
  readonly agentTokens: readonly string[];
}

export type LoadQuestion = { setUp: LoadSetUp } | { beginAt: number } | { take: true };

export interface LoadProgress {
  /** Since the last time. */
  readonly records: RequestRecord[];
  readonly isOver: boolean;
}

/** Times in ms since the start of the run. */
export interface RequestRecord {
  readonly what: TrafficClass;
  readonly truth: Truth;
  readonly path: string;
  readonly sentAt: number;
  readonly answeredAt: number;
  /** `accepted`, the code of the error, or what else came of it. */
  readonly outcome: string;
  /** The agent that the server took it for. */
  readonly identity?: string;
}

interface Connections {
  readonly name: string;
  readonly count: number;
  /** ms between an answer and the next request, on average. */
  readonly meanPause: number;
  /** `undefined` while there is nothing to send. */
  readonly next: (random: Random, at: number) => Shot | undefined;
}

/** ms; no answer may take longer. */
const LONGEST_ANSWER = 10_000;
/** ms between two looks whether there is anything to send. */
const IDLE = 20;

let start: ((clock: RunClock) => Promise<unknown>) | undefined;
let isOver = false;
let records: RequestRecord[] = [];

answerParent((question: LoadQuestion) => {
  if ("setUp" in question) return setUp(question.setUp);
  if ("beginAt" in question) {
    void start?.(createRunClock(question.beginAt)).then(() => (isOver = true));
    return undefined;
  }
  const progress: LoadProgress = { records, isOver };
  records = [];
  return progress;
});

async function setUp({ schedule, serverUrl, privateKeys, refusedKey, agentTokens }: LoadSetUp): Promise<void> {
  const deployments = schedule.deployments.map((deployment, d): Deployment => {
    const keys = deployment.keys.map((key, i) => ({ ...key, ...importKey(key.kid, privateKeys[d]?.[i] ?? {}) }));
    return { schedule: deployment, keys };
  });
  const hot = new HotTokens();
  const untrusted = importKey(refusedKey.kid, refusedKey.privateKey);
  const bearer = deployments.map((_, i) => new BearerTraffic(i, deployments, hot, untrusted));

  const connection = new Connection(serverUrl, () => 0);
  const agents: RegisteredAgent[] = [];
  for (const token of agentTokens) {
    const agent = agentOfToken(token);
    const { task_id: taskId } = await connection.post(registration("task registration", agent));
    if (taskId === undefined) throw new Error("an agent could not register its task before the start");
    agents.push({ agent, taskId });
  }
  const [lasting, revocable] = [agents.slice(0, LASTING_AGENTS), agents.slice(LASTING_AGENTS)];
  const assertions = new AssertionTraffic(lasting, revocable, createAgent("stranger"), deployments.length);

  const mix: Connections[] = [
    { name: "bearer", count: 24, meanPause: 25, next: (random, at) => random.pick(bearer).next(random, at) },
    { name: "assertions", count: 10, meanPause: 30, next: (random, at) => assertions.next(random, at) },
    {
      name: "flood",
      count: 8,
      meanPause: 6,
      next(random, at) {
        const flooded = bearer.filter((traffic) => traffic.isFlooded(at));
        return flooded.length > 0 ? random.pick(flooded).nextOfFlood(random, at) : undefined;
      },
    },
  ];
  start = (clock) =>
    Promise.all(
      mix.flatMap(({ name, count, meanPause, next }) =>
        Array.from({ length: count }, async (_, i) => {
          const random = createRandom(schedule.seed, name, i);
          const connection = new Connection(serverUrl, clock);
          await delay(Math.max(-clock(), 0));
          for (let at = clock(); at < schedule.duration; at = clock()) {
            const shot = next(random, at);
            if (shot) {
              const record = await connection.send(shot); // not in the next line: `records` may be another list by then
              records.push(record);
            }
            await delay(shot ? -Math.log(1 - random.fraction()) * meanPause : IDLE);
          }
        }),
      ),
    );
}

function importKey(kid: string, key: JsonWebKey): SigningKey {
  return { kid, privateKey: createPrivateKey({ key, format: "jwk" }), jwk: {} };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One connection, which is kept. */
class Connection {
  readonly #url: string;
  readonly #clock: RunClock;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(url: string, clock: RunClock) {
    this.#url = url;
    this.#clock = clock;
  }

  async send(shot: Shot): Promise<RequestRecord> {
    const { what, truth, path } = shot;
    const sentAt = this.#clock();
    const answered = await this.#ask(shot).then(readAnswer, (error: unknown) => ({
      outcome: `no answer (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
    }));
    return { what, truth, path, sentAt, answeredAt: this.#clock(), ...answered };
  }

  async post(shot: Shot): Promise<{ task_id?: string }> {
    return JSON.parse((await this.#ask(shot)).body) as { task_id?: string };
  }

  /** `node:http` and not `fetch`: what is malformed is sent as it is. */
  #ask({ path, headers, body }: Shot): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const method = body === undefined ? "GET" : "POST";
      const asked = request(
        this.#url + path,
        { agent: this.#agent, headers, method, timeout: LONGEST_ANSWER },
        (res) => {
          const chunks: Buffer[] = [];
          res.on("data", (chunk: Buffer) => chunks.push(chunk));
          res.on("error", reject).on("end", () => {
            resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks).toString() });
          });
        },
      );
      asked.on("timeout", () => asked.destroy(new Error("it took too long"))).on("error", reject);
      asked.end(body);
    });
  }
}

function readAnswer({ status, headers, body }: Answer): Pick<RequestRecord, "outcome" | "identity"> {
  const answer = parse(body);
  if (status === 200) {
    return { outcome: "accepted", ...(answer.agentRuntimeId !== undefined && { identity: answer.agentRuntimeId }) };
  }
  const code = answer.error?.code === "invalid_task_id" ? "task_invalid" : answer.error?.code;
  if (code === undefined || status !== statusOf(code)) return { outcome: `status ${status}, ${code ?? "no code"}` };
  const retryAfter = Number(headers["retry-after"] ?? NaN);
  const tellsWhatToDo =
    status === 503
      ? Number.isInteger(retryAfter) && retryAfter >= 1 && retryAfter <= 30
      : headers["www-authenticate"]?.startsWith("Bearer realm=");
  const isRight = tellsWhatToDo && headers["cache-control"] === "no-store";
  return { outcome: isRight ? code : `${code}, with the wrong headers` };
}

function parse(body: string): { agentRuntimeId?: string; error?: { code?: string } } {
  try {
    return JSON.parse(body) as { agentRuntimeId?: string };
  } catch {
    return {};
  }
}

function statusOf(code: string): number {
  if (code.endsWith("_unavailable")) return 503;
  if (code.endsWith("_not_allowed") && code !== "algorithm_not_allowed") return 403;
  return code === "request_malformed" ? 400 : 401;
}
