import { inspect } from "node:util";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ErrorRequestHandler } from "express";
import { expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler, createVerifier } from "../src/index.js";
import { agentPrivateKey, claims, createSigningKey, mint, signToken } from "./support/agents.js";
import { expressReleases } from "./support/express.js";
import { listen, send, startBackend } from "./support/servers.js";

const stranger = createSigningKey("stranger");

/** Tokens that are refused at every step, each with the private key in it. */
const refused = (): string[] => [
  `${mint()}.x`,
  signToken({ alg: "RS512", kid: "key-1" }, claims()),
  mint({ iss: "x" }),
  mint({ aud: "x" }),
  mint({ email: 1 }),
  mint({ exp: 1 }),
  mint({ nbf: 4_000_000_000 }),
  mint({}, stranger),
  mint({}, { ...stranger, kid: "key-1" }),
];

/** Every string that can be reached from a value through properties of every kind, their names, and collections. */
function reachableStrings(root: unknown): string[] {
  const seen = new Set<unknown>([Function.prototype, Object.prototype]);
  const strings: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value === "string") strings.push(value);
    if (value === null || (typeof value !== "object" && typeof value !== "function") || seen.has(value)) return;
    seen.add(value);
    if (value instanceof Map || value instanceof Set) for (const entry of value) visit(entry);
    for (const key of Reflect.ownKeys(value)) {
      strings.push(String(key));
      visit(Reflect.get(value, key));
    }
    visit(Object.getPrototypeOf(value));
  };
  visit(root);
  return strings;
}

function expectNoSecret(value: unknown, token: string): void {
  const texts = [
    ...reachableStrings(value),
    inspect(value, { depth: null, showHidden: true, getters: true }),
    JSON.stringify([value]),
  ];
  const parts = token.split(".").filter((part) => part.length > 40);
  for (const secret of [token, agentPrivateKey, ...parts]) {
    expect(texts.filter((text) => text.includes(secret))).toEqual([]);
  }
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail("it was accepted"),
    (reason: unknown) => reason,
  );

test("the walk finds what is hidden in non-enumerable properties, causes and maps", () => {
  const token = mint();
  const hidden = new Error("x", { cause: new Map([["key", { token }]]) });
  expect(() => {
    expectNoSecret(hidden, token);
  }).toThrow();
  expect(() => {
    expectNoSecret(Object.defineProperty({}, "x", { value: agentPrivateKey }), token);
  }).toThrow();
});

test("neither token nor private key is in what the verifier hands out", async () => {
  const backend = await startBackend();
  const events: unknown[] = [];
  for (const name of ["agent-identity-auth:verify", "agent-identity-auth:jwks.fetch"]) {
    const listener = (event: unknown) => events.push(event);
    subscribe(name, listener);
    onTestFinished(() => void unsubscribe(name, listener));
  }
  const agents = agentIdentityAuth(backend.baseUrl, { jwks: {} });
  const verifier = createVerifier(backend.baseUrl, { jwks: agents.verifier.jwks });
  const accepted = mint();
  expectNoSecret(await verifier.verify(accepted), accepted);
  expectNoSecret(await verifier.verify(accepted), accepted);
  for (const token of refused()) {
    const error: unknown = await failure(verifier.verify(token));
    expect(error).toMatchObject({ status: 401 });
    expectNoSecret(error, token);
    expectNoSecret([verifier, agents, events], token);
  }
  backend.answer = (_req, res) => res.writeHead(500).end();
  const cold = createVerifier(backend.baseUrl, { jwks: {} });
  const unavailable: unknown = await failure(cold.verify(accepted));
  expect(unavailable).toMatchObject({ status: 503 });
  expectNoSecret(unavailable, accepted);
  expectNoSecret([verifier, agents, cold, events], accepted);
  expect(events.length).toBeGreaterThan(10);
});

test.each(expressReleases)("nor in any answer or request object of %s", async (_, express) => {
  const backend = await startBackend();
  const agents = agentIdentityAuth(backend.baseUrl);
  const app = express();
  const errors: unknown[] = [];
  app.get("/ours", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-2" }), agentIdentityErrorHandler());
  app.get("/default", agents, (req, res) => res.json(req.agentIdentity));
  app.use(((error, _req, _res, next) => {
    errors.push(error);
    next(error);
  }) as ErrorRequestHandler);
  app.set("env", "test");
  const { url } = await listen(app);
  for (const token of [mint(), ...refused()]) {
    for (const path of ["/ours", "/default"]) {
      expectNoSecret(await send(url + path, { Authorization: `Bearer ${token}` }), token);
    }
    expectNoSecret(errors, token);
  }
  expect(errors).toHaveLength(9);
});
