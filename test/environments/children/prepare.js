/* global Response */
/** What makes an environment, by name. Packages are imported here only: the other children do without them. */

import { runInNewContext } from "node:vm";

const JWKS_PATH = "/backend-api/wham/agent-identities/jwks";

const preparations = {
  subclass() {
    globalThis.Promise = class Replacement extends Promise {};
  },
  realm() {
    globalThis.Promise = runInNewContext("Promise");
  },
  proxy() {
    globalThis.Promise = new Proxy(Promise, {});
  },
  async bluebird() {
    globalThis.Promise = (await import("bluebird")).default;
  },
  zone: () => import("zone.js/node"),
  async "async-listener"() {
    await import("async-listener");
    process.addAsyncListener(process.createAsyncListener({ create: () => ({}) }));
  },

  async "fake timers and Date"({ now }) {
    const { default: timers } = await import("@sinonjs/fake-timers");
    timers.install({ now: now * 1000, toNotFake: ["nextTick", "queueMicrotask"] });
  },
  async "fake timers"({ now }) {
    const { default: timers } = await import("@sinonjs/fake-timers");
    timers.install({ now: now * 1000, toNotFake: ["nextTick", "queueMicrotask", "Date"] });
  },
  "vitest's fake timers"({ now }) {
    globalThis.vi.useFakeTimers({ now: now * 1000 });
  },
  "jest's fake timers"({ now }) {
    globalThis.jest.useFakeTimers({ now: now * 1000, doNotFake: ["nextTick", "queueMicrotask"] });
  },
  "frozen Date"({ now }) {
    Date.now = () => now * 1000;
  },

  async nock({ keys }) {
    const { default: nock } = await import("nock");
    nock("https://keys.example").persist().get(JWKS_PATH).reply(200, keys.jwks);
  },
  async msw({ keys }) {
    const { http, HttpResponse } = await import("msw");
    const { setupServer } = await import("msw/node");
    setupServer(http.get(`https://keys.example${JWKS_PATH}`, () => HttpResponse.json(keys.jwks))).listen();
  },
  async MockAgent({ keys }) {
    const { MockAgent, setGlobalDispatcher } = await import("undici");
    const agent = new MockAgent();
    agent.disableNetConnect();
    agent.get("https://keys.example").intercept({ path: JWKS_PATH }).reply(200, keys.jwks).persist();
    setGlobalDispatcher(agent);
  },
  async "caching dispatcher"() {
    const { Agent, interceptors, setGlobalDispatcher } = await import("undici");
    setGlobalDispatcher(new Agent().compose(interceptors.cache()));
  },

  async "jsdom globals"() {
    const { JSDOM } = await import("jsdom");
    const { window } = new JSDOM("", { url: "http://127.0.0.1/", runScripts: "outside-only" });
    const ofLanguage = new Set(runInNewContext("Object.getOwnPropertyNames(globalThis)"));
    for (const name of Object.getOwnPropertyNames(window)) {
      // Its timers and `queueMicrotask` call the global ones, and would call themselves for ever.
      const isOfNode = name in globalThis && !/^[A-Z]/.test(name);
      if (isOfNode || ofLanguage.has(name)) continue;
      Object.defineProperty(globalThis, name, { configurable: true, writable: true, value: window[name] });
    }
  },

  pollution({ argument, keys, attackerJwksUrl, now }) {
    Object.prototype[argument] = pollutants(keys, attackerJwksUrl, now)[argument];
  },
};

/** Every option name, and whatever else is read of an object, with the value that would serve an attacker. */
function pollutants(keys, attackerJwksUrl, now) {
  const agent = {
    publicKey: keys.attackerAgentKey,
    accountId: "acct-1",
    chatgptUserId: "polluted",
    planType: "pro",
    chatgptAccountIsFedramp: false,
  };
  const directory = {
    findAgent: () => agent,
    findTask: (id) => ({ agentRuntimeId: id === "task-1" ? "anyone" : "agent-1", expiresAt: now + 3600 }),
  };
  const { kty, n, e } = keys.attackerJwks.keys[0];
  return {
    ...{ credentialsRequired: false, keepCredentials: true, realm: "polluted", bearer: false, warnings: false },
    ...{ directory, assertions: directory, maxTokenAge: 1, waitUntil: () => undefined, tokenCache: false, max: 1 },
    ...{ resourceMetadata: "https://polluted.example/", issuer: "evil", audience: "evil", clockTolerance: 300 },
    ...{ jwksUrl: attackerJwksUrl, allowInsecureHttp: true, jwks: { keySet: keys.attackerJwks } },
    ...{ cacheMaxAge: 1, cooldownDuration: 0, timeoutDuration: 1, staleIfErrorDuration: 0, keySet: keys.attackerJwks },
    fetch: () => Response.json(keys.attackerJwks),
    store: {
      get: () => JSON.stringify({ fetchedAt: Date.now(), keys: keys.attackerJwks.keys }),
      set: () => undefined,
    },
    ...{ forcedChatgptWorkspaceId: "acct-2", forcedLoginMethod: "api" },
    // Claims, header parameters and JWK members.
    ...{ iss: "https://chatgpt.com/codex-backend/agent-identity", aud: "codex-app-server", iat: now, exp: now + 3600 },
    ...{ nbf: now + 3600, sub: {}, agent_runtime_id: "polluted", agent_private_key: "polluted", account_id: "acct-2" },
    ...{ chatgpt_user_id: "polluted", email: "polluted", plan_type: "polluted", chatgpt_account_is_fedramp: true },
    ...{ alg: "RS256", kid: "key-1", crit: ["exp"], b64: false, typ: "JWT", kty, n, e, use: "enc", key_ops: [] },
    // Of assertions, of what a directory gives, and of identities.
    ...{ task_id: "task-1", timestamp: "2026-01-01T00:00:00Z", signature: "polluted", publicKey: agent.publicKey },
    ...{ accountId: "acct-2", expiresAt: 1, taskId: "polluted", agentRuntimeId: "agent-1", planType: "polluted" },
    // Of requests.
    authorization: keys.authorization,
    "chatgpt-account-id": "acct-2",
    agentIdentity: { agentRuntimeId: "polluted", accountId: "acct-2" },
  };
}

export async function prepare(material) {
  if (material.prepare === undefined) return;
  await preparations[material.prepare](material);
}

const own = { configurable: true, get: () => "of another library" };

/** What is done to a request, and to Koa's context, in front of the mount. */
export const touches = {
  // Node itself writes to a request until it has ended, and would fail: what is frozen stands in front of it.
  frozen: {
    request: (req) => Object.freeze(Object.create(req, { headers: { value: req.headers, writable: true } })),
    state: (ctx) => Object.freeze(ctx.state),
  },
  proxied: {
    request: (req) => new Proxy(req, {}),
  },
  "headers frozen": {
    request(req) {
      Object.freeze(req.headers);
      return req;
    },
  },
  "headers in an array": {
    request(req) {
      const { authorization } = req.headers;
      if (authorization !== undefined) req.headers.authorization = [authorization];
      return req;
    },
  },
  "a getter without setter": {
    request: (req) => (Object.defineProperty(Object.getPrototypeOf(req), "agentIdentity", own), req),
    state: (ctx) => Object.defineProperty(ctx.state, "agentIdentity", own),
  },
};

/** For the parent: the names, one child each. */
export const POLLUTED_NAMES = Object.keys(pollutants({ attackerJwks: { keys: [{}] } }, "", 0));
