import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import express from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  type AgentDirectory,
  type AgentIdentityAuthOptions,
} from "../../src/index.js";
import { exportJwk } from "../../src/protocol/jwk.js";
import { importAgentKey } from "../../src/verify/assertions/agent-keys.js";
import { mint, now, signingKey } from "../support/agents.js";
import {
  assertion,
  createAgent,
  createDirectory,
  encodeEnvelope,
  signEnvelope,
  timestamp,
  type Envelope,
} from "../support/assertions.js";
import { listen, send, type Answer } from "../support/servers.js";
import { watchSignatureJobs } from "../support/signature-jobs.js";
import { takeOverClock } from "../support/clock.js";

const base = "https://chatgpt.com/backend-api";
const jwks = { keySet: { keys: [signingKey.jwk] } };
const agent = createAgent("agent-1");

async function start(directory: AgentDirectory = createDirectory(agent), options: AgentIdentityAuthOptions = {}) {
  const agents = agentIdentityAuth(base, { jwks, directory, ...options });
  const app = express();
  app.get("/", agents, (req, res) => res.json(req.agentIdentity));
  app.get("/acct-2", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-2" }), (req, res) =>
    res.json(req.agentIdentity),
  );
  app.use(agentIdentityErrorHandler());
  const { url } = await listen(app);
  return (authorization: string, headers: Record<string, string> = {}, path = "/") =>
    send(url + path, { Authorization: authorization, ...headers });
}

/** The code of a refusal, or "accepted". */
function verdict({ status, body, headers }: Answer): string {
  if (status === 200) return "accepted";
  const { error } = JSON.parse(body) as { error: { code: string } };
  expect(headers["cache-control"]).toBe("no-store");
  if (status === 401)
    expect(headers["www-authenticate"]).toMatch(/^Bearer realm="agent-identity"(, error="invalid_token"|$)/);
  else expect(headers["retry-after"]).toBe(status === 503 ? "1" : undefined);
  return `${String(status)} ${error.code}`;
}

test("an assertion becomes an identity: frozen, with the task that it was made for", async () => {
  const directory = createDirectory(agent);
  const agents = agentIdentityAuth(base, { jwks, directory: directory });
  const time = timestamp(-5);
  const identity = await agents.authenticate({ headers: { authorization: assertion(agent, "task-1", time) } });
  expect(identity).toEqual({
    agentRuntimeId: "agent-1",
    accountId: "acct-1",
    chatgptUserId: "user-1",
    email: null,
    planType: "enterprise",
    chatgptAccountIsFedramp: false,
    issuedAt: Date.parse(time) / 1000,
    expiresAt: directory.tasks.get("task-1")?.expiresAt,
    taskId: "task-1",
  });
  expect(Object.isFrozen(identity)).toBe(true);
});

describe("schemes", () => {
  test("both are accepted by the one middleware, in any case and with any number of spaces", async () => {
    const ask = await start();
    const [, envelope = ""] = assertion(agent).split(" ");
    expect(verdict(await ask(`Bearer ${mint()}`))).toBe("accepted");
    expect(verdict(await ask(`aGENTaSSERTION   ${envelope}`))).toBe("accepted");
    expect(verdict(await ask("Basic x"))).toBe("401 scheme_unsupported");
  });

  test.each([
    "AgentAssertion",
    "AgentAssertion ",
    "AgentAssertion\te30",
    "AgentAssertion e30 x",
    "AgentAssertion e30,x",
  ])("a malformed header is a malformed request: %j", async (authorization) => {
    const ask = await start();
    expect(verdict(await ask(authorization))).toBe("400 request_malformed");
  });

  test("bearer: false accepts assertions only", async () => {
    const ask = await start(createDirectory(agent), { bearer: false });
    expect(verdict(await ask(`Bearer ${mint()}`))).toBe("401 scheme_unsupported");
    expect(verdict(await ask(assertion(agent)))).toBe("accepted");
  });

  test("credentialsRequired: false still refuses a bad assertion", async () => {
    const ask = await start(createDirectory(agent), { credentialsRequired: false });
    expect(verdict(await ask("AgentAssertion e30"))).toBe("401 assertion_malformed");
    expect(verdict(await ask(""))).toBe("accepted");
  });

  test("login restrictions apply to both", async () => {
    const ask = await start();
    for (const authorization of [assertion(agent), `Bearer ${mint()}`]) {
      expect(verdict(await ask(authorization, {}, "/acct-2"))).toBe("403 workspace_not_allowed");
    }
  });
});

describe("assertion_malformed", () => {
  const envelope = signEnvelope(agent);
  const json = JSON.stringify(envelope);
  const withMember = (member: object) => encodeEnvelope({ ...envelope, ...member });
  test.each<[string, string]>([
    ["no base64url", "e30~"],
    ["padded", `${encodeEnvelope(`${json} `)}==`],
    ["of standard base64", Buffer.from(`{"x":"???>>>"}`).toString("base64")],
    ["with a stray trailing bit", "e31"],
    ["not JSON", encodeEnvelope("hello")],
    ["not UTF-8", Buffer.from([0x22, 0xff, 0x22]).toString("base64url")],
    ["marked with a byte order", encodeEnvelope(`\ufeff${json}`)],
    ["an array", encodeEnvelope([envelope])],
    ["null", encodeEnvelope("null")],
    ["without a member", withMember({ task_id: undefined })],
    ["with a member too many", withMember({ extra: "x" })],
    ["with a member in place of another", withMember({ task_id: undefined, extra: "x" })],
    ["with a member of another type", withMember({ signature: 1 })],
    ["with a null member", withMember({ task_id: null })],
    ["over 4 KiB", withMember({ signature: "A".repeat(3_000) })],
    ...[
      "",
      "a:b",
      "a/b",
      "a?b",
      "a#b",
      "a%b",
      "a b",
      "a\u00a0b",
      "a\nb",
      "a\u0000b",
      "a\u200bb",
      "x".repeat(129),
    ].flatMap((id): [string, string][] => [
      [`with the agent id ${JSON.stringify(id)}`, withMember({ agent_runtime_id: id })],
      [`with the task id ${JSON.stringify(id)}`, withMember({ task_id: id })],
    ]),
    ...[
      "",
      "now",
      String(now()),
      "2026-01-01T00:00:00.000Z",
      "2026-01-01T00:00:00+00:00",
      "2026-01-01T00:00:00z",
      "2026-01-01 00:00:00Z",
      "2026-1-1T00:00:00Z",
      "2026-02-30T00:00:00Z",
      "2026-01-01T24:00:00Z",
      "2026-01-01T00:00:60Z",
      "+002026-01-01T00:00:00Z",
      "+012026-01-01T00:00Z",
    ].map((time): [string, string] => [`with the timestamp ${JSON.stringify(time)}`, withMember({ timestamp: time })]),
  ])("%s", async (_, value) => {
    const directory = createDirectory(agent);
    const ask = await start(directory);
    expect(verdict(await ask(`AgentAssertion ${value}`))).toBe("401 assertion_malformed");
    expect(directory.asked).toEqual([]);
  });

  test("128 characters are not too many, and none of them need be a letter", async () => {
    const odd = createAgent("é".repeat(64) + "-._~!$&'()*+,;=@".repeat(4));
    const ask = await start(createDirectory(odd));
    expect(odd.id).toHaveLength(128);
    expect(verdict(await ask(assertion(odd)))).toBe("accepted");
  });
});

test.each([
  [-297, "accepted"],
  [297, "accepted"],
  [-302, "401 assertion_stale"],
  [302, "401 assertion_stale"],
])("signed %i s from now: %s", async (offset, expected) => {
  const directory = createDirectory(agent);
  const ask = await start(directory);
  expect(verdict(await ask(assertion(agent, "task-1", timestamp(offset))))).toBe(expected);
  expect(directory.asked).toEqual(expected === "accepted" ? ["agent-1", "task-1"] : []);
});

test("an assertion ages while it is repeated, although its signature is remembered", async () => {
  const clock = takeOverClock();
  const ask = await start();
  const authorization = assertion(agent);
  for (let i = 0; i < 3; i++) expect(verdict(await ask(authorization))).toBe("accepted");
  clock.advance(301_000);
  expect(verdict(await ask(authorization))).toBe("401 assertion_stale");
});

describe("assertion_invalid", () => {
  const expired = createAgent("expired", { expiresAt: now() - 1 });
  const stranger = createAgent("stranger");
  const impostor = { ...stranger, id: "agent-1" };
  const other = createAgent("other");

  test.each<[string, string, Record<string, string>?]>([
    ["an unknown agent", assertion(stranger)],
    ["a signature of another key", assertion(impostor)],
    ["an agent that has expired", assertion(expired, "task-2")],
    ["another account", assertion(agent), { "ChatGPT-Account-ID": "acct-2" }],
    ["an empty account", assertion(agent), { "ChatGPT-Account-ID": "" }],
    ["no base64 for a signature", `AgentAssertion ${encodeEnvelope({ ...signEnvelope(agent), signature: "~" })}`],
    ["an empty signature", `AgentAssertion ${encodeEnvelope({ ...signEnvelope(agent), signature: "" })}`],
    [
      "what was signed for another task",
      `AgentAssertion ${encodeEnvelope({ ...signEnvelope(agent), task_id: "task-3" })}`,
    ],
  ])("%s", async (_, authorization, headers) => {
    const ask = await start(createDirectory(agent, expired, other));
    // A second time too: no refusal is remembered for an acceptance.
    for (let time = 0; time < 2; time++) {
      expect(verdict(await ask(authorization, headers))).toBe("401 assertion_invalid");
    }
  });

  test("an agent that signs as another one, each with a key of its own", async () => {
    const ask = await start(createDirectory(agent, other));
    expect(verdict(await ask(assertion(agent)))).toBe("accepted");
    expect(verdict(await ask(assertion(other, "task-2")))).toBe("accepted");
    expect(verdict(await ask(assertion({ ...agent, id: "other" }, "task-2")))).toBe("401 assertion_invalid");
  });

  test("all of these are one answer, byte by byte", async () => {
    const ask = await start(createDirectory(agent, expired));
    const answers = [
      await ask(assertion(stranger)),
      await ask(assertion(impostor)),
      await ask(assertion(expired, "task-2")),
      await ask(assertion(agent), { "ChatGPT-Account-ID": "acct-2" }),
    ].map(({ headers, ...answer }) => ({ ...answer, headers: { ...headers, date: "" } }));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  test("an unknown agent costs a verification, as a known one does", async () => {
    const ask = await start();
    // The key that stands in for the key of an unknown agent is the example of RFC 8037, whose private half is public.
    const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
    const d = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
    const nobody = { id: "nobody", privateKey: createPrivateKey({ key: { ...jwk, d }, format: "jwk" }) };
    for (const authorization of [impostor, stranger, nobody, nobody].map((each) => assertion(each))) {
      const jobs = watchSignatureJobs();
      expect(verdict(await ask(authorization))).toBe("401 assertion_invalid");
      expect(jobs).toEqual({ started: 1, calledBack: 1 });
    }
  });

  test("an agent is valid up to the second before its expiresAt", async () => {
    takeOverClock(); // it stands still
    for (const [end, expected] of [
      [now() + 1, "accepted"],
      [now(), "401 assertion_invalid"],
    ] as const) {
      const ask = await start(createDirectory(createAgent("agent-1", { ...agent.entry, expiresAt: end })));
      expect(verdict(await ask(assertion(agent)))).toBe(expected);
    }
  });

  test("the right account may be named", async () => {
    const ask = await start();
    expect(verdict(await ask(assertion(agent), { "ChatGPT-Account-ID": "acct-1" }))).toBe("accepted");
  });
});

test("a public key of Ed25519 is imported once, and nothing else is imported", () => {
  const { publicKey, privateKey } = createAgent("agent-1"); // no other test has imported its key
  const jwk = exportJwk(publicKey);
  for (const key of [jwk, publicKey]) {
    const imported = importAgentKey(key);
    expect(imported?.bytes.toString("base64url")).toBe(jwk.x);
    expect(importAgentKey(key)).toBe(imported);
  }
  for (const key of [privateKey, { ...jwk, x: "AA" }, { ...jwk, x: 1 }, signingKey.jwk, null]) {
    expect(importAgentKey(key)).toBeUndefined();
  }
});

test("any one byte that is tampered with is found, although the signature is remembered", async () => {
  const ask = await start();
  const envelope = signEnvelope(agent);
  expect(verdict(await ask(`AgentAssertion ${encodeEnvelope(envelope)}`))).toBe("accepted");
  const refusals = new Set<string>();
  const codes: Record<keyof Envelope, RegExp> = {
    agent_runtime_id: /^401 assertion_(invalid|malformed)$/,
    task_id: /^401 assertion_(invalid|malformed)$/,
    timestamp: /^401 assertion_(invalid|malformed|stale)$/,
    signature: /^401 assertion_invalid$/,
  };
  for (const [name, pattern] of Object.entries(codes) as [keyof Envelope, RegExp][]) {
    const value = Buffer.from(envelope[name]);
    for (let i = 0; i < value.length; i++) {
      const tampered = Buffer.from(value);
      tampered[i] = (tampered[i] ?? 0) ^ 1;
      const code = verdict(await ask(`AgentAssertion ${encodeEnvelope({ ...envelope, [name]: tampered.toString() })}`));
      expect(code, `${name} ${tampered.toString()}`).toMatch(pattern);
      refusals.add(code);
    }
  }
  expect([...refusals].sort()).toEqual(["401 assertion_invalid", "401 assertion_malformed", "401 assertion_stale"]);
});

describe("task_invalid", () => {
  const other = createAgent("other");
  test.each(["unknown", "task-2", "task-3"])(
    "of a task that is unknown, another agent's, or expired: %s",
    async (taskId) => {
      const directory = createDirectory(agent, other, agent);
      directory.tasks.set("task-3", { agentRuntimeId: "agent-1", expiresAt: now() });
      const ask = await start(directory);
      const answer = await ask(assertion(agent, taskId));
      // The code that makes Codex clients register anew.
      expect(verdict(answer)).toBe("401 invalid_task_id");
      expect(answer.headers["www-authenticate"]).toContain('error_description="The task is unknown or has expired."');
      const agents = agentIdentityAuth(base, { jwks, directory: directory });
      const request = { headers: { authorization: assertion(agent, taskId) } };
      await expect(agents.authenticate(request)).rejects.toMatchObject({ code: "task_invalid", status: 401 });
    },
  );
});

describe("the directory", () => {
  test("is asked both questions on each request: revocation is immediate", async () => {
    const directory = createDirectory(agent);
    const ask = await start(directory);
    const authorization = assertion(agent);
    for (let i = 0; i < 3; i++) expect(verdict(await ask(authorization))).toBe("accepted");
    expect(directory.asked).toEqual(["agent-1", "task-1", "agent-1", "task-1", "agent-1", "task-1"]);
    directory.tasks.clear();
    expect(verdict(await ask(authorization))).toBe("401 invalid_task_id");
    directory.agents.clear();
    expect(verdict(await ask(authorization))).toBe("401 assertion_invalid");
  });

  test("that has another key for the agent now is believed, whatever was verified before", async () => {
    const directory = createDirectory(agent);
    const ask = await start(directory);
    const authorization = assertion(agent);
    expect(verdict(await ask(authorization))).toBe("accepted");
    directory.agents.set("agent-1", createAgent("agent-1").entry);
    expect(verdict(await ask(authorization))).toBe("401 assertion_invalid");
  });

  test("may answer with a KeyObject, at once or later, and with null", async () => {
    const { publicKey, entry } = agent;
    const withKeyObject = createDirectory({ ...agent, entry: { ...entry, publicKey } });
    expect(verdict(await (await start(withKeyObject))(assertion(agent)))).toBe("accepted");
    const later = { ...withKeyObject, findAgent: (id: string) => Promise.resolve(withKeyObject.findAgent(id)) };
    expect(verdict(await (await start(later))(assertion(agent)))).toBe("accepted");
    // What a query builder is: it asks the database once its `then` is called.
    const onceAsked = { ...withKeyObject, findAgent: (id: string) => thenable(() => withKeyObject.findAgent(id)) };
    expect(verdict(await (await start(onceAsked))(assertion(agent)))).toBe("accepted");
    const nobody = { ...withKeyObject, findAgent: () => null as unknown as undefined };
    expect(verdict(await (await start(nobody))(assertion(agent)))).toBe("401 assertion_invalid");
    const nothing = { ...withKeyObject, findTask: () => null as unknown as undefined };
    expect(verdict(await (await start(nothing))(assertion(agent)))).toBe("401 invalid_task_id");
  });

  test("answers both at once with find, and the other two are not asked", async () => {
    const directory = createDirectory(agent);
    const asked: string[] = [];
    const find = (id: string, taskId: string) => {
      asked.push(`${id} ${taskId}`);
      return { agent: directory.agents.get(id), task: directory.tasks.get(taskId) };
    };
    const both = { findAgent: fails, findTask: fails, find };
    expect(verdict(await (await start(both))(assertion(agent)))).toBe("accepted");
    expect(asked).toEqual(["agent-1 task-1"]);
    const later = { ...both, find: (id: string, taskId: string) => Promise.resolve(find(id, taskId)) };
    expect(verdict(await (await start(later))(assertion(agent)))).toBe("accepted");
    expect(verdict(await (await start({ ...both, find: () => ({}) }))(assertion(agent)))).toBe("401 assertion_invalid");
    const noTask = { ...both, find: (id: string) => ({ agent: directory.agents.get(id) }) };
    expect(verdict(await (await start(noTask))(assertion(agent)))).toBe("401 invalid_task_id");
  });

  test("an agent of another id is unknown, and null for an end is none", async () => {
    const giving = (members: object) => ({
      ...createDirectory(agent),
      findAgent: () => agentWith(members),
    });
    expect(verdict(await (await start(giving({ agentRuntimeId: "agent-2" })))(assertion(agent)))).toBe(
      "401 assertion_invalid",
    );
    expect(verdict(await (await start(giving({ agentRuntimeId: "agent-1" })))(assertion(agent)))).toBe("accepted");
    expect(verdict(await (await start(giving({ expiresAt: null })))(assertion(agent)))).toBe("accepted");
  });

  test("equal assertions that arrive together are looked up once, and a later one again", async () => {
    const directory = createDirectory(agent);
    const findAgent = async (id: string) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return directory.findAgent(id);
    };
    const agents = agentIdentityAuth(base, { jwks, directory: { ...directory, findAgent } });
    const authenticate = () => agents.authenticate({ headers: { authorization: assertion(agent) } });
    await authenticate();
    expect(directory.asked).toEqual(["agent-1", "task-1"]);
    const together = Array.from({ length: 20 }, authenticate);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const later = authenticate();
    expect(await Promise.all([...together, later])).toHaveLength(21);
    expect(directory.asked.sort()).toEqual(["agent-1", "agent-1", "agent-1", "task-1", "task-1", "task-1"]);
  });

  test("that answers at once is asked synchronously, and a repeated assertion passes without a promise", async () => {
    const { agents: known, tasks } = createDirectory(agent);
    const directory = { findAgent: (id: string) => known.get(id), findTask: (id: string) => tasks.get(id) };
    const agents = agentIdentityAuth(base, { jwks, directory });
    const authorization = assertion(agent);
    await agents.authenticate({ headers: { authorization } });
    const req = new IncomingMessage(new Socket());
    req.headers.authorization = authorization;
    let called = false;
    agents(req, new ServerResponse(req), (error) => {
      called = error === undefined;
    });
    expect(called).toBe(true);
  });

  function thenable<T>(ask: () => T | Promise<T>): Promise<T> {
    const then = (resolve: (answer: T | Promise<T>) => void) => {
      resolve(ask());
    };
    return { then } as unknown as Promise<T>;
  }

  const fails = () => {
    throw new Error("secret database error");
  };
  const rejects = () => Promise.reject(new Error("secret database error"));
  const hangs = () => new Promise<never>(() => undefined);
  const agentWith = (members: object) => ({ ...agent.entry, ...members });
  test.each([
    ["fails", { findAgent: fails }],
    ["rejects", { findAgent: rejects }],
    ["hangs", { findAgent: hangs }],
    ["fails at the task", { findTask: fails }],
    ["rejects at the task", { findTask: rejects }],
    ["hangs at the task", { findTask: hangs }],
    ["gives no key", { findAgent: () => ({ ...agent.entry, publicKey: undefined }) as never }],
    [
      "gives a key without kty",
      { findAgent: () => agentWith({ publicKey: { ...exportJwk(agent.publicKey), kty: undefined } }) },
    ],
    [
      "gives a key without crv",
      { findAgent: () => agentWith({ publicKey: { ...exportJwk(agent.publicKey), crv: undefined } }) },
    ],
    ...[NaN, -1, 1.5, "4000000000", new Date(4e12), 4e12, Infinity].flatMap((expiresAt): [string, object][] => [
      [`ends an agent at ${String(expiresAt)}`, { findAgent: () => agentWith({ expiresAt }) }],
      [`ends a task at ${String(expiresAt)}`, { findTask: () => ({ agentRuntimeId: "agent-1", expiresAt }) }],
    ]),
    ["gives a task without an end", { findTask: () => ({ agentRuntimeId: "agent-1" }) }],
    ["gives a task with null for an end", { findTask: () => ({ agentRuntimeId: "agent-1", expiresAt: null }) }],
    ["gives a task without an agent", { findTask: () => ({ expiresAt: 4e9 }) }],
    ["gives an agent without an account", { findAgent: () => agentWith({ accountId: undefined }) }],
    ["gives an agent with an empty user", { findAgent: () => agentWith({ chatgptUserId: "" }) }],
    ["gives an agent without a plan", { findAgent: () => agentWith({ planType: undefined }) }],
    ["gives an agent whose email is no text", { findAgent: () => agentWith({ email: 7 }) }],
    [
      "gives an agent without chatgptAccountIsFedramp",
      { findAgent: () => agentWith({ chatgptAccountIsFedramp: "no" }) },
    ],
    ["gives text for an agent", { findAgent: () => "agent-1" }],
    ["gives text for a task", { findTask: () => "task-1" }],
    ["finds nothing at all", { find: () => undefined }],
    ["finds text", { find: () => "agent-1" }],
    ["fails to find", { find: fails }],
    ["hangs on find", { find: hangs }],
    ["gives a key that is none", { findAgent: () => ({ ...agent.entry, publicKey: { kty: "OKP", x: "AA" } }) }],
    [
      "gives an object that only looks like a key",
      {
        findAgent: () => {
          const publicKey = { type: "public", asymmetricKeyType: "ed25519", export: () => Buffer.alloc(44, 1) };
          return { ...agent.entry, publicKey };
        },
      },
    ],
    ["gives a text as a key", { findAgent: () => ({ ...agent.entry, publicKey: "key" as never }) }],
    ["gives an RSA key", { findAgent: () => ({ ...agent.entry, publicKey: signingKey.jwk }) }],
    ["gives a private key", { findAgent: () => ({ ...agent.entry, publicKey: agent.privateKey }) }],
    [
      "gives a key of another curve",
      { findAgent: () => ({ ...agent.entry, publicKey: generateKeyPairSync("x25519").publicKey }) },
    ],
  ] as unknown as [string, Partial<AgentDirectory>][])(
    "that %s is a 503 within 2 s, and what it said is not shown",
    async (_, broken) => {
      const ask = await start({ ...createDirectory(agent), ...broken });
      const answer = await ask(assertion(agent));
      expect(verdict(answer)).toBe("503 directory_unavailable");
      expect(answer.headers["www-authenticate"]).toBeUndefined();
      expect(JSON.stringify(answer)).not.toContain("secret");
    },
  );
});

test("diagnostics name the scheme", async () => {
  const events: unknown[] = [];
  const listener = (event: unknown) => events.push(event);
  subscribe("agent-identity-auth:verify", listener);
  onTestFinished(() => void unsubscribe("agent-identity-auth:verify", listener));
  const ask = await start();
  await ask(assertion(agent));
  await ask("AgentAssertion e30");
  const durationMs = expect.any(Number) as number;
  const identity = expect.objectContaining({ taskId: "task-1" }) as object;
  expect(events).toEqual([
    { scheme: "AgentAssertion", outcome: "success", identity, cached: false, durationMs },
    { scheme: "AgentAssertion", outcome: "failure", code: "assertion_malformed", cached: false, durationMs },
  ]);
});
