import { createHash } from "node:crypto";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import { describe, expect, test } from "vitest";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  createJwksResolver,
  type AgentIdentity,
  type AgentIdentityAuthOptions,
} from "../../src/index.js";
import { claims, createSigningKey, mint, now, signingKey } from "../support/agents.js";
import { listen, send, startBackend } from "../support/servers.js";
import { base64url, join, rsa } from "./forged-token.js";
import { bearer, startTarget } from "./target.js";

const stranger = createSigningKey("stranger");
const spare = createSigningKey("spare");

/** The same header and claims, with a signature of a key that nobody trusts. */
function forgery(token: string): string {
  const [header = "", payload = ""] = token.split(".");
  return join(header, payload, rsa("sha256", stranger.privateKey));
}

describe("verifiers that decide differently, on one resolver", () => {
  const iss = "https://gw.example";
  /** By mount, its options. */
  const MOUNTS: Record<string, AgentIdentityAuthOptions> = {
    default: {},
    issuer: { issuer: iss },
    audience: { audience: "gateway" },
    strict: { clockTolerance: 0 },
    lenient: { clockTolerance: 300 },
    small: { tokenCache: { max: 1 } },
    uncached: { tokenCache: false },
  };
  /** By token, what each mount says of it; `default` where nothing else is said. */
  const TOKENS: [name: string, token: () => string, verdicts: Record<string, string>][] = [
    ["of the usual", () => mint(), { default: "accepted", issuer: "issuer_invalid", audience: "audience_invalid" }],
    ["of another issuer", () => mint({ iss }), { default: "issuer_invalid", issuer: "accepted" }],
    [
      "of another audience",
      () => mint({ aud: "gateway" }),
      { default: "audience_invalid", audience: "accepted", issuer: "issuer_invalid" },
    ],
    [
      "expired 30 s ago",
      () => mint({ exp: now() - 30 }),
      { default: "accepted", strict: "token_expired", issuer: "issuer_invalid", audience: "audience_invalid" },
    ],
    [
      "expired 200 s ago",
      () => mint({ exp: now() - 200 }),
      { default: "token_expired", lenient: "accepted", issuer: "issuer_invalid", audience: "audience_invalid" },
    ],
    [
      "valid in 200 s",
      () => mint({ nbf: now() + 200 }),
      { default: "token_not_yet_valid", lenient: "accepted", issuer: "issuer_invalid", audience: "audience_invalid" },
    ],
  ];

  async function startMounts() {
    const { baseUrl } = await startBackend();
    const jwks = createJwksResolver(baseUrl);
    const app = express();
    for (const [name, options] of Object.entries(MOUNTS)) {
      const agents = agentIdentityAuth(baseUrl, { ...options, jwks });
      app.get(`/${name}`, agents, (req, res) => res.json(req.agentIdentity));
    }
    app.use(agentIdentityErrorHandler());
    const { url } = await listen(app);
    return async (mount: string, token: string): Promise<string> => {
      const { status, body } = await send(`${url}/${mount}`, bearer(token));
      return status === 200 ? "accepted" : (JSON.parse(body) as { error: { code: string } }).error.code;
    };
  }

  describe.each(TOKENS)("a token %s", (_, token, verdicts) => {
    const names = Object.keys(MOUNTS);
    test.each([
      ["in this order", names],
      ["in the other", [...names].reverse()],
      ["twice each", [...names, ...names]],
    ])("%s", async (_order, mounts) => {
      const ask = await startMounts();
      const asked = token();
      for (const mount of mounts) expect(await ask(mount, asked), mount).toBe(verdicts[mount] ?? verdicts["default"]);
    });

    test("at once, at all of them", async () => {
      const ask = await startMounts();
      const asked = token();
      const mounts = Array.from({ length: 5 }, () => names).flat();
      const answers = await Promise.all(mounts.map((mount) => ask(mount, asked)));
      expect(answers).toEqual(mounts.map((mount) => verdicts[mount] ?? verdicts["default"]));
    });
  });
});

describe("a forgery beside the token that it imitates", () => {
  test("does not become good through it, nor it bad, whichever comes first", async () => {
    for (const goodFirst of [true, false]) {
      const target = await startTarget();
      const good = mint();
      const bad = forgery(good);
      const order = goodFirst ? [good, bad, good, bad] : [bad, good, bad, good];
      for (const token of order) {
        expect(await target.verdict(bearer(token))).toBe(token === good ? "accepted" : "signature_invalid");
      }
    }
  });

  test("all at once, cold and warm", async () => {
    const target = await startTarget();
    const good = mint();
    const tokens = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? good : forgery(good)));
    for (let i = 0; i < 2; i++) {
      const answers = await Promise.all(tokens.map((token) => send(target.url, bearer(token))));
      expect(answers.map(({ status }) => status)).toEqual(tokens.map((token) => (token === good ? 200 : 401)));
    }
    expect(target.reached).toBe(40);
  });

  test("many forgeries at once share a verdict, which is theirs", async () => {
    const target = await startTarget();
    const bad = forgery(mint());
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(target.url, bearer(bad))));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`)).size).toBe(1);
    expect(answers[0]).toMatchObject({ status: 401 });
    expect(target.reached).toBe(0);
  });

  test("two agents at once are two agents", async () => {
    const target = await startTarget();
    const ids = Array.from({ length: 20 }, (_, i) => `agent-${i % 5}`);
    const tokens = new Map(ids.map((id) => [id, mint({ agent_runtime_id: id })]));
    for (let i = 0; i < 2; i++) {
      const answers = await Promise.all(ids.map((id) => send(target.url, bearer(tokens.get(id) ?? ""))));
      expect(answers.map(({ body }) => (JSON.parse(body) as AgentIdentity).agentRuntimeId)).toEqual(ids);
    }
  });
});

describe("what is nearly a token that is remembered", () => {
  const good = mint();
  const [header = "", payload = "", signature = ""] = good.split(".");
  const swapCase = (text: string) =>
    text.replace(/[a-z]/gi, (letter) =>
      letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
    );
  const next = (text: string) => text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1);
  const digest = (encoding: "hex" | "base64" | "base64url") => createHash("sha256").update(good).digest(encoding);

  test.each<[string, string]>([
    ["its last character", next(good)],
    ["its first character", `f${good.slice(1)}`],
    ["its case", swapCase(good)],
    ["the case of its signature", `${header}.${payload}.${swapCase(signature)}`],
    ["the case of its claims", `${header}.${swapCase(payload)}.${signature}`],
    ["a character less", good.slice(0, -1)],
    ["a character more", `${good}A`],
    ["NUL", `${good}\0`],
    ["a space", `${good} `],
    ["a line break", `${good}\n`],
    ["a byte-order mark", `\ufeff${good}`],
    ["a lone surrogate, which is U+FFFD in UTF-8", `${good}\ud800`],
    ["U+FFFD", `${good}\ufffd`],
    [
      "white space in its claims",
      join(header, base64url(` ${JSON.stringify(claims())}`), rsa("sha256", stranger.privateKey)),
    ],
    ["its SHA-256 in hexadecimal", digest("hex")],
    ["its SHA-256 in base64", digest("base64")],
    ["its SHA-256 in base64url, which is its name in the cache", digest("base64url")],
    ["nothing, which is the name of a token that is too long", ""],
    ["a token that is too long, and begins like it", good + "A".repeat(16_384)],
    ["__proto__", "__proto__"],
    ["constructor", "constructor"],
  ])("%s", async (_, token) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(good))).toBe("accepted");
    for (let i = 0; i < 2; i++) {
      await expect(target.agents.verifier.verify(token)).rejects.toMatchObject({ status: 401 });
    }
    expect(await target.verdict(bearer(good))).toBe("accepted");
  });

  test("a string object is no string, though it reads as one", async () => {
    const target = await startTarget();
    expect(await target.verdict(bearer(good))).toBe("accepted");
    for (const value of [new String(good), [good], { toString: () => good }, Buffer.from(good), null, 7]) {
      const promise = target.agents.verifier.verify(value as string);
      await expect(promise).rejects.toMatchObject({ code: "token_malformed" });
    }
  });
});

describe("an identity", () => {
  test("that one request has spoilt is whole in the next", async () => {
    const { baseUrl } = await startBackend();
    const seen: unknown[] = [];
    const succeeded: string[] = [];
    const spoil: RequestHandler = (req, res) => {
      const identity = req.agentIdentity ?? expect.fail();
      seen.push({ ...identity });
      const attempts: Record<string, () => boolean> = {
        set: () => Reflect.set(identity, "accountId", "acct-2"),
        add: () => Reflect.set(identity, "role", "admin"),
        define: () => Reflect.defineProperty(identity, "accountId", { value: "acct-2" }),
        delete: () => Reflect.deleteProperty(identity, "accountId"),
        inherit: () => Reflect.setPrototypeOf(identity, { role: "admin" }),
      };
      for (const [name, attempt] of Object.entries(attempts)) if (attempt()) succeeded.push(name);
      // Its own request is a handler's to change.
      req.agentIdentity = { ...identity, accountId: "acct-2" };
      res.json(req.agentIdentity);
    };
    const agents = agentIdentityAuth(baseUrl, { jwks: {} });
    const app = express().get("/", agents, spoil).use(agentIdentityErrorHandler());
    const { url } = await listen(app);
    const token = mint();
    for (let i = 0; i < 3; i++) expect(await send(url, bearer(token))).toMatchObject({ status: 200 });
    expect(succeeded).toEqual([]);
    expect(seen).toHaveLength(3);
    for (const identity of seen) expect(identity).toEqual(seen[0]);
    expect(seen[0]).toMatchObject({ accountId: "acct-1" });
  });

  test("that an earlier middleware made up is replaced, and opens nothing", async () => {
    const { baseUrl } = await startBackend();
    const agents = agentIdentityAuth(baseUrl, { jwks: {} });
    const left: unknown[] = [];
    const watch: ErrorRequestHandler = (error, req, _res, next) => {
      left.push(req.agentIdentity);
      next(error);
    };
    const app = express()
      .use((req, _res, next) => {
        req.agentIdentity = { accountId: "acct-2" } as AgentIdentity;
        next();
      })
      .get("/", agents, (req, res) => res.json(req.agentIdentity))
      .get("/acct-2", agents.restrictTo({ forcedChatgptWorkspaceId: "acct-2" }), (_req, res) => res.json("in"))
      .use(watch, agentIdentityErrorHandler());
    const { url } = await listen(app);
    const token = mint();
    for (let i = 0; i < 2; i++) {
      expect(JSON.parse((await send(url, bearer(token))).body)).toMatchObject({ accountId: "acct-1" });
      expect(await send(`${url}/acct-2`, bearer(token))).toMatchObject({ status: 403 });
      expect(await send(`${url}/acct-2`)).toMatchObject({ status: 401 });
    }
    expect(left).toHaveLength(4);
  });
});

describe("between one hit and the next", () => {
  test("a key that is revoked is trusted no more", async () => {
    const target = await startTarget([signingKey.jwk, spare.jwk]);
    const token = mint();
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(token))).toBe("accepted");
    target.backend.keys = [spare.jwk];
    // A kid that is not known makes the resolver look again.
    expect(await target.verdict(bearer(mint({}, stranger)))).toBe("key_untrusted");
    expect(target.backend.fetches).toBe(2);
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(token))).toBe("key_untrusted");
    expect(await target.verdict(bearer(mint({}, spare)))).toBe("accepted");
  });

  test("a key that is replaced under its name verifies its own tokens only", async () => {
    const successor = { ...spare, kid: "key-1" };
    const target = await startTarget();
    const token = mint();
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(token))).toBe("accepted");
    target.backend.keys = [{ ...spare.jwk, kid: "key-1" }];
    expect(await target.verdict(bearer(mint({}, stranger)))).toBe("key_untrusted");
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(token))).toBe("signature_invalid");
    expect(await target.verdict(bearer(mint({}, successor)))).toBe("accepted");
  });

  test.each<[string, object]>([
    ["for encryption", { use: "enc" }],
    ["for another algorithm", { alg: "RS512" }],
    ["for signing only", { key_ops: ["sign"] }],
  ])("a key that is now %s is trusted no more", async (_, members) => {
    const target = await startTarget([signingKey.jwk, spare.jwk]);
    const token = mint();
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(token))).toBe("accepted");
    target.backend.keys = [{ ...signingKey.jwk, ...members }, spare.jwk];
    expect(await target.verdict(bearer(mint({}, stranger)))).toBe("key_untrusted");
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(token))).toBe("key_untrusted");
  });

  test("a restriction applies, whatever other routes let the token in", async () => {
    const target = await startTarget();
    const token = mint();
    for (let i = 0; i < 3; i++) {
      expect(await target.verdict(bearer(token))).toBe("accepted");
      expect(await target.verdict(bearer(token), "/acct-1")).toBe("accepted");
      expect(await target.verdict(bearer(token), "/acct-2")).toBe("workspace_not_allowed");
    }
    for (let i = 0; i < 2; i++)
      expect(await target.verdict(bearer(forgery(token)), "/acct-2")).toBe("signature_invalid");
  });
});
