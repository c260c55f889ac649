/** Whatever stands in `Authorization`, the middleware reads it as RFC 9110 §11 and RFC 6750 §2.1 say. */

import { createPublicKey } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler, type AgentIdentityRequestHandler } from "../../src/index.js";
import { mint, now, signingKey } from "../support/agents.js";
import { listen, send, sendJson } from "../support/servers.js";
import { fuzz } from "./budget.js";
import { expectNothingOf, expectRefusal } from "./refusal.js";
import { tokenOfLength } from "./token-mutations.js";
import { identityOf, judgeToken, sentWith } from "./token-oracle.js";
import { nextMonth, usually } from "./values.js";

const keys = [{ kid: signingKey.kid, publicKey: createPublicKey(signingKey.privateKey), usable: true }];
const options = { jwks: { keySet: { keys: [signingKey.jwk] } } };
const agents = agentIdentityAuth("https://gw.example", options);
const handlers = {
  required: agents,
  optional: agentIdentityAuth("https://gw.example", { ...options, credentialsRequired: false }),
  "acct-1": agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" }),
} satisfies Record<string, AgentIdentityRequestHandler>;
type Where = keyof typeof handlers;

const TOKEN_CHARACTERS = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*/;
const ONE_B64TOKEN = /^ +([A-Za-z0-9\-._~+/]+=*)$/;

/** "accepted", "nobody" where nobody has to be, or the code. */
function judge(values: readonly string[], where: Where, at: number): string {
  const [value = "", another] = values;
  if (another !== undefined) return "request_malformed";
  if (value.replaceAll(" ", "").replaceAll("\t", "") === "") {
    return where === "optional" ? "nobody" : "credentials_missing";
  }
  const [scheme = ""] = TOKEN_CHARACTERS.exec(value) ?? [];
  if (scheme.toLowerCase() !== "bearer") return "scheme_unsupported";
  const [, token] = ONE_B64TOKEN.exec(value.slice(scheme.length)) ?? [];
  if (token === undefined) return "request_malformed";
  const verdict = judgeToken(token, keys, at);
  const isElsewhere = verdict === "accepted" && where === "acct-1" && identityOf(token).accountId !== "acct-1";
  return isElsewhere ? "workspace_not_allowed" : verdict;
}

const tokens = [mint({ exp: nextMonth }), mint({ account_id: "acct-2", exp: nextMonth }), tokenOfLength(16_384)];
const refused = [mint({ exp: now() - 3_600 }), `${mint({ exp: nextMonth })}x`, `${mint()}=`, tokenOfLength(16_385)];

const latin1 = fc.string({ unit: fc.nat({ max: 0xff }).map((code) => String.fromCharCode(code)) });
const oneOf = (...texts: string[]) => fc.constantFrom(...texts);

const scheme = usually(
  3,
  oneOf("Bearer", "bearer", "BEARER", "bEaReR"),
  oneOf("", "Basic", "Bear", "Bearer1", "Bearer-", "bearer~", "AgentAssertion", "\u00a0Bearer", " Bearer", "\tBearer"),
  latin1,
);
const separator = usually(3, oneOf(" ", "  ", " ".repeat(100)), oneOf("", "\t", " \t", "\t ", ",", "=", ":", "\u00a0"));
const credentials = usually(
  3,
  oneOf(...tokens, ...tokens, ...refused),
  oneOf(
    "",
    "=",
    "==",
    "a",
    "a=",
    "a==",
    "a=b",
    "=a",
    "a.b.c",
    "~+/-._",
    "a b",
    "a,b",
    'realm="x"',
    "\u00e9",
    "a\u00e9",
  ),
  oneOf("a".repeat(16_384), "a".repeat(16_385), `${"a".repeat(16_385)} `, `${tokens[0] ?? ""} ${tokens[0] ?? ""}`),
  latin1,
);
const tail = fc.oneof({ weight: 6, arbitrary: fc.constant("") }, oneOf(" ", "\t", " x", ",", ", Bearer x", "\n", "\0"));

const value: Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(scheme, separator, credentials, tail).map((parts) => parts.join("")) },
  { weight: 1, arbitrary: fc.oneof(latin1, oneOf("", " ", "\t", " \t ", "\u00a0", "\u00a0 ", "\n", ...tokens)) },
);
const values: Arbitrary<string[]> = fc.oneof(
  { weight: 12, arbitrary: value.map((only) => [only]) },
  { weight: 1, arbitrary: fc.constant<string[]>([]) },
  { weight: 1, arbitrary: fc.array(fc.oneof(value, fc.constant("")), { minLength: 2, maxLength: 3 }) },
);
const where = fc.constantFrom<Where[]>("required", "optional", "acct-1");

/** As Node has it: the first value under the name, and all of them in the raw list. */
function requestWith([authorization, ...others]: string[], name: string): IncomingMessage {
  const req = new IncomingMessage(new Socket());
  req.rawHeaders = ["Host", "authorization", "X-Authorization", "Bearer x"];
  if (authorization === undefined) return req;
  req.headers = { host: "authorization", authorization };
  for (const value of [authorization, ...others]) req.rawHeaders.push(name, value);
  return req;
}

/** What the middleware gave to `next`, in each of its calls. */
function callsOfNext(handler: AgentIdentityRequestHandler, req: IncomingMessage): Promise<unknown[]> {
  return new Promise((resolve) => {
    const calls: unknown[] = [];
    handler(req, new ServerResponse(req), (error) => {
      calls.push(error);
      setImmediate(resolve, calls);
    });
  });
}

const secondWord = (value = ""): string => / +(.*)$/s.exec(value)?.[1] ?? "";

test("every header is read as the grammar has it, by the middleware as a function", async () => {
  const name = oneOf("Authorization", "authorization", "AUTHORIZATION");
  const shares = {
    accepted: 0.1,
    nobody: 0.01,
    credentials_missing: 0.02,
    scheme_unsupported: 0.1,
    request_malformed: 0.1,
    token_malformed: 0.05,
    token_expired: 0.01,
    workspace_not_allowed: 0.01,
  };
  await fuzz({ runs: 400, shares }, fc.record({ values, name, where }), async ({ values, name, where }) => {
    const req = requestWith(values, name);
    const expected = judge(values, where, now());
    const [error, ...otherCalls] = await callsOfNext(handlers[where], req);
    expect(otherCalls).toEqual([]);
    const token = secondWord(values[0]);
    const { agentIdentity } = req as { agentIdentity?: unknown };
    if (error === undefined) {
      expect(expected).toBeOneOf(["accepted", "nobody"]);
      expect(agentIdentity).toEqual(expected === "accepted" ? identityOf(token) : undefined);
    } else {
      const { texts, kid } = sentWith(token);
      expect(expectRefusal(error, { texts: [...values, ...texts], kid })).toBe(expected);
      expect(agentIdentity).toBeUndefined();
    }
    return expected;
  });
});

test("and by authenticate, of whatever has headers", async () => {
  const one = fc.option(value, { nil: undefined, freq: 10 });
  await fuzz({ runs: 200, shares: { accepted: 0.1, refused: 0.5 } }, one, async (authorization) => {
    const expected = judge(authorization === undefined ? [] : [authorization], "required", now());
    const outcome: unknown = await agents
      .authenticate({ headers: { authorization } })
      .catch((reason: unknown) => reason);
    if (expected === "accepted") {
      expect(outcome).toEqual(identityOf(secondWord(authorization)));
      return expected;
    }
    expect(expectRefusal(outcome, sentWith(secondWord(authorization)))).toBe(expected);
    return "refused";
  });
});

test("and so it is when it comes over a socket", async () => {
  const { url } = await listen((req, res) => {
    const where = req.url?.slice(1) as Where;
    const onError = agentIdentityErrorHandler();
    handlers[where](req, res, (error) => {
      if (error === undefined) sendJson(res, (req as { agentIdentity?: object }).agentIdentity ?? "nobody");
      else onError(error, req, res, () => res.writeHead(500).end());
    });
  });
  // What a client can send, in headers that a server reads: no control characters, and no more than 16 KB.
  const sendable = values.map((all) => all.map((each) => each.replace(/[^\t\x20-\x7e\x80-\xff]/g, "").slice(0, 4_000)));
  const shares = { accepted: 0.05, scheme_unsupported: 0.1, request_malformed: 0.1, token_malformed: 0.05 };
  await fuzz({ runs: 120, shares }, fc.record({ values: sendable, where }), async ({ values, where }) => {
    // RFC 9110 §5.5: white space around a value is no part of it.
    const received = values.map((each) => each.replace(/^[ \t]+|[ \t]+$/g, ""));
    const expected = judge(received, where, now());
    const answer = await send(`${url}/${where}`, { Authorization: values });
    expectNothingOf({ texts: received }, answer);
    if (answer.status === 200) {
      const identity = expected === "accepted" ? identityOf(secondWord(received[0])) : "nobody";
      expect(JSON.parse(answer.body)).toEqual(identity);
      expect(expected).toBeOneOf(["accepted", "nobody"]);
    } else {
      expect(JSON.parse(answer.body)).toMatchObject({ error: { code: expected } });
      const challenge = answer.headers["www-authenticate"] ?? "";
      expect(challenge.replace(/, error="[a-z_]+", error_description="[^"]+"$/, "")).toBe(
        'Bearer realm="agent-identity"',
      );
    }
    return expected;
  });
});
