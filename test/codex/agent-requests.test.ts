/** What an agent signs, by the real Codex client and by ours: captured by one server, verified with one public key. */

import { type KeyObject } from "node:crypto";
import sodium from "libsodium-wrappers";
import { afterAll, describe, expect, it, type TestContext } from "vitest";
import { exportJwk } from "../../dist/protocol/jwk.js";
import { loadAuth, type AgentSession } from "../../dist/login.js";
import { encodeAssertion, type AgentAssertion } from "../../dist/protocol/agent-assertion.js";
import { createAgent, toPkcs8, type Agent } from "./agents.js";
import { MODEL_SAYS, startBackend, type Backend, type ReceivedRequest, type TaskAnswer } from "./backend.js";
import {
  backendSettings,
  CODEX_VERSIONS,
  createCodex,
  messageOf,
  turnSettings,
  type Codex,
  type CodexVersion,
} from "./codex-client.js";
import { renderTable } from "./table.js";

await sodium.ready;

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

describe.each(CODEX_VERSIONS)("the registration of a task, as by Codex %s,", (version) => {
  it.concurrent.for(["agent-1", "Agent_1.x~", "an agent é"])("is the same request, for %j", async (id, context) => {
    const agent = createAgent({ claims: { agent_runtime_id: id } });
    const { codex, our } = await registerByBoth(context, version, agent);
    const seen = [codex, our].map(({ requests }) => {
      expect(requests).toHaveLength(1);
      const [request] = requests as [ReceivedRequest];
      const { timestamp, signature } = JSON.parse(request.body) as Record<"timestamp" | "signature", string>;
      expect(request.body).toBe(JSON.stringify({ timestamp, signature }));
      expect(timestamp).toMatch(TIMESTAMP);
      expect(Math.abs(Date.parse(timestamp) - Date.now())).toBeLessThan(10_000);
      expect(agent.hasSigned(`${id}:${timestamp}`, signature)).toBe(true);
      expect(agent.hasSigned(`${id}:x:${timestamp}`, signature)).toBe(false);
      const { method, path, headers } = request;
      return [method, path, headers["content-type"], headers.authorization];
    });
    const path = `/api/accounts/v1/agent/${encodeURIComponent(id)}/task/register`;
    expect(seen[0]).toEqual(["POST", path, "application/json", undefined]);
    expect(seen[1]).toEqual(seen[0]);
  });

  describe("reads the answer", () => {
    const lines = new Map<string, string[]>();

    it.concurrent.for(answers)("%s", async ([name, answer, expected, difference], context) => {
      const agent = createAgent();
      const { codex, our } = await registerByBoth(context, version, agent, (n) => answer(n, agent.publicKey));
      const ofCodex = summarize(codex);
      const ofUs = summarize(our);
      const expectedOfCodex = difference?.codex?.[version] ?? expected;
      const expectedOfUs = difference?.ours ?? expected;
      const agreed = ofCodex === expectedOfCodex && ofUs === expectedOfUs;
      const note = agreed ? (expectedOfCodex === expectedOfUs ? "" : difference?.why) : "DISAGREEMENT";
      lines.set(name, [name, ofCodex, ofUs, note ?? ""]);
      expect(ofCodex).toBe(expectedOfCodex);
      expect(ofUs).toBe(expectedOfUs);
    });

    afterAll(() => {
      printTable("Answers to the registration of a task", "answer", version, answers, lines);
    });
  });

  describe("takes the private key", () => {
    const lines = new Map<string, string[]>();

    it.concurrent.for(privateKeys)("%s", async ([name, encodeKey, expected], context) => {
      const agent = createAgent({ encodeKey });
      const [codex, our] = Object.values(await registerByBoth(context, version, agent)).map((registration) => {
        const signed = registration.requests.every(({ body }) => {
          const { timestamp, signature } = JSON.parse(body) as Record<"timestamp" | "signature", string>;
          return agent.hasSigned(`agent-1:${timestamp}`, signature);
        });
        return signed ? summarize(registration) : "signed with another key";
      }) as [string, string];
      lines.set(name, [name, codex, our, codex === expected && our === expected ? "" : "DISAGREEMENT"]);
      expect(codex).toBe(expected);
      expect(our).toBe(expected);
    });

    afterAll(() => {
      printTable("The private key in the token", "agent_private_key", version, privateKeys, lines);
    });
  });
});

describe.each(CODEX_VERSIONS)("the headers of an agent that is signed in, as by Codex %s,", (version) => {
  const lines: string[][] = [];

  it.concurrent.for<[name: string, answer: (taskId: string, publicKey: KeyObject) => unknown, isFedramp: boolean]>([
    ["task_id", (taskId) => ({ task_id: taskId }), false],
    ["taskId, FedRAMP", (taskId) => ({ taskId }), true],
    ["encrypted_task_id", (taskId, publicKey) => ({ encrypted_task_id: seal(taskId, publicKey) }), false],
    ["encryptedTaskId, FedRAMP", (taskId, publicKey) => ({ encryptedTaskId: seal(taskId, publicKey) }), true],
  ])("are the same, for a task of %s", async ([name, answer, isFedramp], context) => {
    const agent = createAgent({ claims: { account_id: "acct-7", chatgpt_account_is_fedramp: isFedramp } });
    const place = await createPlace(context, () => ({ body: answer("task-7-ü", agent.publicKey) }));

    const { config, env } = turnSettings(place.backend.baseUrl);
    const run = await place.codex.run(["exec", "--skip-git-repo-check", "--ephemeral", "say hi"], {
      version,
      config,
      env: { ...env, CODEX_ACCESS_TOKEN: agent.token },
    });
    expect([run.exitCode, run.stdout.trim()]).toEqual([0, MODEL_SAYS]);
    const signed = place.backend.takeRequests().others.filter(({ headers }) => headers.authorization !== undefined);
    expect(signed.map(({ path }) => path)).toContain("/backend-api/codex/responses");

    const auth = await load(place, agent);
    await auth.registerTask();
    await fetch(`${place.backend.baseUrl}/ours`, { headers: auth.authorizationHeaders() });
    const byUs = place.backend.takeRequests().others;
    expect(byUs.map(({ path }) => path)).toEqual(["/backend-api/ours"]);

    for (const { headers } of [...signed, ...byUs]) {
      const [, envelope = ""] = /^AgentAssertion ([A-Za-z0-9_-]+)$/.exec(headers.authorization ?? "") ?? [];
      const assertion = JSON.parse(Buffer.from(envelope, "base64url").toString()) as AgentAssertion;
      expect(Object.keys(assertion)).toEqual(["agent_runtime_id", "signature", "task_id", "timestamp"]);
      // Byte by byte what we write of the same members: no space, no escape and no padding is another.
      expect(envelope).toBe(encodeAssertion(assertion));
      const { agent_runtime_id, signature, task_id, timestamp } = assertion;
      expect([agent_runtime_id, task_id]).toEqual(["agent-1", "task-7-ü"]);
      expect(timestamp).toMatch(TIMESTAMP);
      expect(agent.hasSigned(`agent-1:task-7-ü:${timestamp}`, signature)).toBe(true);
      expect(agent.hasSigned(`agent-1:${timestamp}`, signature)).toBe(false);
      expect(headers["chatgpt-account-id"]).toBe("acct-7");
      expect(headers["x-openai-fedramp"]).toBe(isFedramp ? "true" : undefined);
    }
    lines.push([name, ...[signed, byUs].flatMap((requests) => [String(requests.length), describeHeaders(requests)])]);
  });

  afterAll(() => {
    const header = ["task", "requests", `by Codex ${version}`, "requests", "by ours"];
    console.log(renderTable(`Headers, all verified: Codex ${version} and ours`, [header, ...lines.sort()]));
  });
});

/** How it ends, and after how many tries. */
type Summary = `${"registered" | "fails"}, ${number} tries`;

interface Registration {
  readonly registered: boolean;
  readonly requests: readonly ReceivedRequest[];
}

type AnswerRow = [
  name: string,
  answer: (n: number, publicKey: KeyObject) => TaskAnswer,
  expected: Summary,
  difference?: { why: string; codex?: Partial<Record<CodexVersion, Summary>>; ours?: Summary },
];

const firstTimes =
  (times: number, answer: TaskAnswer) =>
  (n: number): TaskAnswer =>
    n <= times ? answer : { body: { task_id: "task-1" } };

const always =
  (body: unknown, status: TaskAnswer["status"] = 200) =>
  (): TaskAnswer => ({ status, body });

const triesOnce = { why: "0.132.0 tries once", codex: { "0.132.0": "fails, 1 tries" } } as const;

const badId = { why: "an id has no separator and at most 128 characters (design §9)", ours: "fails, 1 tries" } as const;

const answers: AnswerRow[] = [
  ["task_id", always({ task_id: "task-1" }), "registered, 1 tries"],
  ["taskId", always({ taskId: "task-1" }), "registered, 1 tries"],
  [
    "encrypted_task_id",
    (_, publicKey) => ({ body: { encrypted_task_id: seal("task-1", publicKey) } }),
    "registered, 1 tries",
  ],
  [
    "encryptedTaskId",
    (_, publicKey) => ({ body: { encryptedTaskId: seal("task-1", publicKey) } }),
    "registered, 1 tries",
  ],
  [
    "task_id beside a bad encrypted_task_id",
    always({ task_id: "t", encrypted_task_id: "AAAA" }),
    "registered, 1 tries",
  ],
  ["task_id beside the unknown", always({ task_id: "t", x: 1 }), "registered, 1 tries"],
  ["task_id with status 201", always({ task_id: "t" }, 201), "registered, 1 tries"],
  [
    "task_id empty",
    always({ task_id: "" }),
    "registered, 1 tries",
    { why: "an empty id is none", ours: "fails, 1 tries" },
  ],
  ["task_id number", always({ task_id: 1 }), "fails, 1 tries"],
  ["task_id null", always({ task_id: null }), "fails, 1 tries"],
  ["task_id that no assertion may have", always({ task_id: "a:b" }), "registered, 1 tries", badId],
  ["task_id of 129 characters", always({ task_id: "x".repeat(129) }), "registered, 1 tries", badId],
  ["no id", always({}), "fails, 1 tries"],
  ["not an object", always("task-1"), "fails, 1 tries"],
  ["encrypted_task_id that is no sealed box", always({ encrypted_task_id: "AAAA" }), "fails, 1 tries"],
  [
    "encrypted_task_id for another agent",
    () => ({ body: { encrypted_task_id: seal("task-1", createAgent().publicKey) } }),
    "fails, 1 tries",
  ],
  ["400", always({}, 400), "fails, 1 tries"],
  ["401", always({}, 401), "fails, 1 tries"],
  ["403", always({}, 403), "fails, 1 tries"],
  ["408", always({}, 408), "fails, 1 tries"],
  ["429", always({}, 429), "fails, 3 tries", triesOnce],
  ["500", always({}, 500), "fails, 3 tries", triesOnce],
  ["503", always({}, 503), "fails, 3 tries", triesOnce],
  ["no answer", always({}, "none"), "fails, 3 tries", triesOnce],
  ["500, then task_id", firstTimes(1, { status: 500, body: {} }), "registered, 2 tries", triesOnce],
  ["429 twice, then task_id", firstTimes(2, { status: 429, body: {} }), "registered, 3 tries", triesOnce],
  ["no answer, then task_id", firstTimes(1, { status: "none", body: {} }), "registered, 2 tries", triesOnce],
  ["500, then 403", (n) => ({ status: n === 1 ? 500 : 403, body: {} }), "fails, 2 tries", triesOnce],
];

const der = (privateKey: KeyObject): Buffer => Buffer.from(toPkcs8(privateKey), "base64");

/** RFC 5958: with the public key after the private one, as Rust's ed25519 libraries write it. */
function toPkcs8WithPublicKey(privateKey: KeyObject, publicKey?: Buffer): string {
  const { d = "", x = "" } = exportJwk(privateKey);
  const hex = [
    "3051020101300506032b657004220420",
    Buffer.from(d, "base64url").toString("hex"),
    "812100",
    (publicKey ?? Buffer.from(x, "base64url")).toString("hex"),
  ];
  return Buffer.from(hex.join(""), "hex").toString("base64");
}

const privateKeys: [name: string, encodeKey: (privateKey: KeyObject) => string, expected: Summary][] = [
  ["PKCS#8", toPkcs8, "registered, 1 tries"],
  ["PKCS#8 with the public key (RFC 5958)", (key) => toPkcs8WithPublicKey(key), "registered, 1 tries"],
  ["PKCS#8 with another's public key", (key) => toPkcs8WithPublicKey(key, Buffer.alloc(32, 9)), "fails, 0 tries"],
  ["PKCS#8 without padding", (key) => toPkcs8(key).replace(/=+$/, ""), "registered, 1 tries"],
  ["PKCS#8 and a newline", (key) => `${toPkcs8(key)}\n`, "fails, 0 tries"],
  ["PKCS#8 and a space before it", (key) => ` ${toPkcs8(key)}`, "fails, 0 tries"],
  ["PKCS#8 and one more =", (key) => `${toPkcs8(key)}=`, "fails, 0 tries"],
  ["PKCS#8 and one more byte", (key) => Buffer.concat([der(key), Buffer.of(0)]).toString("base64"), "fails, 0 tries"],
  ["PKCS#8 cut short", (key) => der(key).subarray(0, 40).toString("base64"), "fails, 0 tries"],
  ["PEM", (key) => key.export({ format: "pem", type: "pkcs8" }) as string, "fails, 0 tries"],
  ["the seed alone", (key) => der(key).subarray(16).toString("base64"), "fails, 0 tries"],
  ["PKCS#8 of X25519", (key) => toPkcs8(key).replace("K2Vw", "K2Vu"), "fails, 0 tries"],
  ["empty", () => "", "fails, 0 tries"],
];

/** As a backend seals it: to the X25519 form of the agent's key. */
function seal(taskId: string, publicKey: KeyObject): string {
  const { x = "" } = exportJwk(publicKey);
  const recipient = sodium.crypto_sign_ed25519_pk_to_curve25519(Buffer.from(x, "base64url"));
  return Buffer.from(sodium.crypto_box_seal(taskId, recipient)).toString("base64");
}

interface Place {
  readonly codex: Codex;
  readonly backend: Backend;
}

async function createPlace(context: TestContext, answerTask?: (n: number) => TaskAnswer): Promise<Place> {
  const [codex, backend] = [await createCodex(), await startBackend(answerTask)];
  context.onTestFinished(async () => {
    await backend.close();
    await codex.remove();
  });
  return { codex, backend };
}

async function load({ codex, backend }: Place, agent: Agent): Promise<AgentSession> {
  const auth = await loadAuth({
    chatgptBaseUrl: backend.baseUrl,
    codexHome: codex.home,
    jwks: {},
    env: { ...backendSettings(backend.baseUrl).env, CODEX_ACCESS_TOKEN: agent.token },
  });
  if (auth?.mode !== "agentIdentity") throw new Error("not signed in as an agent");
  return auth;
}

/** The client registers a task for a status. */
async function registerByBoth(
  context: TestContext,
  version: CodexVersion,
  agent: Agent,
  answerTask?: (n: number) => TaskAnswer,
): Promise<Record<"codex" | "our", Registration>> {
  const place = await createPlace(context, answerTask);
  const { config, env } = backendSettings(place.backend.baseUrl);
  const run = await place.codex.run(["login", "status"], {
    version,
    config,
    env: { ...env, CODEX_ACCESS_TOKEN: agent.token },
  });
  const message = messageOf(run);
  const registered = run.exitCode === 0 && message === "Logged in using access token";
  if (!registered && !message.startsWith("Error checking login status: ")) {
    throw new Error(`no outcome: ${JSON.stringify(run)}`);
  }
  const codex = { registered, requests: place.backend.takeRequests().tasks };

  const auth = await load(place, agent);
  const our = { registered: await registersTask(auth), requests: place.backend.takeRequests().tasks };
  return { codex, our };
}

async function registersTask(auth: AgentSession): Promise<boolean> {
  try {
    await auth.registerTask();
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== "task_registration_failed" && code !== "agent_key_invalid") throw error;
    return false;
  }
}

function summarize({ registered, requests }: Registration): Summary {
  return `${registered ? "registered" : "fails"}, ${requests.length} tries`;
}

function describeHeaders(requests: readonly ReceivedRequest[]): string {
  const described = requests.map(({ headers }) =>
    [
      headers.authorization?.split(" ")[0],
      `ChatGPT-Account-ID: ${String(headers["chatgpt-account-id"])}`,
      ...(headers["x-openai-fedramp"] === undefined
        ? []
        : [`X-OpenAI-Fedramp: ${String(headers["x-openai-fedramp"])}`]),
    ].join(", "),
  );
  return [...new Set(described)].join(" | ");
}

function printTable(
  title: string,
  what: string,
  version: CodexVersion,
  rows: readonly (readonly [name: string, ...unknown[]])[],
  lines: ReadonlyMap<string, string[]>,
): void {
  const ordered = rows.flatMap(([name]) => [lines.get(name) ?? []]);
  console.log(
    renderTable(`${title}: Codex ${version} and ours`, [[what, `Codex ${version}`, "ours", "note"], ...ordered]),
  );
}
