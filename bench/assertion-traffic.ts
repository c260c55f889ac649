/** HTTP load of AgentAssertions next to bearer tokens, in interleaved rounds on one server. */

import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { AssertionServerQuestion } from "./assertion-server.js";
import type { Trust } from "./backend.js";
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
    const rates: Record<keyof AssertionTraffic | "bare", number[]> = {
      bare: [],
      bearer: [],
      repeated: [],
      firstSeen: [],
    };
    const hot = { from: 0, count: HOT_TOKENS, requests };
    for (let round = -1; round < rounds; round++) {
      const unseen = { from: HOT_TOKENS + Math.max(round, 0) * requests, count: requests };
      const turns = {
        bare: await send(bearers, { url: `${url}/bare`, ...hot }),
        bearer: await send(bearers, { url: `${url}/tasks`, ...hot }),
        repeated: await send(assertions, { url: `${url}/tasks`, scheme: "AgentAssertion", ...hot }),
        // The first round warms up, and leaves what is first seen alone.
        ...(round >= 0 && {
          firstSeen: await send(assertions, { url: `${url}/tasks`, scheme: "AgentAssertion", ...unseen }),
        }),
      };
      if (round < 0) continue;
      for (const [kind, rate] of Object.entries(turns)) rates[kind as keyof typeof rates].push(rate);
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
  return agents.map(({ id, publicKey }) => [id, publicKey.export({ format: "jwk" }).x ?? ""]);
}
