import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  agentIdentityAuth,
  createJwksResolver,
  createVerifier,
  type AgentIdentity,
  type AgentIdentityError,
  type AgentIdentityMiddleware,
  type VerifierOptions,
  type VerifyEvent,
} from "../../src/index.js";
import { mint, now, signingKey } from "../support/agents.js";
import { sendJson, startBackend } from "../support/servers.js";
import { minutes, takeOverClock } from "../support/clock.js";

const identity = expect.objectContaining({ agentRuntimeId: "agent-1" }) as AgentIdentity;

/** What `agent-identity-auth:verify` says from now on. */
function watch(): VerifyEvent[] {
  const events: VerifyEvent[] = [];
  const listener = (event: unknown) => events.push(event as VerifyEvent);
  subscribe("agent-identity-auth:verify", listener);
  onTestFinished(() => void unsubscribe("agent-identity-auth:verify", listener));
  return events;
}

/** What the middleware had done by the time it returned: `undefined` if it had not called `next` yet. */
function atReturn(middleware: AgentIdentityMiddleware, token: string): { error: unknown } | undefined {
  const req = new IncomingMessage(new Socket());
  req.headers.authorization = `Bearer ${token}`;
  let called: { error: unknown } | undefined;
  middleware(req, new ServerResponse(req), (error) => (called = { error }));
  return called;
}

describe("a token that was verified before", () => {
  test("passes the middleware synchronously while its key set is fresh, and obeys the resolver when it is not", async () => {
    const clock = takeOverClock();
    const backend = await startBackend();
    const agents = agentIdentityAuth(backend.baseUrl, { jwks: {} });
    const token = mint({ exp: now() + 7 * 86_400 });
    expect(atReturn(agents, token)).toBeUndefined();
    await agents.verifier.verify(token);
    expect(atReturn(agents, token)).toEqual({ error: undefined });

    clock.advance(minutes(5));
    expect(atReturn(agents, token)).toEqual({ error: undefined });
    await expect.poll(() => backend.fetches).toBe(2);
    await agents.verifier.jwks.ready();

    clock.advance(minutes(10));
    expect(atReturn(agents, token)).toBeUndefined();
    const events = watch();
    await agents.verifier.verify(token);
    expect(backend.fetches).toBe(3);
    expect(events).toEqual([
      { scheme: "Bearer", outcome: "success", identity, cached: true, durationMs: expect.any(Number) as number },
    ]);
  });

  test("is refused once it has expired", async () => {
    const clock = takeOverClock();
    const verifier = createVerifier("https://chatgpt.com", { jwks: { keySet: { keys: [signingKey.jwk] } } });
    const token = mint({ exp: now() + 10 });
    await verifier.verify(token);
    clock.advance(69_000);
    await verifier.verify(token);
    const events = watch();
    clock.advance(1_000);
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: "token_expired" });
    expect(events).toMatchObject([{ outcome: "failure", code: "token_expired", cached: false }]);
  });

  test("is refused if it expires while it waits for the key set", async () => {
    const clock = takeOverClock();
    const backend = await startBackend();
    const verifier = createVerifier(backend.baseUrl, { jwks: {} });
    const token = mint({ exp: now() + 550 });
    await verifier.verify(token);
    clock.advance(minutes(10));
    const asked = new Promise((resolve) => {
      backend.answer = (_req, res) => {
        resolve(() => {
          sendJson(res, { keys: backend.keys });
        });
      };
    });
    const verification = expect(verifier.verify(token)).rejects.toMatchObject({ code: "token_expired" });
    const answer = (await asked) as () => void;
    clock.advance(10_000);
    answer();
    await verification;
  });

  test("gives the same identity", async () => {
    const verifier = createVerifier("https://chatgpt.com", { jwks: { keySet: { keys: [signingKey.jwk] } } });
    const token = mint();
    expect(await verifier.verify(token)).toBe(await verifier.verify(token));
  });
});

/** Verifies these tokens one after another and says which were remembered. */
async function remembered(options: VerifierOptions, tokens: string[]): Promise<boolean[]> {
  const verifier = createVerifier("https://chatgpt.com", options);
  const events = watch();
  for (const token of tokens) await verifier.verify(token);
  return events.map(({ cached }) => cached);
}

describe("the cache", () => {
  const a = mint({ jti: "a" });
  const b = mint({ jti: "b" });
  const c = mint({ jti: "c" });
  const keys = () => ({ jwks: { keySet: { keys: [signingKey.jwk] } } });

  test("remembers each token", async () => {
    expect(await remembered(keys(), [a, b, a, b])).toEqual([false, false, true, true]);
  });

  test("is bounded: the least recently used goes", async () => {
    const options = { ...keys(), tokenCache: { max: 2 } };
    expect(await remembered(options, [a, b, a, c, a, b])).toEqual([false, false, true, false, true, false]);
  });

  test("can be turned off", async () => {
    expect(await remembered({ ...keys(), tokenCache: false }, [a, a])).toEqual([false, false]);
  });

  test("remembers no failure", async () => {
    const backend = await startBackend();
    backend.answer = (_req, res) => res.writeHead(500).end();
    const verifier = createVerifier(backend.baseUrl, { jwks: {} });
    await expect(verifier.verify(a)).rejects.toMatchObject({ code: "keys_unavailable" });
    backend.answer = undefined;
    await verifier.jwks.ready();
    expect(await verifier.verify(a)).toMatchObject({ agentRuntimeId: "agent-1" });
  });

  test("remembers no failure of a signature, nor the token that it was taken from for the forged one", async () => {
    const verifier = createVerifier("https://chatgpt.com", keys());
    const forged = a.slice(0, a.lastIndexOf(".")) + b.slice(b.lastIndexOf("."));
    for (let time = 0; time < 2; time++) {
      await expect(verifier.verify(forged)).rejects.toMatchObject({ code: "signature_invalid" });
    }
    await verifier.verify(a);
    await expect(verifier.verify(forged)).rejects.toMatchObject({ code: "signature_invalid" });
  });
});

describe("sharing", () => {
  test("a thousand mounts make one fetch and one verification", async () => {
    const backend = await startBackend();
    const events = watch();
    const token = mint();
    const mounts = Array.from({ length: 1000 }, () => agentIdentityAuth(backend.baseUrl));
    await Promise.all(mounts.map(({ verifier }) => verifier.verify(token)));
    await Promise.all(mounts.map(({ verifier }) => verifier.verify(token)));
    expect(backend.fetches).toBe(1);
    expect(events.filter(({ cached }) => cached)).toHaveLength(1000);
    expect(mounts.every((mount) => atReturn(mount, token))).toBe(true);
  });

  test.each<[string, VerifierOptions, string]>([
    ["issuer", { issuer: "https://gw.example" }, "issuer_invalid"],
    ["audience", { audience: "gateway" }, "audience_invalid"],
    ["clock tolerance", { clockTolerance: 0 }, "token_expired"],
  ])("verifiers of another %s share no verdict", async (_, options, code) => {
    const jwks = createJwksResolver("https://chatgpt.com", { keySet: { keys: [signingKey.jwk] } });
    const token = mint({ exp: now() - 10 });
    await createVerifier("https://chatgpt.com", { jwks }).verify(token);
    await expect(createVerifier("https://chatgpt.com", { jwks, ...options }).verify(token)).rejects.toMatchObject({
      code,
    });
  });

  test("verifiers that remember differently share no verdict", async () => {
    const jwks = createJwksResolver("https://chatgpt.com", { keySet: { keys: [signingKey.jwk] } });
    const token = mint();
    expect(await remembered({ jwks }, [token, token])).toEqual([false, true]);
    expect(await remembered({ jwks, tokenCache: false }, [token])).toEqual([false]);
  });

  test("a verifier that many mounts have cannot be changed by one of them", async () => {
    const { baseUrl } = await startBackend();
    const { verifier } = agentIdentityAuth(baseUrl);
    expect(() => Object.assign(verifier, { verify: () => expect.fail() })).toThrow(TypeError);
    expect(await agentIdentityAuth(baseUrl).verifier.verify(mint())).toMatchObject({ agentRuntimeId: "agent-1" });
  });

  test("a resolver that is passed on is shared; any jwks options make a private one", async () => {
    const backend = await startBackend();
    const jwks = createJwksResolver(backend.baseUrl, { timeoutDuration: 1_000 });
    for (const options of [{ jwks }, { jwks }, { jwks: {} }, { jwks: {} }, {}, { jwks: undefined }, undefined]) {
      await createVerifier(backend.baseUrl, options).verify(mint());
    }
    expect(backend.fetches).toBe(4);
  });

  test("concurrent misses share one verification and its code, but no error object", async () => {
    const backend = await startBackend();
    backend.answer = (_req, res) => res.writeHead(500).end();
    const verifier = createVerifier(backend.baseUrl, { jwks: {} });
    const token = mint();
    const errors = await Promise.all(
      Array.from({ length: 10 }, () => verifier.verify(token).catch((error: unknown) => error)),
    );
    for (const error of errors) expect(error).toMatchObject({ code: "keys_unavailable" });
    expect(new Set(errors).size).toBe(10);
    expect(backend.fetches).toBe(1);
    backend.answer = undefined;
    await verifier.jwks.ready();
    const identities = await Promise.all(Array.from({ length: 10 }, () => verifier.verify(token)));
    expect(new Set(identities).size).toBe(1);
  });

  test("concurrent misses on different tokens share nothing", async () => {
    const backend = await startBackend();
    const verifier = createVerifier(backend.baseUrl, { jwks: {} });
    const ids = ["agent-1", "agent-2", "agent-3"];
    const identities = await Promise.all(ids.map((id) => verifier.verify(mint({ agent_runtime_id: id }))));
    expect(identities.map(({ agentRuntimeId }) => agentRuntimeId)).toEqual(ids);
  });
});

test("what a fetch and a refusal were is on the diagnostics channels", async () => {
  const fetches: unknown[] = [];
  const listener = (event: unknown) => fetches.push(event);
  subscribe("agent-identity-auth:jwks.fetch", listener);
  onTestFinished(() => void unsubscribe("agent-identity-auth:jwks.fetch", listener));
  const events = watch();
  const backend = await startBackend();
  const verifier = createVerifier(backend.baseUrl, { jwks: {} });
  await verifier.verify(mint());
  await expect(verifier.verify("x")).rejects.toThrow();
  backend.answer = (_req, res) => res.writeHead(404).end();
  const dead = createVerifier(backend.baseUrl, { jwks: {} });
  await expect(dead.verify(mint())).rejects.toThrow();
  const url = verifier.jwks.url;
  const durationMs = expect.any(Number) as number;
  expect(fetches).toEqual([
    { url, outcome: "success", status: 200, kids: ["key-1"], durationMs },
    { url, outcome: "failure", status: 404, kids: [], durationMs, error: "status 404" },
  ]);
  expect(events).toEqual([
    { scheme: "Bearer", outcome: "success", identity, cached: false, durationMs },
    { scheme: "Bearer", outcome: "failure", code: "token_malformed", cached: false, durationMs },
    { scheme: "Bearer", outcome: "failure", code: "keys_unavailable", cached: false, durationMs },
  ]);
});

test("the diagnostics have the code that the caller gets", async () => {
  const directory = { findAgent: () => undefined, findTask: () => undefined };
  const agents = agentIdentityAuth("https://chatgpt.com", { directory });
  const events = watch();
  for (const authorization of ["Bearer abc", "Bearer abc def", "AgentAssertion abc", "AgentAssertion abc def"]) {
    const error: unknown = await agents.authenticate({ headers: { authorization } }).catch((error: unknown) => error);
    expect(events.at(-1)).toMatchObject({ code: (error as AgentIdentityError).code });
  }
  expect(events.map(({ code }) => code)).toEqual([
    "token_malformed",
    "request_malformed",
    "assertion_malformed",
    "request_malformed",
  ]);
});

test("the cause is for the log: no serialisation of the error has it", async () => {
  const verifier = createVerifier("https://chatgpt.com", { jwks: { keySet: { keys: [signingKey.jwk] } } });
  const error: unknown = await verifier.verify(mint({}, { ...signingKey, kid: "stranger" })).catch((e: unknown) => e);
  expect(error).toHaveProperty("cause.kid", "stranger");
  expect(JSON.stringify(error)).not.toContain("stranger");
  expect({ ...(error as object) }).not.toHaveProperty("cause");
});

test("an operator finds in the cause what was asked and what was found", async () => {
  const backend = await startBackend();
  const verifier = createVerifier(backend.baseUrl, { jwks: {} });
  const token = mint({}, { ...signingKey, kid: `\u0007stranger\r\n${"x".repeat(200)}` });
  await expect(verifier.verify(token)).rejects.toMatchObject({
    code: "key_untrusted",
    cause: {
      jwksUrl: verifier.jwks.url,
      reason: `no trusted key has the kid stranger${"x".repeat(200)}`,
      kid: `stranger${"x".repeat(200)}`,
      kids: ["key-1"],
      keySetAge: expect.any(Number) as number,
    },
  });
});

test("an operator finds in the cause why there are no keys", async () => {
  const backend = await startBackend();
  backend.answer = (_req, res) => res.writeHead(500).end();
  const verifier = createVerifier(backend.baseUrl, { jwks: {} });
  const cause = { reason: "status 500", kid: "key-1", kids: [] };
  await expect(verifier.verify(mint())).rejects.toMatchObject({ code: "keys_unavailable", cause });
});

test("what others have written is fit for a log: 256 characters, and none that controls a terminal", async () => {
  const odd = `\u0007odd\r\n\u202e${"x".repeat(300)}`;
  const expected = `odd${"x".repeat(249)}`;
  const jwks = { keySet: { keys: [{ ...signingKey.jwk, kid: odd }] } };
  const agents = agentIdentityAuth("https://chatgpt.com", { jwks });
  expect(agents.verifier.jwks.status().kids).toEqual([expected]);
  const kid = "\u001b[2Jstranger\n";
  await expect(agents.verifier.verify(mint({}, { ...signingKey, kid }))).rejects.toMatchObject({
    cause: { kid: "[2Jstranger", kids: [expected] },
  });
  const own = agentIdentityAuth("https://chatgpt.com", { jwks: { keySet: { keys: [signingKey.jwk] } } });
  const authorization = `Bearer ${mint({ account_id: "acct-\r\n1" })}`;
  const restricted = own.restrictTo({ forcedChatgptWorkspaceId: "acct-2" });
  await expect(restricted.authenticate({ headers: { authorization } })).rejects.toMatchObject({
    cause: { reason: "the agent's account is not in forcedChatgptWorkspaceId" },
  });
});
