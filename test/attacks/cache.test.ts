/** What is remembered of one token, or of one verifier, gives nothing to another. */

import { createHash } from "node:crypto";
import express, { type ErrorRequestHandler, type RequestHandler } from "express";
import { describe, expect, test } from "vitest";
import {
  agentIdentityAuth,
  agentIdentityErrorHandler,
  createJwksResolver,
  createVerifier,
  type AgentIdentity,
  type VerifierOptions,
} from "../../src/index.js";
import { claims, mint, now, secondKey, signingKey, stranger } from "../support/agents.js";
import { bearer } from "../support/request-table.js";
import { listen, send, startBackend } from "../support/servers.js";
import { base64url, join, rsa } from "./forged-token.js";
import { startTarget, verdictOf, verifierOf } from "./target.js";

/** The same header and claims, with a signature of a key that nobody trusts. */
function forgery(token: string): string {
  const [header = "", payload = ""] = token.split(".");
  return join(header, payload, rsa("sha256", stranger.privateKey));
}

describe("verifiers that decide differently, on one resolver", () => {
  const iss = "https://gw.example";
  const OPTIONS: Record<string, VerifierOptions> = {
    default: {},
    issuer: { issuer: iss },
    audience: { audience: "gateway" },
    strict: { clockTolerance: 0 },
    lenient: { clockTolerance: 300 },
    small: { tokenCache: { max: 1 } },
    uncached: { tokenCache: false },
  };
  const others = { issuer: "issuer_invalid", audience: "audience_invalid" };
  /** What each verifier says of a token; `default` where nothing else is said. */
  const TOKENS: [name: string, token: string, verdicts: Record<string, string>][] = [
    ["of the usual", mint(), { default: "accepted", ...others }],
    ["of another issuer", mint({ iss }), { default: "issuer_invalid", issuer: "accepted" }],
    ["of another audience", mint({ aud: "gateway" }), { default: "audience_invalid", ...others, audience: "accepted" }],
    ["expired 30 s ago", mint({ exp: now() - 30 }), { default: "accepted", ...others, strict: "token_expired" }],
    ["expired 200 s ago", mint({ exp: now() - 200 }), { default: "token_expired", ...others, lenient: "accepted" }],
    ["valid in 200 s", mint({ nbf: now() + 200 }), { default: "token_not_yet_valid", ...others, lenient: "accepted" }],
  ];
  const names = Object.keys(OPTIONS);

  test.each(TOKENS)("a token %s", async (_, token, verdicts) => {
    const { baseUrl } = await startBackend();
    for (const order of [names, [...names].reverse()]) {
      const jwks = createJwksResolver(baseUrl);
      const verifiers = new Map(names.map((name) => [name, createVerifier(baseUrl, { ...OPTIONS[name], jwks })]));
      const ask = (name: string) => verdictOf(token, verifiers.get(name));
      for (const name of order) expect(await ask(name), name).toBe(verdicts[name] ?? verdicts["default"]);
      const atOnce = await Promise.all(order.map(ask));
      expect(atOnce).toEqual(order.map((name) => verdicts[name] ?? verdicts["default"]));
    }
  });
});

describe("a forgery beside the token that it imitates", () => {
  test("does not become good through it, nor it bad, whichever comes first", async () => {
    for (const goodFirst of [true, false]) {
      const verifier = verifierOf();
      const good = mint();
      const bad = forgery(good);
      for (const token of goodFirst ? [good, bad, good] : [bad, good, bad]) {
        expect(await verdictOf(token, verifier)).toBe(token === good ? "accepted" : "signature_invalid");
      }
    }
  });

  test("all at once, cold and warm, over HTTP", async () => {
    const target = await startTarget();
    const good = mint();
    const tokens = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? good : forgery(good)));
    for (let i = 0; i < 2; i++) {
      const answers = await Promise.all(tokens.map((token) => send(target.url, bearer(token))));
      expect(answers.map(({ status }) => status)).toEqual(tokens.map((token) => (token === good ? 200 : 401)));
    }
    expect(target.reached).toBe(40);
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

test("what is nearly a token that is remembered", async () => {
  const good = mint();
  const [header = "", payload = "", signature = ""] = good.split(".");
  const swapCase = (text: string) =>
    text.replace(/[a-z]/gi, (letter) =>
      letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
    );
  const digest = (encoding: "hex" | "base64" | "base64url") => createHash("sha256").update(good).digest(encoding);
  const verifier = verifierOf();
  for (const token of [
    ...[good.slice(0, -1) + (good.endsWith("A") ? "B" : "A"), `f${good.slice(1)}`, swapCase(good), good.slice(0, -1)],
    ...[`${header}.${payload}.${swapCase(signature)}`, `${header}.${swapCase(payload)}.${signature}`],
    // A lone surrogate is U+FFFD in UTF-8.
    ...["A", "\0", " ", "\n", "\ud800", "\ufffd"].map((more) => good + more),
    ...[`\ufeff${good}`, join(header, base64url(` ${JSON.stringify(claims())}`), rsa("sha256", stranger.privateKey))],
    // Its digest is its name in the cache; an empty string is the name of a token that is too long.
    ...[digest("hex"), digest("base64"), digest("base64url"), "", good + "A".repeat(16_384)],
    ...["__proto__", "constructor"],
  ]) {
    expect(await verdictOf(good, verifier)).toBe("accepted");
    expect(await verdictOf(token, verifier), token).toMatch(/_(malformed|invalid|allowed)$/);
  }
  // Values that read as that string are no strings.
  for (const value of [new String(good), [good], { toString: () => good }, Buffer.from(good), null, 7]) {
    await expect(verifier.verify(value as string)).rejects.toMatchObject({ code: "token_malformed" });
  }
});

describe("an identity", () => {
  test("that one request has spoilt is whole in the next", async () => {
    const { baseUrl } = await startBackend();
    const seen: unknown[] = [];
    const spoil: RequestHandler = (req, res) => {
      const identity = req.agentIdentity ?? expect.fail();
      seen.push({ ...identity });
      const succeeded = [
        Reflect.set(identity, "accountId", "acct-2"),
        Reflect.set(identity, "role", "admin"),
        Reflect.defineProperty(identity, "accountId", { value: "acct-2" }),
        Reflect.deleteProperty(identity, "accountId"),
        Reflect.setPrototypeOf(identity, { role: "admin" }),
      ];
      // Its own request is a handler's to change.
      req.agentIdentity = { ...identity, accountId: "acct-2" };
      res.json(succeeded);
    };
    const app = express().get("/", agentIdentityAuth(baseUrl), spoil);
    const { url } = await listen(app);
    const token = mint();
    for (let i = 0; i < 3; i++) {
      expect(JSON.parse((await send(url, bearer(token))).body)).toEqual([false, false, false, false, false]);
    }
    expect(seen).toHaveLength(3);
    for (const identity of seen) expect(identity).toEqual(seen[0]);
    expect(seen[0]).toMatchObject({ accountId: "acct-1" });
  });

  test("that an earlier middleware made up is replaced, and opens nothing", async () => {
    const { baseUrl } = await startBackend();
    const agents = agentIdentityAuth(baseUrl);
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

/** A key set that changes between one hit and the next, at an endpoint; the first key's token has been remembered. */
async function startRotating(keys: unknown[]) {
  const backend = await startBackend(keys);
  const verifier = createVerifier(backend.baseUrl, { jwks: {} });
  const token = mint();
  expect(await verdictOf(token, verifier)).toBe("accepted");
  return {
    token,
    verifier,
    replaceKeys: async (replacement: unknown[]) => {
      backend.keys = replacement;
      // An unknown kid makes the resolver look again.
      expect(await verdictOf(mint({}, stranger), verifier)).toBe("key_untrusted");
      expect(backend.fetches).toBe(2);
    },
  };
}

describe("between one hit and the next", () => {
  test.each<[string, unknown[]]>([
    ["revoked", []],
    ["for encryption", [{ ...signingKey.jwk, use: "enc" }]],
    ["for another algorithm", [{ ...signingKey.jwk, alg: "RS512" }]],
    ["for signing only", [{ ...signingKey.jwk, key_ops: ["sign"] }]],
  ])("a key that is now %s is trusted no more", async (_, replacement) => {
    const { token, verifier, replaceKeys } = await startRotating([signingKey.jwk, secondKey.jwk]);
    await replaceKeys([...replacement, secondKey.jwk]);
    expect(await verdictOf(token, verifier)).toBe("key_untrusted");
    expect(await verdictOf(mint({}, secondKey), verifier)).toBe("accepted");
  });

  test("a key that is replaced under its name verifies its own tokens only", async () => {
    const { token, verifier, replaceKeys } = await startRotating([signingKey.jwk]);
    await replaceKeys([{ ...secondKey.jwk, kid: "key-1" }]);
    expect(await verdictOf(token, verifier)).toBe("signature_invalid");
    expect(await verdictOf(mint({}, { ...secondKey, kid: "key-1" }), verifier)).toBe("accepted");
  });

  test("a restriction applies, whatever other routes let the token in", async () => {
    const target = await startTarget();
    const token = mint();
    for (let i = 0; i < 3; i++) {
      expect(await target.verdict(bearer(token))).toBe("accepted");
      expect(await target.verdict(bearer(token), "/acct-1")).toBe("accepted");
      expect(await target.verdict(bearer(token), "/acct-2")).toBe("workspace_not_allowed");
    }
    expect(await target.verdict(bearer(forgery(token)), "/acct-2")).toBe("signature_invalid");
  });
});
