import { createPublicKey, createPrivateKey, generateKeyPairSync, verify } from "node:crypto";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { inspect } from "node:util";
import { gzipSync } from "node:zlib";
import sodium from "libsodium-wrappers";
import { describe, expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { createJwksResolver } from "../../src/index.js";
import { loadAuth, type AgentSession, type AuthConfig } from "../../src/login.js";
import { locateAuthApi } from "../../src/login/task-registration.js";
import { agentPrivateKey, mint, now } from "../support/agents.js";
import { createCodexHome } from "../support/homes.js";
import { listen, sendJson, startBackend, stop } from "../support/servers.js";

await sodium.ready;

const agentPublicKey = createPublicKey(
  createPrivateKey({ key: Buffer.from(agentPrivateKey, "base64"), format: "der", type: "pkcs8" }),
);
const verifies = (message: string, signature: string) =>
  verify(null, Buffer.from(message), agentPublicKey, Buffer.from(signature, "base64"));

interface Received {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingHttpHeaders;
  body: { timestamp: string; signature: string };
}

/** An agent that is signed in, and the place where it registers tasks. */
async function start(
  answer: (res: ServerResponse, count: number) => void = (res, count) => {
    sendJson(res, { task_id: `task-${String(count)}` });
  },
  claims: Record<string, unknown> = {},
) {
  const { baseUrl } = await startBackend();
  const received: Received[] = [];
  const { url, server } = await listen((req, res) => {
    void text(req).then((body) => {
      const { method, url, headers } = req;
      received.push({ method, url, headers, body: JSON.parse(body) as Received["body"] });
      answer(res, received.length);
    });
  });
  const { codexHome } = createCodexHome();
  const token = mint({ jti: codexHome, ...claims });
  const config: AuthConfig = {
    chatgptBaseUrl: baseUrl,
    codexHome,
    authApiBaseUrl: `${url}/api/accounts/`,
    env: { CODEX_ACCESS_TOKEN: token },
  };
  return { received, server, config, token, auth: await load(config) };
}

async function load(config: AuthConfig): Promise<AgentSession> {
  const auth = await loadAuth(config);
  if (auth?.mode !== "agentIdentity") throw new Error("not signed in as an agent");
  return auth;
}

describe("the request", () => {
  test("is Codex's: signed with the agent's key, to the agent's path", async () => {
    const { received, auth } = await start();
    await auth.registerTask();
    const [{ method, url, headers, body }] = received as [Received];
    expect([method, url, headers["content-type"]]).toEqual([
      "POST",
      "/api/accounts/v1/agent/agent-1/task/register",
      "application/json",
    ]);
    expect(Object.keys(body)).toEqual(["timestamp", "signature"]);
    expect(body.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(Math.abs(Date.parse(body.timestamp) / 1000 - now())).toBeLessThan(5);
    expect(verifies(`agent-1:${body.timestamp}`, body.signature)).toBe(true);
    expect(headers.authorization).toBeUndefined();
  });

  test("keeps an odd agent id in its place in the path", async () => {
    const { received, auth } = await start(undefined, { agent_runtime_id: "../../x?y#z" });
    await auth.registerTask();
    expect(received[0]?.url).toBe("/api/accounts/v1/agent/..%2F..%2Fx%3Fy%23z/task/register");
  });
});

describe("registering", () => {
  test("is one request for all who ask, also through another load; renewing is another one", async () => {
    const { received, config, auth } = await start();
    const other = await load(config);
    await Promise.all([auth.registerTask(), auth.registerTask(), other.registerTask(), other.registerTask()]);
    await auth.registerTask();
    expect(received).toHaveLength(1);
    await Promise.all([auth.registerTask({ renew: true }), other.registerTask({ renew: true })]);
    expect(received).toHaveLength(2);
    expect(taskOf(auth)).toBe("task-2");
    expect(taskOf(other)).toBe("task-2");
  });

  test("is for one token and one place: its task is not another's", async () => {
    const { config, auth } = await start();
    await auth.registerTask();
    const others = [
      await load({ ...config, env: { CODEX_ACCESS_TOKEN: mint({ jti: "another token of the same agent" }) } }),
      await load({ ...config, authApiBaseUrl: "https://gw.example/api/accounts" }),
    ];
    for (const other of others) expect(() => other.authorizationHeaders()).toThrow("call registerTask() first");
    expect(taskOf(auth)).toBe("task-1");
  });

  test.each([
    ["task_id", { task_id: "task-x" }],
    ["taskId", { taskId: "task-x" }],
    ["encrypted_task_id", { encrypted_task_id: seal("task-x") }],
    ["encryptedTaskId", { encryptedTaskId: seal("task-x") }],
  ])("understands %s", async (_, answer) => {
    const { auth } = await start((res) => {
      sendJson(res, answer);
    });
    await auth.registerTask();
    expect(taskOf(auth)).toBe("task-x");
  });

  test.each([429, 500, 502, 503])("tries again on %i, three times in all", async (status) => {
    const twice = await start((res, count) => {
      if (count < 3) res.writeHead(status).end();
      else sendJson(res, { task_id: "task-3" });
    });
    await twice.auth.registerTask();
    expect(taskOf(twice.auth)).toBe("task-3");
  });

  test("gives up after three tries, and says why", async () => {
    const { received, auth } = await start((res) => res.writeHead(503).end());
    await expect(auth.registerTask()).rejects.toThrow("the task could not be registered: status 503");
    expect(received).toHaveLength(3);
  });

  test.each([400, 401, 403, 404, 302])("does not try again on %i", async (status) => {
    const { received, auth } = await start((res) => res.writeHead(status, { Location: "/elsewhere" }).end());
    await expect(auth.registerTask()).rejects.toMatchObject({ code: "task_registration_failed" });
    expect(received).toHaveLength(1);
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "hello"],
    ["null", "null"],
    ["no task", "{}"],
    ["an empty task", '{"task_id":""}'],
    ["a number", '{"task_id":7}'],
    ["what is sealed and not UTF-8", JSON.stringify({ encrypted_task_id: seal(Buffer.from([0x74, 0xff])) })],
    ["what is sealed for somebody else", JSON.stringify({ encrypted_task_id: Buffer.alloc(60).toString("base64") })],
  ])("fails on an answer of %s", async (_, body) => {
    const { received, auth } = await start((res) => res.end(body));
    await expect(auth.registerTask()).rejects.toMatchObject({ name: "LoginError", code: "task_registration_failed" });
    expect(received).toHaveLength(1);
  });

  test.each(["", ":", "a b", "a/b", "a%b", "\n", "x".repeat(129)])(
    "fails on a task id that cannot be one: %j",
    async (id) => {
      for (const answer of [{ task_id: `task-${id || ":"}` }, { encrypted_task_id: seal(`task-${id || ":"}`) }]) {
        const { auth } = await start((res) => {
          sendJson(res, answer);
        });
        await expect(auth.registerTask()).rejects.toMatchObject({ code: "task_registration_failed" });
        expect(() => auth.authorizationHeaders()).toThrow("call registerTask() first");
      }
    },
  );

  test("reads 4 KiB of an answer, and no more", async () => {
    const most = await start((res) => res.end(JSON.stringify({ task_id: "task-1" }).padEnd(4096)));
    await most.auth.registerTask();
    expect(taskOf(most.auth)).toBe("task-1");
    const tooMuch = await start((res) => {
      res.setHeader("Content-Encoding", "gzip").end(gzipSync(JSON.stringify({ task_id: "task-1" }).padEnd(4097)));
    });
    await expect(tooMuch.auth.registerTask()).rejects.toThrow("an answer of more than 4096 bytes");
    expect(tooMuch.received).toHaveLength(1);
  });

  test("ends at an answer that does not", async () => {
    const { config } = await start();
    const endless = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(1024));
      },
    });
    const auth = await load({
      ...config,
      fetch: (url, init) => (init.method === "POST" ? Promise.resolve(new Response(endless)) : fetch(url, init)),
    });
    await expect(auth.registerTask()).rejects.toThrow("an answer of more than 4096 bytes");
  });

  test.each<[string, () => string]>([
    ["seconds", () => "1"],
    ["a date", () => new Date(Date.now() + 2000).toUTCString()],
  ])("waits for as long as Retry-After says, in %s", async (_, retryAfter) => {
    const times: number[] = [];
    const { auth } = await start((res, count) => {
      times.push(performance.now());
      if (count === 1) res.writeHead(503, { "Retry-After": retryAfter() }).end();
      else sendJson(res, { task_id: "task-2" });
    });
    await auth.registerTask();
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(900);
  });

  test("does not wait for longer than 30 s: the error says when to try again", async () => {
    const { received, auth } = await start((res) => res.writeHead(429, { "Retry-After": "31" }).end());
    await expect(auth.registerTask()).rejects.toThrow(/status 429, try again in 31 s$/);
    expect(received).toHaveLength(1);
  });

  test("goes through the fetch of the configuration, and so do the keys", async () => {
    const { config } = await start();
    const urls: string[] = [];
    const through: AuthConfig["fetch"] = (url, init) => {
      urls.push(`${init.method ?? "GET"} ${new URL(url).pathname}`);
      return fetch(url, init);
    };
    const ways: Partial<AuthConfig>[] = [
      { fetch: through },
      { jwks: { fetch: through } },
      { jwks: createJwksResolver(config.chatgptBaseUrl, { fetch: through }) },
    ];
    for (const way of ways) {
      urls.length = 0;
      const auth = await load({ ...config, ...way });
      await auth.registerTask({ renew: true });
      expect(urls).toEqual([
        "GET /backend-api/wham/agent-identities/jwks",
        "POST /api/accounts/v1/agent/agent-1/task/register",
      ]);
    }
  });

  test("is not needed for an agent record that has its task", async () => {
    const { received, config } = await start();
    const record = {
      agent_runtime_id: "agent-1",
      agent_private_key: agentPrivateKey,
      account_id: "acct-1",
      chatgpt_user_id: "user-1",
      plan_type: "team",
      chatgpt_account_is_fedramp: false,
      task_id: "task-of-the-file",
    };
    const file = JSON.stringify({ auth_mode: "agentIdentity", agent_identity: record });
    writeFileSync(join(config.codexHome ?? "", "auth.json"), file, { mode: 0o600 });
    const auth = await load({ ...config, env: {}, acceptUnsignedRecord: true });
    expect(taskOf(auth)).toBe("task-of-the-file");
    await auth.registerTask();
    expect(received).toHaveLength(0);
    await auth.registerTask({ renew: true });
    expect(taskOf(auth)).toBe("task-1");
  });

  test("fails on an answer of an empty task that is sealed", async () => {
    const { auth } = await start((res) => {
      sendJson(res, { encrypted_task_id: seal("") });
    });
    await expect(auth.registerTask()).rejects.toMatchObject({ code: "task_registration_failed" });
  });

  test("fails when nobody answers, after three tries; the next call tries anew", async () => {
    const { received, auth } = await start((res, count) => {
      if (count <= 3) res.destroy();
      else sendJson(res, { task_id: "task-4" });
    });
    await expect(auth.registerTask()).rejects.toThrow("the task could not be registered: no answer");
    expect(received).toHaveLength(3);
    await auth.registerTask();
    expect(taskOf(auth)).toBe("task-4");
  });

  test("that fails when renewing leaves the task that there is", async () => {
    const { auth } = await start((res, count) => {
      if (count === 1) sendJson(res, { task_id: "task-1" });
      else res.writeHead(400).end();
    });
    await auth.registerTask();
    await expect(auth.registerTask({ renew: true })).rejects.toMatchObject({ code: "task_registration_failed" });
    expect(taskOf(auth)).toBe("task-1");
  });

  test("fails where the place is gone", async () => {
    const { server, auth } = await start();
    await stop(server);
    await expect(auth.registerTask()).rejects.toMatchObject({ code: "task_registration_failed" });
  });

  const pkcs8 = Buffer.from(agentPrivateKey, "base64");
  const [seed, publicKey] = [pkcs8.subarray(-32), Buffer.from(exportJwk(agentPublicKey).x ?? "", "base64url")];
  const version2 = (of: Buffer) =>
    Buffer.concat([
      Buffer.from("3051020101300506032b657004220420", "hex"),
      seed,
      Buffer.from("812100", "hex"),
      of,
    ]).toString("base64");

  test.each([version2(publicKey), version2(publicKey).replace("=", "")])(
    "reads a private key that has its public key beside it, with padding and without: %s",
    async (agent_private_key) => {
      const { received, auth } = await start(undefined, { agent_private_key });
      await auth.registerTask();
      const [{ body }] = received as [Received];
      expect(verifies(`agent-1:${body.timestamp}`, body.signature)).toBe(true);
    },
  );

  test.each([
    "",
    "AAAA",
    "not base64",
    Buffer.from("x").toString("base64"),
    `${agentPrivateKey}\n`,
    ` ${agentPrivateKey}`,
    `${agentPrivateKey}=`,
    Buffer.concat([pkcs8, Buffer.alloc(1)]).toString("base64"),
    Buffer.concat([Buffer.alloc(1), pkcs8]).toString("base64"),
    version2(Buffer.alloc(32)),
    Buffer.concat([Buffer.from(version2(publicKey), "base64"), Buffer.alloc(1)]).toString("base64"),
    Buffer.concat([Buffer.alloc(1), Buffer.from(version2(publicKey), "base64")]).toString("base64"),
    generateKeyPairSync("x25519").privateKey.export({ format: "der", type: "pkcs8" }).toString("base64"),
  ])("finds a bad private key, which signing in does not need: %j", async (agent_private_key) => {
    const { received, auth } = await start(undefined, { agent_private_key });
    expect(auth.identity.agentRuntimeId).toBe("agent-1");
    await expect(auth.registerTask()).rejects.toMatchObject({ name: "LoginError", code: "agent_key_invalid" });
    expect(received).toHaveLength(0);
  });
});

describe("where tasks are registered", () => {
  test.each([
    ["https://chatgpt.com/backend-api", undefined, "https://auth.openai.com/api/accounts"],
    ["https://chat.openai.com/backend-api", undefined, "https://auth.openai.com/api/accounts"],
    ["https://chatgpt-staging.com", undefined, "https://auth.api.openai.org/api/accounts"],
    ["https://openai-staging.com", undefined, "https://auth.api.openai.org/api/accounts"],
    ["http://127.0.0.1:8080/backend-api", undefined, "http://127.0.0.1:8080/backend-api"],
    ["http://localhost:8080", undefined, "http://localhost:8080"],
    ["https://chatgpt.com/backend-api", "https://gw.example/auth", "https://gw.example/auth"],
  ])("%s, configured %s → %s", (base, configured, expected) => {
    expect(locateAuthApi(base, configured)).toBe(expected);
  });

  test.each([
    "https://gw.example/backend-api",
    "https://chatgpt.com.evil.example",
    "https://chatgpt.com:8443",
    "https://localhost",
  ])("is not known for %s, and never production: the error names the option", (base) => {
    expect(() => locateAuthApi(base, undefined)).toThrow(/set authApiBaseUrl/);
  });

  test("is not known for a host whose name every object of JavaScript has", () => {
    expect(() => locateAuthApi("https://constructor", undefined)).toThrow(/set authApiBaseUrl/);
  });

  test("is said by the environment, unless the configuration does", async () => {
    const { received, config } = await start();
    const env = { ...config.env, CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL: config.authApiBaseUrl };
    const auth = await load({ ...config, authApiBaseUrl: undefined, env });
    await auth.registerTask();
    expect(received).toHaveLength(1);
  });
});

describe("authorization headers", () => {
  test("are Codex's, signed anew with each call's time", async () => {
    const { auth } = await start();
    expect(() => auth.authorizationHeaders()).toThrow("call registerTask() first");
    await auth.registerTask();
    const headers = auth.authorizationHeaders();
    expect(Object.keys(headers)).toEqual(["Authorization", "ChatGPT-Account-ID"]);
    expect(headers["ChatGPT-Account-ID"]).toBe("acct-1");
    const envelope = decode(headers.Authorization);
    expect(Object.keys(envelope)).toEqual(["agent_runtime_id", "signature", "task_id", "timestamp"]);
    const { agent_runtime_id, task_id, timestamp, signature = "" } = envelope;
    expect([agent_runtime_id, task_id]).toEqual(["agent-1", "task-1"]);
    expect(verifies(`agent-1:task-1:${String(timestamp)}`, signature)).toBe(true);
  });

  test("name FedRAMP accounts", async () => {
    const { auth } = await start(undefined, { chatgpt_account_is_fedramp: true });
    await auth.registerTask();
    expect(auth.authorizationHeaders()).toMatchObject({ "X-OpenAI-Fedramp": "true" });
  });
});

test("neither token nor private key is seen in the object, its JSON or its errors", async () => {
  const { token, auth } = await start((res) => res.writeHead(400).end());
  const error: unknown = await auth.registerTask().catch((reason: unknown) => reason);
  const shown = [auth, error].flatMap((value) => [
    inspect(value, { depth: null, showHidden: true, getters: true }),
    JSON.stringify(value),
    JSON.stringify(Object.getOwnPropertyDescriptors(value)),
  ]);
  expect(shown.join()).toContain("agent-1");
  for (const secret of [token, agentPrivateKey, ...token.split(".").slice(1)])
    expect(shown.join()).not.toContain(secret);
});

function taskOf(auth: AgentSession): string | undefined {
  return decode(auth.authorizationHeaders().Authorization)["task_id"];
}

function decode(authorization: string): Record<string, string> {
  const [scheme, envelope = ""] = authorization.split(" ");
  expect(scheme).toBe("AgentAssertion");
  return JSON.parse(Buffer.from(envelope, "base64url").toString()) as Record<string, string>;
}

/** As the backend seals it, to the X25519 form of the agent's public key. */
function seal(message: string | Buffer): string {
  const ed25519 = Buffer.from(exportJwk(agentPublicKey).x ?? "", "base64url");
  return Buffer.from(sodium.crypto_box_seal(message, sodium.crypto_sign_ed25519_pk_to_curve25519(ed25519))).toString(
    "base64",
  );
}
