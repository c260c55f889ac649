/** An issuer that real processes share on real databases: no key and no revocation is lost, whatever happens to the database. */

import { fork } from "node:child_process";
import { createPrivateKey, randomUUID, sign, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Pool } from "undici";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import type { MintClaims, MintedToken } from "../../src/issuer.js";
import type { AgentIdentityClaims } from "../../src/protocol/claims.js";
import { assertion, timestamp } from "../support/assertions.js";
import { engineNamed, engines, unavailable, type Opened } from "./engines.js";
import type { Call, Calls, Return } from "./issuer-member.js";
import {
  missingFor,
  startPostgres,
  startRedis,
  startServer,
  type DatabaseServer,
  type Server,
} from "../support/databases.js";

const TESTED = ["node-redis 6", "pg", "better-sqlite3", "node:sqlite"];
const MEMBERS = 6;
const ROUNDS = 3;
const REVOCATIONS = 200;
const ROTATIONS = 20;
const MINTS = 1_000;
const CONNECTIONS = 16;
/** ms */
const LATEST = 3_000;

const somebody: MintClaims = { accountId: "acct-1", chatgptUserId: "user-1" };

const print = (...cells: string[]) => {
  console.log(`| ${cells.join(" | ")} |`);
};

for (const reason of unavailable) console.log(`SKIPPED: the issuer on ${reason}`);

type Member = Awaited<ReturnType<typeof forkMember>>;

/** A process with an issuer. */
async function forkMember(engine: string) {
  const execArgv = ["--no-warnings", "--import", "tsx"];
  const file = join(import.meta.dirname, "issuer-member.ts");
  const child = fork(file, [engine], { execArgv, serialization: "advanced" });
  await once(child, "message");
  const waiting: ((answer: Return) => void)[] = [];
  child.on("message", (answer: Return) => waiting[answer[0]]?.(answer));
  type Value<Name extends keyof Calls> = Awaited<ReturnType<Calls[Name]>>;
  return {
    async call<Name extends keyof Calls>(name: Name, ...args: Parameters<Calls[Name]>): Promise<Value<Name>> {
      const [, value, error] = await new Promise<Return>((resolve) => {
        child.send([waiting.push(resolve) - 1, name, args] satisfies Call);
      });
      if (error !== undefined) throw new Error(error);
      return value as Value<Name>;
    },
    end: () => child.kill(),
  };
}

const forkMembers = (engine: string, count: number) =>
  Promise.all(Array.from({ length: count }, () => forkMember(engine)));

/** An agent that has registered its task. */
interface Agent {
  id: string;
  privateKey: KeyObject;
  taskId: string;
}

type Client = Awaited<ReturnType<typeof listen>>;

/** Serves the member's API until the test ends. */
async function listen(member: Member, hasFind = true) {
  const pool = new Pool(await member.call("listen", hasFind), { connections: CONNECTIONS });
  onTestFinished(() => pool.destroy());
  const get = async (path: string, authorization = "") => {
    const { statusCode, body } = await pool.request({ path, method: "GET", headers: { authorization } });
    await body.dump();
    return statusCode;
  };
  const register = async ({ id, privateKey }: Omit<Agent, "taskId">) => {
    const time = timestamp();
    const signature = sign(null, Buffer.from(`${id}:${time}`), privateKey).toString("base64");
    const { statusCode, body } = await pool.request({
      path: `/v1/agent/${id}/task/register`,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ timestamp: time, signature }),
    });
    return { status: statusCode, answer: (await body.json()) as { task_id: string } };
  };
  const enrol = async (): Promise<Agent> => {
    const [{ token, agentRuntimeId: id } = expect.fail()] = await member.call("mint", somebody, 1);
    const payload = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as AgentIdentityClaims;
    const key = Buffer.from(payload.agent_private_key, "base64");
    const agent = { id, privateKey: createPrivateKey({ key, format: "der", type: "pkcs8" }) };
    return { ...agent, taskId: (await register(agent)).answer.task_id };
  };
  return { get, register, enrol };
}

const signed = (agent: Agent, offset = 0) => assertion(agent, agent.taskId, timestamp(offset));

async function expectGood(member: Member, minted: readonly MintedToken[]): Promise<void> {
  const verifier = createVerifier("https://gw.example", { jwks: { keySet: await member.call("jwks") } });
  for (const { token } of minted) expect(await verifier.verify(token)).toMatchObject({ accountId: "acct-1" });
}

/** The other operations need no write. */
const WRITES = /^(mint|rotate|revoke|reinstate|registration|first)/;

/** Everything that a backend does. */
function operationsOf(member: Member, client: Client, agent: Agent): Record<string, () => Promise<unknown>> {
  const name = `new-${randomUUID()}`;
  return {
    createIssuer: () => member.call("startAgain"),
    jwks: () => member.call("jwks"),
    "jwks route": () => client.get("/agent-identities/jwks"),
    "AgentAssertion route": () => client.get("/tasks", signed(agent)),
    mint: () => member.call("mint", somebody, 1),
    "mint for a known agent": () => member.call("mint", { ...somebody, agentRuntimeId: agent.id }, 1),
    rotateKey: () => member.call("rotateKey", 0),
    revokeAgent: () => member.call("revokeAgent", "somebody-else"),
    reinstateAgent: () => member.call("reinstateAgent", "somebody-else"),
    "registration route": async () => (await client.register(agent)).status,
    "first createIssuer": () => member.call("startAgain", name),
  };
}

/** All at once. A result is an error's message, a status, or `good`; a duration is in ms. */
async function run(operations: Record<string, () => Promise<unknown>>) {
  const startedAt = performance.now();
  return Promise.all(
    Object.entries(operations).map(async ([name, operation]) => {
      const value = await operation().catch(String);
      const isGood = name.endsWith("route") ? value === 200 : !String(value).includes("Error");
      return { name, result: isGood ? "good" : String(value), duration: performance.now() - startedAt };
    }),
  );
}

for (const engine of engines.filter(({ name }) => TESTED.includes(name))) {
  const missing = missingFor(engine.server);
  if (missing !== undefined) console.log(`SKIPPED: the issuer on ${engine.name}: ${missing} is not installed`);

  describe.skipIf(missing !== undefined)(`the issuer on ${engine.name}`, () => {
    let server: Server;
    let database: DatabaseServer | undefined;
    let members: Member[];
    /** Where the members have started last. In Redis, it is a database with a number. */
    let place: string;
    let starts = 0;
    const first = () => members[0] ?? expect.fail();

    beforeAll(async () => {
      if (engine.server === "redis") server = database = await startRedis();
      else if (engine.server === "postgres") server = database = await startPostgres();
      else server = await startServer(engine.server);
      members = await forkMembers(engine.name, MEMBERS);
      await startAll();
    });
    afterAll(async () => {
      for (const member of members) member.end();
      await server.stop();
    });

    /** All members at once, where nothing has been yet. @returns the kids that each of them publishes */
    async function startAll(): Promise<string[]> {
      place = engine.server === "redis" ? `${server.url}/${++starts}` : await engine.createPlace(server.url);
      const at = Date.now() + 300;
      return Promise.all(members.map((member) => member.call("start", place, at)));
    }

    test(`${MEMBERS} first starts at once make one key, and every token is good`, async () => {
      for (let round = 1; round <= ROUNDS; round++) {
        const kids = await startAll();
        const minted = (await Promise.all(members.map((member) => member.call("mint", somebody, 2)))).flat();
        for (const member of members) await expectGood(member, minted);
        print(engine.name, `${MEMBERS} first starts, round ${round}`, kids.map((kid) => kid.slice(0, 6)).join());
        expect(new Set(kids).size).toBe(1);
        expect(kids[0]).not.toContain(",");
      }
    });

    test(`${MEMBERS} rotations at once make one key`, async () => {
      const before = await first().call("kids");
      await Promise.all(members.map((member) => member.call("rotateKey")));
      const after = new Set(await Promise.all(members.map((member) => member.call("kids"))));
      print(
        engine.name,
        `${MEMBERS} rotations at once`,
        `keys: ${[...after].map((kids) => kids.split(",").length).join()}`,
      );
      expect(after.size).toBe(1);
      expect([...after].join().split(",")).toHaveLength(before.split(",").length + 1);
    });

    test(`${MINTS} mints during ${ROTATIONS} rotations are good`, async () => {
      await first().call("rotateKey", 0); // no key waits any more
      const kidsBefore = (await first().call("kids")).split(",");
      const all: MintedToken[] = [];
      const [rotating = expect.fail(), ...minting] = members;
      for (let rotation = 0; rotation < ROTATIONS; rotation++) {
        let isRotating = true;
        const rotated = rotating.call("rotateKey", 0).finally(() => (isRotating = false));
        const batches = minting.map(async (member) => {
          const minted: MintedToken[] = [];
          while (isRotating || minted.length < MINTS / ROTATIONS / minting.length) {
            minted.push(...(await member.call("mint", somebody, 1)));
            await sleep(25);
          }
          return minted;
        });
        const minted = (await Promise.all(batches)).flat();
        await rotated;
        await expectGood(first(), minted);
        all.push(...minted);
      }
      await expectGood(first(), all);
      print(engine.name, `${all.length} mints during ${ROTATIONS} rotations`, "all good");
      expect(all.length).toBeGreaterThanOrEqual(MINTS);
      expect((await first().call("kids")).split(",")).toHaveLength(kidsBefore.length + ROTATIONS);
    });

    test("tokens that are minted for one agent everywhere at once are good", async () => {
      const claims = { ...somebody, agentRuntimeId: "agent-1" };
      const minted = (await Promise.all(members.map((member) => member.call("mint", claims, 10)))).flat();
      await expectGood(first(), minted);
      print(engine.name, `${minted.length} mints for one agent at once`, "all good");
    });

    test(`a revocation counts at once in 4 processes, ${REVOCATIONS} times`, async () => {
      const four = members.slice(0, 4);
      const clients = await Promise.all(four.map((member) => listen(member)));
      const agent = await (clients[0] ?? expect.fail()).enrol();
      const envelope = signed(agent);
      const ask = () => Promise.all(clients.map((client) => client.get("/tasks", envelope)));
      let stale = 0;
      for (let round = 0; round < REVOCATIONS; round++) {
        const revoking = four[round % four.length] ?? expect.fail();
        // Equal assertions that arrive together share a look-up, but not with those from before the revocation.
        const earlier = ask();
        await revoking.call("revokeAgent", agent.id);
        stale += (await ask()).filter((status) => status !== 401).length;
        await earlier;
        await revoking.call("reinstateAgent", agent.id);
        expect(await ask()).toEqual(clients.map(() => 200));
      }
      print(engine.name, `${REVOCATIONS} revocations in 4 processes`, `stale: ${stale}`);
      expect(stale).toBe(0);
    });

    /**
     * While the fault lasts, `failing` operations fail in time and change nothing, and all others are good. Afterwards all are.
     * @param begin returns what ends the fault
     */
    async function during(name: string, failing: RegExp, begin: (opened: Opened) => () => unknown): Promise<void> {
      const opened = await engine.open(place);
      onTestFinished(() => void opened.close());
      const client = await listen(first());
      const agent = await client.enrol();
      const entries = ["signing-keys", `agent:${agent.id}`, `task:${agent.taskId}`];
      const read = () => opened.store.getMany?.(entries.map((entry) => `{agent-identity-auth}:${entry}`));
      const before = await read();
      const operations = operationsOf(first(), client, agent);

      const end = begin(opened);
      const outcomes = await run(operations).finally(end);
      const slowest = Math.max(...outcomes.map(({ duration }) => duration));
      const failed = outcomes.filter(({ result }) => result !== "good");
      print(engine.name, name, `${failed.length} of ${outcomes.length} failed, within ${Math.round(slowest)} ms`);
      expect(failed.map(({ name }) => name)).toEqual(Object.keys(operations).filter((name) => failing.test(name)));
      for (const { name, result } of failed) expect(result, name).toMatch(name.endsWith("route") ? /^503$/ : /Error/);
      expect(slowest).toBeLessThan(LATEST);
      expect(await read()).toEqual(before);

      // A database's client may need a moment to find out.
      await expect.poll(() => first().call("kids").catch(String), { timeout: 10_000 }).not.toContain("Error");
      await first().call("reinstateAgent", "somebody-else");
      expect((await run(operations)).filter(({ result }) => result !== "good")).toEqual([]);
    }

    if (engine.server === "file") {
      test("another process keeps the file locked", () =>
        during("file locked", WRITES, (opened) => {
          opened.exec?.("BEGIN IMMEDIATE");
          return () => opened.exec?.("ROLLBACK");
        }));
      return;
    }

    test("the server is stopped with SIGSTOP", () =>
      during("SIGSTOP", /./, () => {
        database?.signal("SIGSTOP");
        return () => database?.signal("SIGCONT");
      }));

    const configured = (setting: string, value: string, normal: string) => () => {
      database?.configure(setting, value);
      return () => database?.configure(setting, normal);
    };
    if (engine.server === "postgres") {
      const readOnly = configured("default_transaction_read_only", "on", "off");
      test("the server is read-only", () => during("read-only", WRITES, readOnly));
      return;
    }
    const readOnly = configured("min-replicas-to-write", "1", "0");
    test("the server is read-only", () => during("read-only", WRITES, readOnly));
    const full = configured("maxmemory", "1mb", "0");
    const growing = /^(mint|rotate|revoke|registration|first)/; // a full Redis still deletes
    test("the server is out of memory", () => during("out of memory", growing, full));
  });
}

const noRedis = missingFor("redis") !== undefined;

test.skipIf(noRedis)("Redis is killed and loads a large data set while processes start", async () => {
  const options = "--appendonly yes --appendfsync always --enable-debug-command yes";
  const redis = await startRedis(options.split(" "));
  onTestFinished(() => redis.stop());
  const [seeing = expect.fail(), ...starting] = await forkMembers("node-redis 6", 5);
  onTestFinished(() => {
    for (const member of [seeing, ...starting]) member.end();
  });
  const kid = await seeing.call("start", redis.url, 0);
  redis.command("DEBUG POPULATE 400000 other 100");
  redis.command("BGREWRITEAOF");
  while (/aof_rewrite_(in_progress|scheduled):1/.test(redis.command("INFO persistence"))) await sleep(100);
  for (let round = 1; round <= ROUNDS; round++) {
    let isOver = false;
    /** Again and again, and once more when Redis is there again. */
    const repeat = async <T>(work: () => Promise<T>) => {
      const results: (T | string)[] = [];
      for (let isLast = false; !isLast;) {
        isLast = isOver;
        results.push(await work().catch(String));
        await sleep(10);
      }
      return results;
    };
    const startings = starting.map((member) => repeat(() => member.call("start", redis.url, 0)));
    const mints = repeat(() => seeing.call("mint", somebody, 1));
    await sleep(200);
    await redis.restart();
    while (!redis.answers()) await sleep(50);
    isOver = true;
    const results = (await Promise.all(startings)).flat();
    const started = results.filter((result) => !result.includes("Error"));
    const loading = results.filter((result) => result.includes("LOADING")).length;
    const minted = (await mints).filter((result) => typeof result !== "string").flat();
    const starts = `${started.length} of ${results.length} starts good, ${loading} LOADING`;
    print("node-redis 6", `Redis killed, round ${round}`, `${starts}; ${minted.length} mints good`);
    expect(new Set(started)).toEqual(new Set([kid]));
    expect(started.length).toBeGreaterThanOrEqual(starting.length);
    expect(loading).toBeGreaterThan(0);
    expect(await seeing.call("kids")).toBe(kid);
    await expectGood(seeing, minted);
  }
});

describe(`AgentAssertion requests, ${CONNECTIONS} connections`, () => {
  const AGENTS = 20;
  const SECONDS = Number(process.env["RATE_SECONDS"] ?? 1);

  beforeAll(() => {
    print(`AgentAssertions, ${CONNECTIONS} connections`, "with `find`", "without `find`");
    print("---", "---", "---");
  });

  for (const name of ["memory", ...TESTED]) {
    const kind = name === "memory" ? "file" : engines.find((engine) => engine.name === name)?.server;
    test.skipIf(kind === undefined || missingFor(kind) !== undefined)(`on ${name}`, async () => {
      const server = await startServer(kind ?? "file");
      onTestFinished(() => server.stop());
      const member = await forkMember(name);
      onTestFinished(() => {
        member.end();
      });
      await member.call("start", name === "memory" ? "" : await engineNamed(name).createPlace(server.url), 0);
      const clients = [await listen(member, true), await listen(member, false)];
      const [client = expect.fail()] = clients;
      const agents = await Promise.all(Array.from({ length: AGENTS }, () => client.enrol()));
      const envelopes = agents.flatMap((agent) => Array.from({ length: 10 }, (_, i) => signed(agent, -i)));
      for (const client of clients) {
        for (const envelope of envelopes) await client.get("/tasks", envelope); // signatures are remembered afterwards
      }
      const all = clients.map((): number[] => []);
      const measure = async ({ get }: Client, latencies: number[]) => {
        const end = performance.now() + 1_000;
        const send = async () => {
          while (performance.now() < end) {
            const sentAt = performance.now();
            const status = await get("/tasks", envelopes[latencies.length % envelopes.length]);
            latencies.push(performance.now() - sentAt);
            if (status !== 200) expect.fail(String(status));
          }
        };
        await Promise.all(Array.from({ length: CONNECTIONS }, send));
      };
      for (let second = 0; second < SECONDS; second++) {
        for (const [i, client] of clients.entries()) await measure(client, all[i] ?? []); // by turns, on a machine that others use
      }
      const cells = all.map((latencies) => {
        const p99 = latencies.sort((a, b) => a - b)[Math.floor(latencies.length * 0.99)] ?? NaN;
        return `${Math.round(latencies.length / SECONDS)}/s, p99 ${p99.toFixed(1)} ms`;
      });
      print(name, ...cells);
    });
  }
});
