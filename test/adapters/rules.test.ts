/** Who may do what: `agentOf`, `agents.require`, `maxTokenAge`, `agents.ready` and the identities of `/testing`. */

import type { ErrorRequestHandler } from "express";
import Koa from "koa";
import Koa2 from "koa2";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import * as fetchAdapter from "../../src/fetch.js";
import * as expressAdapter from "../../src/index.js";
import type { AgentIdentity, AgentIdentityAuthOptions, IdentityRule } from "../../src/index.js";
import * as koaAdapter from "../../src/koa.js";
import { fakeIdentity } from "../../src/testing.js";
import { mint, now } from "../support/agents.js";
import { assertion, createAgent, createDirectory, timestamp } from "../support/assertions.js";
import { expressReleases } from "../support/express.js";
import { listen, send, startBackend, type Answer } from "../support/servers.js";
import { bridge } from "../support/bridge.js";
import { expectFailure } from "../support/refusals.js";
import { bearer, token, type SentHeaders } from "../support/request-table.js";

/** A mount of `agents` or of a rule, with whatever comes before it. */
interface Mounted {
  options?: AgentIdentityAuthOptions;
  rule?: IdentityRule;
  /** Instead of a mount. */
  setIdentity?: unknown;
  /** Neither. */
  unmounted?: boolean;
}

interface Served {
  url: string;
  /** What the handler was let through to. */
  reached: AgentIdentity[];
  /** What came to the framework's error handling. */
  errors: unknown[];
}

type Serve = (mounted: Mounted) => Promise<Served>;

const serveExpress =
  (express: (typeof expressReleases)[0][1]): Serve =>
  async ({ options, rule, unmounted = false, ...given }) => {
    const [reached, errors]: [AgentIdentity[], unknown[]] = [[], []];
    const { baseUrl } = await startBackend();
    const agents = expressAdapter.agentIdentityAuth(baseUrl, options);
    const app = express();
    if ("setIdentity" in given) {
      app.use((req, _res, next) => {
        req.agentIdentity = given.setIdentity as AgentIdentity;
        next();
      });
    } else if (!unmounted) app.use(rule ? agents.require(rule) : agents);
    app.use((req, res) => {
      reached.push(expressAdapter.agentOf(req));
      res.json(expressAdapter.agentOf(req).agentRuntimeId);
    });
    app.use(((error, _req, _res, next) => {
      errors.push(error);
      next(error);
    }) as ErrorRequestHandler);
    app.use(expressAdapter.agentIdentityErrorHandler());
    app.use(((_error, _req, res, _next) => {
      res.status(500).end();
    }) as ErrorRequestHandler);
    return { ...(await listen(app)), reached, errors };
  };

const serveKoa =
  (release: typeof Koa): Serve =>
  async ({ options, rule, unmounted = false, ...given }) => {
    const [reached, errors]: [AgentIdentity[], unknown[]] = [[], []];
    const { baseUrl } = await startBackend();
    const agents = koaAdapter.agentIdentityAuth(baseUrl, options);
    const app = new release<koaAdapter.AgentIdentityState>();
    app.silent = true;
    app.use(koaAdapter.agentIdentityErrorHandler());
    app.use((_ctx, next) =>
      next().catch((error: unknown) => {
        errors.push(error);
        throw error;
      }),
    );
    if ("setIdentity" in given) {
      app.use((ctx, next) => {
        ctx.state.agentIdentity = given.setIdentity as AgentIdentity;
        return next();
      });
    } else if (!unmounted) app.use(rule ? agents.require(rule) : agents);
    app.use((ctx) => {
      reached.push(koaAdapter.agentOf(ctx));
      ctx.body = JSON.stringify(koaAdapter.agentOf(ctx).agentRuntimeId);
    });
    const listener = app.callback();
    return { ...(await listen((req, res) => void listener(req, res))), reached, errors };
  };

const frameworks: [name: string, serve: Serve, property: string][] = [
  ...expressReleases.map(([name, express]): (typeof frameworks)[0] => [
    name,
    serveExpress(express),
    "req.agentIdentity",
  ]),
  ["Koa 2", serveKoa(Koa2), "ctx.state.agentIdentity"],
  ["Koa 3", serveKoa(Koa), "ctx.state.agentIdentity"],
];

describe.each(frameworks)("agentOf, %s", (_, serve, property) => {
  const ask = async (mounted: Mounted, headers: SentHeaders = bearer(token)) => {
    const served = await serve(mounted);
    return { ...served, answer: await send(served.url, headers) };
  };

  test("is the identity", async () => {
    const { answer, reached } = await ask({});
    expect(answer).toMatchObject({ status: 200, body: '"agent-1"' });
    expect(reached).toMatchObject([{ agentRuntimeId: "agent-1", accountId: "acct-1", planType: "pro" }]);
    expect(Object.isFrozen(reached[0])).toBe(true);
  });

  const MISTAKES: [name: string, mounted: Mounted, headers: SentHeaders, message: string][] = [
    ["no mount", { unmounted: true }, bearer(token), "is not set: mount agentIdentityAuth(baseUrl) in front"],
    ["no credentials", { options: { credentialsRequired: false } }, {}, "credentialsRequired is false"],
    ...[
      { agentRuntimeId: "agent-1" },
      null,
      { ...fakeIdentity() },
      Object.create(fakeIdentity()),
      structuredClone(fakeIdentity()),
    ].map((setIdentity: unknown): [string, Mounted, SentHeaders, string] => [
      "an identity of somebody else's making",
      { setIdentity },
      {},
      "fakeIdentity()",
    ]),
  ];
  test.each(MISTAKES)("names the mistake: %s", async (_name, mounted, headers, message) => {
    const { answer, errors, reached } = await ask(mounted, headers);
    expect(answer.status).toBe(500);
    expect(errors).toMatchObject([{ message: expect.stringMatching(`^${property} `) as string }]);
    expect(errors).toMatchObject([{ message: expect.stringContaining(message) as string }]);
    expect(reached).toEqual([]);
  });

  test("takes a fake identity", async () => {
    const identity = fakeIdentity({ agentRuntimeId: "agent-9" });
    const { answer, reached } = await ask({ setIdentity: identity });
    expect(answer).toMatchObject({ status: 200, body: '"agent-9"' });
    expect(reached[0]).toBe(identity);
  });
});

describe("fakeIdentity", () => {
  test("is a whole identity, frozen, whose members can be given", () => {
    expect(fakeIdentity()).toEqual({
      agentRuntimeId: "agent-1",
      accountId: "acct-1",
      chatgptUserId: "user-1",
      email: null,
      planType: "pro",
      chatgptAccountIsFedramp: false,
      issuedAt: expect.closeTo(now(), -1) as number,
      expiresAt: expect.closeTo(now() + 3600, -1) as number,
    });
    expect(Object.isFrozen(fakeIdentity())).toBe(true);
    const members = { accountId: "acct-2", email: "agent@example.com", taskId: "task-1", issuedAt: 1, expiresAt: 2 };
    expect(fakeIdentity(members)).toEqual({ ...fakeIdentity(), ...members });
  });

  test("a handler is tested with it, without a server", () => {
    const identity = fakeIdentity();
    expect(expressAdapter.agentOf({ agentIdentity: identity })).toBe(identity);
    expect(koaAdapter.agentOf({ state: { agentIdentity: identity } })).toBe(identity);
    for (const nothing of [undefined, null, {}, { state: null }] as unknown as { state: object }[]) {
      expect(() => expressAdapter.agentOf(nothing)).toThrow("req.agentIdentity is not set: mount");
      expect(() => koaAdapter.agentOf(nothing)).toThrow("ctx.state.agentIdentity is not set: mount");
    }
  });
});

/** `/fetch` too: its handler's answer is the agent's id, and what `protect` throws is what a framework would get. */
const serveFetch: Serve = async ({ options, rule = () => true }) => {
  const [reached, errors]: [AgentIdentity[], unknown[]] = [[], []];
  const { baseUrl } = await startBackend();
  const handler = fetchAdapter
    .agentIdentityAuth(baseUrl, options)
    .require(rule)
    .protect((_request, identity) => {
      reached.push(identity);
      return Response.json(identity.agentRuntimeId);
    });
  const listener = bridge((request) =>
    handler(request).catch((error: unknown) => {
      errors.push(error);
      throw error;
    }),
  );
  const { url } = await listen(listener);
  return { url, reached, errors };
};

const thenable = (value: unknown) => ({
  then: (resolve: (value: unknown) => void) => {
    resolve(value);
  },
});

describe.each<[name: string, serve: Serve]>([
  ...frameworks.map(([name, serve]): [string, Serve] => [name, serve]),
  ["Request and Response", serveFetch],
])("require, %s", (_, serve) => {
  /** Asks twice with each of these rules, which may break their type. */
  async function askWith<T>(
    rules: T[],
    toRule: (each: T) => unknown,
    expectRight: (answer: Answer, served: Served) => void,
  ) {
    let rule = (_identity: AgentIdentity): unknown => false;
    const served = await serve({ rule: ((identity) => rule(identity)) as IdentityRule });
    for (const each of rules) {
      rule = toRule(each) as typeof rule;
      for (let time = 0; time < 2; time++) expectRight(await send(served.url, bearer(token)), served);
    }
    return served;
  }

  test("only true lets the request through", async () => {
    const { reached } = await askWith<IdentityRule>(
      [
        () => true,
        () => Promise.resolve(true),
        (() => thenable(true)) as never,
        ({ planType, accountId }) => planType === "pro" && accountId === "acct-1",
      ],
      (rule) => rule,
      (answer) => {
        expect(answer).toMatchObject({ status: 200, body: '"agent-1"' });
      },
    );
    expect(reached).toMatchObject(Array(8).fill({ agentRuntimeId: "agent-1" }));
  });

  test("anything else is 403", async () => {
    const promises = [false, 1, () => true].map((value: unknown) => Promise.resolve(value));
    const answers = [false, undefined, null, "yes", 1, {}, Object(true), thenable(undefined), ...promises];
    const toRule = (answer: unknown) => () => answer;
    const { reached } = await askWith<unknown>(answers, toRule, (answer) => {
      expectFailure(answer, "identity_not_allowed");
    });
    expect(reached).toEqual([]);
  });

  /** The ways in which a rule fails with a value. */
  const WAYS: ((value: unknown) => unknown)[] = [
    (value) => {
      throw value;
    },
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- that is the mistake
    (value) => Promise.reject(value),
    (value) => ({
      then: (_resolve: unknown, reject: (value: unknown) => void) => {
        reject(value);
      },
    }),
  ];

  test("an error of the rule's goes to the framework as it is", async () => {
    const mine = new Error("mine");
    const { reached, errors } = await askWith(
      WAYS,
      (way) => () => way(mine),
      (answer) => {
        expect(answer.status).toBe(500);
      },
    );
    expect(errors).toHaveLength(6);
    for (const error of errors) expect(error).toBe(mine);
    expect(reached).toEqual([]);
  });

  test("whatever else a rule throws lets nobody through", async () => {
    const thrown = [undefined, null, false, "route", "router", Promise.resolve(true)];
    const cases = thrown.flatMap((value: unknown) => WAYS.slice(0, 2).map((way) => () => way(value)));
    const { reached } = await askWith(
      cases,
      (rule) => rule,
      (answer) => {
        expect(answer.status).toBe(500);
      },
    );
    expect(reached).toEqual([]);
  });

  test("refused credentials do not come to the rule, and none are refused where they are optional", async () => {
    const asked = vi.fn(() => true);
    const { url } = await serve({ rule: asked, options: { credentialsRequired: false } });
    expectFailure(await send(url), "credentials_missing");
    expectFailure(await send(url, bearer("abc")), "token_malformed");
    expectFailure(await send(url, bearer(mint({ exp: 1 }))), "token_expired");
    expect(asked).not.toHaveBeenCalled();
    await send(url, bearer(token));
    expect(asked).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ agentRuntimeId: "agent-1" }));
  });
});

test("authenticate of what require gives applies the rule", async () => {
  const { baseUrl } = await startBackend();
  const allowed = ({ planType }: AgentIdentity) => planType === "pro";
  for (const { agentIdentityAuth } of [expressAdapter, koaAdapter]) {
    const allowing = agentIdentityAuth(baseUrl).require(allowed);
    const source = (sent: string) => ({ headers: { authorization: `Bearer ${sent}` } });
    expect(await allowing.authenticate(source(token))).toMatchObject({ agentRuntimeId: "agent-1" });
    await expect(allowing.authenticate(source(mint({ plan_type: "plus" })))).rejects.toMatchObject({
      code: "identity_not_allowed",
    });
  }
});

describe("maxTokenAge", () => {
  const start = async () => {
    const time = now();
    vi.useFakeTimers({ toFake: ["Date"], now: time * 1000 });
    onTestFinished(() => void vi.useRealTimers());
    return { time, baseUrl: (await startBackend()).baseUrl };
  };
  const AGE = 600;
  const verdictOf = (promise: Promise<AgentIdentity>) =>
    promise.then(
      () => "accepted",
      (error: unknown) => (error as expressAdapter.AgentIdentityError).code,
    );

  test.each<[name: string, clockTolerance: number | undefined, iat: number, verdict: string]>([
    ["just young enough", 10, -AGE - 10, "accepted"],
    ["just too old", 10, -AGE - 11, "token_expired"],
    ["just young enough, without tolerance", 0, -AGE, "accepted"],
    ["just too old, without tolerance", 0, -AGE - 1, "token_expired"],
    ["just young enough, with the default tolerance", undefined, -AGE - 60, "accepted"],
    ["just too old, with the default tolerance", undefined, -AGE - 61, "token_expired"],
    ["issued within the tolerance", 10, 10, "accepted"],
    ["issued beyond the tolerance", 10, 11, "token_not_yet_valid"],
    ["issued now", 0, 0, "accepted"],
    ["issued in a second, without tolerance", 0, 1, "token_not_yet_valid"],
  ])("%s", async (_, clockTolerance, iat, verdict) => {
    const { time, baseUrl } = await start();
    const bounded = expressAdapter.createVerifier(baseUrl, { maxTokenAge: AGE, clockTolerance });
    const issued = mint({ iat: time + iat, exp: time + 3600 });
    expect(await verdictOf(bounded.verify(issued))).toBe(verdict);
    expect(await verdictOf(expressAdapter.createVerifier(baseUrl, { clockTolerance }).verify(issued))).toBe("accepted");
  });

  test("exp and nbf are looked at first", async () => {
    const { time, baseUrl } = await start();
    const bounded = expressAdapter.createVerifier(baseUrl, { maxTokenAge: AGE });
    const verify = (overrides: Record<string, number>) => verdictOf(bounded.verify(mint(overrides)));
    expect(await verify({ iat: 0, nbf: time + 100 })).toBe("token_not_yet_valid");
    expect(await verify({ iat: time + 100, exp: time - 60 })).toBe("token_expired");
    expect(await verify({ iat: 0, nbf: time })).toBe("token_expired");
  });

  test("a remembered token grows too old", async () => {
    const { time, baseUrl } = await start();
    const bounded = expressAdapter.createVerifier(baseUrl, { maxTokenAge: AGE, clockTolerance: 10, jwks: {} });
    const issued = mint({ iat: time, exp: time + 36_000 });
    expect(await verdictOf(bounded.verify(issued))).toBe("accepted");
    vi.setSystemTime((time + AGE + 10) * 1000);
    expect(await verdictOf(bounded.verify(issued))).toBe("accepted");
    vi.setSystemTime((time + AGE + 11) * 1000);
    for (let again = 0; again < 2; again++) expect(await verdictOf(bounded.verify(issued))).toBe("token_expired");
  });

  test("verifiers of different ages share no verdict", async () => {
    const { time, baseUrl } = await start();
    const issued = mint({ iat: time - 300 });
    const [none, long, short] = [undefined, AGE, 60].map((maxTokenAge) =>
      expressAdapter.createVerifier(baseUrl, { maxTokenAge }),
    );
    for (let again = 0; again < 2; again++) {
      const verdicts = await Promise.all(
        [none, long, short].map((each) => verdictOf(each?.verify(issued) ?? expect.fail())),
      );
      expect(verdicts).toEqual(["accepted", "accepted", "token_expired"]);
    }
    expect(expressAdapter.createVerifier(baseUrl, { maxTokenAge: AGE })).toBe(long);
  });

  test("it does not hold for assertions", async () => {
    const { baseUrl } = await startBackend();
    const signer = createAgent("agent-2");
    const agents = expressAdapter.agentIdentityAuth(baseUrl, { directory: createDirectory(signer), maxTokenAge: 1 });
    for (const offset of [-250, 250]) {
      const authorization = assertion(signer, "task-1", timestamp(offset));
      expect(await agents.authenticate({ headers: { authorization } })).toMatchObject({ agentRuntimeId: "agent-2" });
    }
  });

  test("it holds in the middleware of every adapter", async () => {
    const { baseUrl } = await startBackend();
    const authorization = `Bearer ${mint({ iat: now() - 300 })}`;
    const options = { maxTokenAge: 60 };
    const request = new Request("http://localhost/", { headers: { authorization } });
    const refused = { code: "token_expired" };
    for (const { agentIdentityAuth } of [expressAdapter, koaAdapter]) {
      const source = { headers: { authorization } };
      await expect(agentIdentityAuth(baseUrl, options).authenticate(source)).rejects.toMatchObject(refused);
    }
    await expect(fetchAdapter.agentIdentityAuth(baseUrl, options).authenticate(request)).rejects.toMatchObject(refused);
  });

  test.each([0, -1, 1.5, Infinity, NaN, "60", null, 2n])("%s is a TypeError", (maxTokenAge) => {
    const options = { maxTokenAge: maxTokenAge as number };
    const message = "maxTokenAge must be an integer of 1 or more (seconds)";
    for (const create of [
      expressAdapter.createVerifier,
      expressAdapter.agentIdentityAuth,
      fetchAdapter.agentIdentityAuth,
    ]) {
      expect(() => create("https://gw.example", options)).toThrow(TypeError);
      expect(() => create("https://gw.example", options)).toThrow(message);
    }
  });
});

describe.each([
  ["Express", expressAdapter.agentIdentityAuth],
  ["Koa", koaAdapter.agentIdentityAuth],
  ["Request and Response", fetchAdapter.agentIdentityAuth],
])("agents.ready(), %s", (_, agentIdentityAuth) => {
  test("resolves once there are keys", async () => {
    const backend = await startBackend();
    const agents = agentIdentityAuth(backend.baseUrl);
    const { jwks } = agents.verifier;
    expect(jwks.status().kids).toEqual([]);
    await expect(agents.ready()).resolves.toBeUndefined();
    expect(jwks.status().kids).toEqual(["key-1"]);
    await agents.ready();
    expect(backend.fetches).toBe(1);
  });

  test("rejects while there are none", async () => {
    const backend = await startBackend();
    backend.answer = (_req, res) => res.writeHead(500).end();
    const agents = agentIdentityAuth(backend.baseUrl);
    await expect(agents.ready()).rejects.toMatchObject({ code: "keys_unavailable", status: 503 });
    backend.answer = undefined;
    await expect(agents.ready()).resolves.toBeUndefined();
  });
});
