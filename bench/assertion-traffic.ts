/** HTTP load of AgentAssertions next to bearer tokens, in interleaved rounds on one server. */

import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { exportJwk } from "../src/protocol/jwk.js";
import type { AssertionServerQuestion } from "./assertion-server.js";
import type { Trust } from "./backend.js";
import { inBalancedOrder } from "./balanced-order.js";
import type { LoadOrder, LoadResult } from "./load.js";
import { startChild, type Child } from "./processes.js";
import { pairedRatio } from "./statistics.js";
import { HOT_TOKENS } from "./tokens.js";

/** Requests per second as a fraction of the bare route's in the same round, medians of all rounds. */
export interface AssertionTraffic {
  /** 100 tokens again and again: the cache knows them. */
  bearer: number;
  /** 100 agents, whose clients repeat an assertion: two look-ups, and a signature that is remembered. */
  repeated: number;
  /** Each assertion sent once: two look-ups and a signature to verify. */
  firstSeen: number;
}

type Kind = keyof AssertionTraffic | "bare";

export interface AssertionTrafficSetting {
  readonly trust: Trust;
  readonly tokenFile: string;
  readonly assertionFile: string;
  readonly rounds: number;
  /** Of one turn. */
  readonly requests: number;
}

const AGENTS = 100;

export async function measureAssertions(setting: AssertionTrafficSetting): Promise<AssertionTraffic> {
  const { trust, tokenFile, assertionFile, rounds, requests } = setting;
  const agents = writeAssertionFile(assertionFile, HOT_TOKENS + rounds * requests);
  const server = startChild("assertion-server.ts");
  const bearers = startChild("load.ts");
  const assertions = startChild("load.ts");
  try {
    const question: AssertionServerQuestion = { trust, agents };
    const url = (await server.ask(question)) as string;
    await bearers.ask({ read: { tokenFile, count: HOT_TOKENS } });
    await assertions.ask({ read: { tokenFile: assertionFile, count: HOT_TOKENS + rounds * requests } });
    const rates: Record<Kind, number[]> = { bare: [], bearer: [], repeated: [], firstSeen: [] };
    const hot = { from: 0, count: HOT_TOKENS, requests };
    const take = (kind: Kind, round: number): Promise<number> => {
      const tasks = { url: `${url}/tasks`, scheme: "AgentAssertion" } as const;
      if (kind === "bare") return send(bearers, { url: `${url}/bare`, ...hot });
      if (kind === "bearer") return send(bearers, { url: `${url}/tasks`, ...hot });
      if (kind === "repeated") return send(assertions, { ...tasks, ...hot });
      return send(assertions, { ...tasks, from: HOT_TOKENS + round * requests, count: requests });
    };
    // Warms up, and leaves what is first seen alone.
    for (const kind of ["bare", "bearer", "repeated"] as const) await take(kind, 0);
    for (let round = 0; round < rounds; round++) {
      for (const kind of inBalancedOrder(Object.keys(rates) as Kind[], round))
        rates[kind].push(await take(kind, round));
    }
    const ofBare = (kind: keyof AssertionTraffic) => pairedRatio(rates[kind], rates.bare).median;
    return { bearer: ofBare("bearer"), repeated: ofBare("repeated"), firstSeen: ofBare("firstSeen") };
  } finally {
    await Promise.all([server, bearers, assertions].map((child) => child.stop()));
  }
}

async function send(load: Child, order: LoadOrder): Promise<number> {
  const { latencies, duration } = (await load.ask({ send: order })) as LoadResult;
  return latencies.length / (duration / 1000);
}

/** Distinct ones: the agents take turns, and each signs a time of its own. All are within the window for 4 minutes. */
function writeAssertionFile(path: string, count: number): AssertionServerQuestion["agents"] {
  const agents = Array.from({ length: AGENTS }, () => ({ id: randomUUID(), ...generateKeyPairSync("ed25519") }));
  const now = Math.floor(Date.now() / 1000);
  const lines = Array.from({ length: count }, (_, i) => {
    const agent = agents[i % AGENTS];
    if (agent === undefined) throw new Error("there are no agents");
    const { id, privateKey } = agent;
    const timestamp = `${new Date((now + 290 - Math.floor(i / AGENTS)) * 1000).toISOString().slice(0, 19)}Z`;
    const signature = sign(null, Buffer.from(`${id}:${id}:${timestamp}`), privateKey).toString("base64");
    const envelope = { agent_runtime_id: id, signature, task_id: id, timestamp };
    return Buffer.from(JSON.stringify(envelope)).toString("base64url");
  });
  writeFileSync(path, lines.join("\n"));
  return agents.map(({ id, publicKey }) => [id, exportJwk(publicKey).x ?? ""]);
}
