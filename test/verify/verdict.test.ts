import { isDeepStrictEqual, inspect } from "node:util";
import Koa from "koa";
import Koa2 from "koa2";
import { describe, expect, test } from "vitest";
import * as expressAdapter from "../../src/index.js";
import type { AgentIdentity } from "../../src/index.js";
import * as koaAdapter from "../../src/koa.js";
import { Refusal, type AgentIdentityError } from "../../src/verify/outcome/errors.js";
import { ADMITTED, admit, ANONYMOUS, identityOrThrow, type IdentityCarrier } from "../../src/verify/outcome/verdict.js";
import { isVerifiedIdentity, verifiedIdentity } from "../../src/verify/outcome/verified-identity.js";
import { bearer } from "../support/request-table.js";
import { mint, signingKey } from "../support/agents.js";
import { expressReleases } from "../support/express.js";
import { listen, send } from "../support/servers.js";

const plain = (): AgentIdentity => ({
  agentRuntimeId: "agent-1",
  accountId: "acct-1",
  chatgptUserId: "user-1",
  email: null,
  planType: "pro",
  chatgptAccountIsFedramp: false,
  issuedAt: 1,
  expiresAt: 2,
});
const identity = verifiedIdentity(plain());

/** Of a library of somebody's: only its `then` is a promise's. */
const thenable = (value: unknown) => ({ then: (resolve: (value: unknown) => unknown) => resolve(value) });

const NO_VERDICTS: [name: string, value: unknown][] = [
  ["a copy of an identity", { ...identity }],
  ["what inherits from an identity", Object.create(identity)],
  ["a proxy of an identity", new Proxy(identity, {})],
  ["an identity that was text in between", JSON.parse(JSON.stringify(identity))],
  ["a clone of an identity", structuredClone(identity)],
  ["an identity in an array", [identity]],
  ["true", true],
  ["an empty object", {}],
  ["undefined", undefined],
  ["null", null],
  ["what admits", ADMITTED],
  ["a symbol of the same name", Symbol("anonymous")],
  ["what looks like a refusal", { code: "token_expired", cause: undefined, retryAfter: undefined }],
];

const toError = ({ code }: Refusal) => Object.assign(new Error("refused"), { code }) as unknown as AgentIdentityError;

/** What comes of a verdict, and what is on the request then. */
async function decide(authenticate: () => unknown, carrier: IdentityCarrier = {}) {
  const admission: unknown = await admit(authenticate, {}, carrier, toError);
  return { admission, carrier };
}

describe.each(NO_VERDICTS)("%s", (_, value) => {
  test.each<[string, (value: unknown) => unknown]>([
    ["itself", (value) => value],
    ["as a promise", (value) => Promise.resolve(value)],
    ["as a thenable", thenable],
    ["as a thenable of a thenable", (value) => thenable(thenable(value))],
  ])("%s is no verdict", async (_form, form) => {
    const { admission, carrier } = await decide(() => form(value));
    expect(admission).toBeInstanceOf(Error);
    expect((admission as Error).message).toContain("no verdict");
    expect(carrier).toEqual({});
  });

  test("is no outcome", () => {
    for (const outcome of [value, Promise.resolve(value), thenable(value)]) {
      expect(() => identityOrThrow(outcome, toError)).toThrow("no verdict");
    }
  });
});

test("an identity is a verdict at once, as a promise, and as a thenable", async () => {
  const carrier: IdentityCarrier = {};
  expect(admit(() => identity, {}, carrier, toError)).toBe(ADMITTED);
  expect(carrier.agentIdentity).toBe(identity);
  for (const pending of [Promise.resolve(identity), thenable(identity), thenable(Promise.resolve(identity))]) {
    const outcome = await decide(() => pending);
    expect(outcome.admission).toBe(ADMITTED);
    expect(outcome.carrier.agentIdentity).toBe(identity);
  }
  expect(identityOrThrow(identity, toError)).toBe(identity);
});

test("neither a promise nor a thenable of an identity is an outcome, nor is nobody", () => {
  for (const outcome of [Promise.resolve(identity), thenable(identity), ANONYMOUS]) {
    expect(() => identityOrThrow(outcome, toError)).toThrow("no verdict");
  }
});

test("a refusal is its error, at once and later", async () => {
  const refusal = new Refusal("token_expired");
  for (const verdict of [refusal, Promise.resolve(refusal), thenable(refusal)]) {
    expect(await decide(() => verdict)).toMatchObject({ admission: { code: "token_expired" }, carrier: {} });
  }
  expect(() => identityOrThrow(refusal, toError)).toThrow("refused");
});

// Express takes undefined, null and 0 for success and "route" and "router" for commands; Koa ignores null.
test.each([undefined, null, 0, "", "route", "router", thenable(identity), Promise.resolve(), () => undefined])(
  "%s that is thrown is an error",
  async (thrown) => {
    const throwing = () => {
      throw thrown as unknown as Error;
    };
    const rejecting = { then: (_resolve: unknown, reject: (reason: unknown) => unknown) => reject(thrown) };
    const carrier = Object.defineProperty({}, "agentIdentity", { set: throwing });
    for (const [authenticate, carriers] of [
      [throwing],
      [() => Promise.resolve().then(throwing)],
      [() => rejecting],
      [() => ({ then: throwing })],
      [() => identity, carrier],
      [() => thenable(identity), carrier],
    ] satisfies [() => unknown, IdentityCarrier?][]) {
      const { admission } = await decide(authenticate, carriers);
      expect(admission).toBeInstanceOf(Error);
      expect((admission as Error).cause).toBe(thrown);
    }
  },
);

test.each<[string, IdentityCarrier, RegExp]>([
  [
    "only a getter",
    {
      get agentIdentity() {
        return identity;
      },
    },
    /only a getter/,
  ],
  ["frozen", Object.freeze({}), /not extensible/],
  ["frozen with an identity", Object.freeze({ agentIdentity: identity }), /read only/],
])("a carrier that is %s is an error, as the engine tells it", async (_, carrier, message) => {
  for (const verdict of [identity, Promise.resolve(identity), ANONYMOUS, Promise.resolve(ANONYMOUS)]) {
    const { admission } = await decide(() => verdict, carrier);
    expect(admission).toBeInstanceOf(TypeError);
    expect((admission as Error).message).toMatch(message);
  }
});

test("an anonymous request has no identity, whatever was set before or is inherited", async () => {
  for (const verdict of [ANONYMOUS, Promise.resolve(ANONYMOUS)]) {
    for (const carrier of [{}, { agentIdentity: identity }, Object.create({ agentIdentity: identity }) as object]) {
      expect((await decide(() => verdict, carrier)).admission).toBe(ADMITTED);
      expect(Object.getOwnPropertyDescriptor(carrier, "agentIdentity")).toMatchObject({ value: undefined });
    }
  }
});

test("the stamp is not to be seen, and the identity is frozen", () => {
  expect(isVerifiedIdentity(identity)).toBe(true);
  expect(isDeepStrictEqual(identity, plain())).toBe(true);
  expect(JSON.stringify(identity)).toBe(JSON.stringify(plain()));
  expect(Reflect.ownKeys(identity)).toEqual(Object.keys(plain()));
  expect(inspect(identity, { showHidden: true })).toBe(inspect(plain(), { showHidden: true }));
  expect(Object.getPrototypeOf(identity)).toBe(Object.prototype);
  expect(Object.isFrozen(identity)).toBe(true);
});

/** How the request of a framework is spoilt before the middleware has it. */
type Spoil = (carrier: object, query: object) => unknown;

const options = { jwks: { keySet: { keys: [signingKey.jwk] } }, credentialsRequired: false };
const getterOnly = { get: () => identity };
const nameOf = ({ agentIdentity }: IdentityCarrier) => agentIdentity?.agentRuntimeId ?? "nobody";

const frameworks: [name: string, start: (spoil: Spoil) => Promise<{ url: string }>][] = [
  ...expressReleases.map(([name, express]): (typeof frameworks)[0] => [
    name,
    (spoil) => {
      const app = express().set("env", "test");
      app.use((req, _res, next) => {
        spoil(req, req.query);
        next();
      });
      return listen(
        app.use(
          expressAdapter.agentIdentityAuth("https://chatgpt.com", options),
          (req, res) => void res.send(nameOf(req)),
        ),
      );
    },
  ]),
  ...[Koa2, Koa].map((Release, i): (typeof frameworks)[0] => [
    `Koa ${i + 2}`,
    (spoil) => {
      const app = new Release<koaAdapter.AgentIdentityState>();
      app.silent = true;
      app.use((ctx, next) => {
        spoil(ctx.state, ctx.query);
        return next();
      });
      app
        .use(koaAdapter.agentIdentityAuth("https://chatgpt.com", options))
        .use((ctx) => void (ctx.body = nameOf(ctx.state)));
      const listener = app.callback();
      return listen((req, res) => void listener(req, res));
    },
  ]),
];

describe.each(frameworks)("%s", (_, start) => {
  test.each<[string, Spoil]>([
    ["has a getter only", (carrier) => Object.defineProperty(carrier, "agentIdentity", getterOnly)],
    [
      "inherits a getter only",
      (carrier) => {
        const parent = Object.create(Object.getPrototypeOf(carrier) as object, { agentIdentity: getterOnly }) as object;
        Object.setPrototypeOf(carrier, parent);
      },
    ],
    ["is read-only", (carrier) => Object.defineProperty(carrier, "agentIdentity", { value: identity })],
  ])("where the identity goes %s: 500, the process lives", async (_case, spoil) => {
    const { url } = await start(spoil);
    const token = mint();
    for (const when of ["new", "remembered"])
      expect(await send(url, bearer(token)), when).toMatchObject({ status: 500 });
    expect(await send(url)).toMatchObject({ status: 500 });
  });

  test("without credentials, neither a careless merge nor a polluted prototype makes somebody", async () => {
    const { url } = await start((carrier, query) => Object.assign(carrier, query));
    expect(await send(`${url}/?agentIdentity=admin`)).toMatchObject({ status: 200, body: "nobody" });
    const polluted = Object.prototype as IdentityCarrier;
    try {
      polluted.agentIdentity = identity;
      expect(await send(url)).toMatchObject({ status: 200, body: "nobody" });
    } finally {
      delete polluted.agentIdentity;
    }
  });
});

test("a setter that keeps what it had is an error: the handler would read somebody else", async () => {
  const carrier = { agentIdentity: undefined };
  Object.defineProperty(carrier, "agentIdentity", { get: () => plain(), set: () => undefined });
  for (const verdict of [identity, Promise.resolve(identity), ANONYMOUS]) {
    const { admission } = await decide(() => verdict, carrier);
    expect((admission as Error).message).toContain("other code has defined it");
  }
});

test("what throws when it is looked at is an error too", async () => {
  const thrown = Object.defineProperty({}, "then", {
    get() {
      throw new Error("looked at");
    },
  });
  const throwing = () => {
    throw thrown as unknown as Error;
  };
  for (const authenticate of [throwing, () => ({ then: throwing })]) {
    expect((await decide(authenticate)).admission).toMatchObject({
      message: expect.stringContaining("not an error") as string,
    });
  }
});
