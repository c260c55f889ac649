import { request } from "node:http";
import { describe, expect, test } from "vitest";
import { mint } from "../support/agents.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
import type { Answer } from "../support/servers.js";
import { sendRaw } from "../support/raw-request.js";
import { bearer, type SentHeaders } from "../support/request-table.js";
import { startTarget, type Target, type Verdict } from "./target.js";

const token = mint();
const bad = mint({ exp: 1 });
const good = `Authorization: Bearer ${token}`;
const raw = (target: Target, headers: string): Promise<Verdict> => target.judge(() => sendRaw(target.url, headers));

test("the token that is smuggled is a good one", async () => {
  const target = await startTarget();
  expect(await raw(target, good)).toBe("accepted");
  expect(await raw(target, `X: y\r\n${good}\r\nZ: z`)).toBe("accepted");
});

describe("two Authorization headers", () => {
  const rows: [string, string][] = [
    ["the same twice", `${good}\r\n${good}`],
    ["good, then bad", `${good}\r\nAuthorization: Bearer ${bad}`],
    ["bad, then good", `Authorization: Bearer ${bad}\r\n${good}`],
    ["in other case", `${good}\r\nAUTHORIZATION: Bearer ${bad}`],
    ["in other case, the other way round", `aUTHORIZATION: Bearer ${bad}\r\n${good}`],
    ["the second one empty", `${good}\r\nAuthorization:`],
    ["the first one empty", `authorization:\r\n${good}`],
    ["the first one blank", `Authorization:   \t \r\n${good}`],
    ["both empty", "Authorization:\r\nAuthorization:"],
    ["of two schemes", `Authorization: Basic dXNlcjpwYXNz\r\n${good}`],
    ["far from each other", `${good}\r\n${"X: y\r\n".repeat(200)}authorization: Bearer ${bad}`],
    ["three of them", `${good}\r\n${good}\r\n${good}`],
  ];
  test.each([{}, { credentialsRequired: false }])("with %j", async (options) => {
    const target = await startTarget(undefined, options);
    for (const [name, headers] of rows) expect(await raw(target, headers), name).toBe("request_malformed");
  });

  test("another header of as many letters is not a second one, and hides nothing", async () => {
    const other = "X-Request-Idx";
    expect(other).toHaveLength("Authorization".length);
    const target = await startTarget();
    for (const headers of [`${good}\r\n${other}: a`, `${other}: a\r\n${good}\r\n${other}: b`]) {
      expect(await raw(target, headers)).toBe("accepted");
    }
    const rawHeaders = [other, "a", "Authorization", `Bearer ${token}`, other, "b"];
    const req = { headers: { authorization: `Bearer ${token}` }, rawHeaders };
    expect(await target.agents.authenticate(req)).toMatchObject({ agentRuntimeId: "agent-1" });
    expect(rawHeaders).toEqual([other, "a", "Authorization", req.headers.authorization, other, "b"]);
    expect(req.headers.authorization).toMatch(/^Bearer hidden\./);
  });
});

describe("one header that some parser could read as another", () => {
  const rows: [string, string, Verdict][] = [
    ["joined with a comma", `Authorization: Bearer ${token}, Bearer ${bad}`, "request_malformed"],
    ["joined with a comma alone", `Authorization: Bearer ${token},`, "request_malformed"],
    ["joined with a semicolon", `Authorization: Bearer ${token}; Bearer ${bad}`, "request_malformed"],
    ["after another scheme", `Authorization: Basic dXNlcjpwYXNz, Bearer ${token}`, "scheme_unsupported"],
    ["a tab after the scheme", `Authorization: Bearer\t${token}`, "request_malformed"],
    ["a space and a tab", `Authorization: Bearer \t${token}`, "request_malformed"],
    ["a non-breaking space", `Authorization: Bearer\u00a0${token}`, "request_malformed"],
    ["a non-breaking space, in UTF-8", `Authorization: Bearer\u00c2\u00a0${token}`, "request_malformed"],
    ["a colon after the scheme", `Authorization: Bearer: ${token}`, "request_malformed"],
    ["an equals sign", `Authorization: Bearer=${token}`, "request_malformed"],
    ["as a parameter", `Authorization: Bearer token="${token}"`, "request_malformed"],
    ["the scheme twice", `Authorization: Bearer Bearer ${token}`, "request_malformed"],
    ["no scheme", `Authorization: ${token}`, "scheme_unsupported"],
    ["a scheme with something before it", `Authorization: xBearer ${token}`, "scheme_unsupported"],
    ["a scheme in quotes", `Authorization: "Bearer" ${token}`, "scheme_unsupported"],
    ["a scheme of other letters", `Authorization: B\u00e9arer ${token}`, "scheme_unsupported"],
    ["a very long scheme", `Authorization: ${"Bearer".repeat(2000)} ${token}`, "scheme_unsupported"],
    ["a scheme of Object.prototype", `Authorization: constructor ${token}`, "scheme_unsupported"],
    ["__proto__", `Authorization: __proto__ ${token}`, "scheme_unsupported"],
    ["very many spaces, and nothing", `Authorization: Bearer${" ".repeat(15_000)}`, "request_malformed"],
    [
      "very many spaces, and two words",
      `Authorization: Bearer${" ".repeat(7000)}a${" ".repeat(7000)}b`,
      "request_malformed",
    ],
    ["NUL in the value", `Authorization: Bearer ${token}\0`, "node"],
    ["NUL after the scheme", `Authorization: Bearer\0${token}`, "node"],
    ["NUL in the name", `Authorization\0: Bearer ${token}`, "node"],
    ["a space before the colon", `Authorization : Bearer ${token}`, "node"],
    ["a tab before the colon", `Authorization\t: Bearer ${token}`, "node"],
    ["a space before the name", ` Authorization: Bearer ${token}`, "node"],
    ["a folded line (obs-fold)", `Authorization: Bearer\r\n ${token}`, "node"],
    ["a folded line, with a tab", `Authorization: Bearer\r\n\t${token}`, "node"],
    ["folded under another header", `X: y\r\n ${good}`, "node"],
    ["CR alone", `X: y\r${good}`, "node"],
    ["LF in the value", `Authorization: Bearer\n${token}`, "node"],
    ["a colon too many", `Authorization:: Bearer ${token}`, "scheme_unsupported"],
    ["no colon", `Authorization Bearer ${token}`, "node"],
    ["a name that is not ASCII", `Authori\u007aat\u00efon: Bearer ${token}`, "node"],
  ];
  test("is read as RFC 9110 has it, and the next request as ever", async () => {
    const target = await startTarget();
    for (const [name, headers, code] of rows) {
      expect(await raw(target, headers), name).toBe(code);
      expect(await raw(target, good), name).toBe("accepted");
    }
  });

  test("LF alone ends no line that Node would not end: whichever it is, nobody gets in twice", async () => {
    const target = await startTarget();
    const verdict = await raw(target, `X: y\nAuthorization: Bearer ${bad}\r\n${good}`);
    expect(["node", "request_malformed"]).toContain(verdict);
  });

  test("a name with an underscore or another dash is another name", async () => {
    const target = await startTarget();
    for (const name of ["Authorization_", "_Authorization", "Authorization-", "X_Authorization", "Authorisation"]) {
      expect(await raw(target, `${name}: Bearer ${token}`)).toBe("credentials_missing");
    }
  });

  test("a second request in the body of the first is no request", async () => {
    const target = await startTarget();
    const smuggled = `GET / HTTP/1.1\r\nHost: x\r\n${good}\r\n\r\n`;
    expect(await raw(target, `Content-Length: ${smuggled.length}\r\n\r\n${smuggled}`)).toBe("credentials_missing");
    for (const ambiguous of [
      `Content-Length: 0\r\nContent-Length: ${smuggled.length}`,
      `Content-Length: ${smuggled.length}\r\nTransfer-Encoding: chunked`,
      "Transfer-Encoding: identity, chunked, x",
      "Content-Length: +5",
    ]) {
      expect(await raw(target, `${ambiguous}\r\n\r\n${smuggled}`), ambiguous).toBe("node");
    }
    expect(target.reached).toBe(0);
  });
});

describe("a token elsewhere is not looked at", () => {
  const HEADERS: SentHeaders[] = [
    { "X-Authorization": `Bearer ${token}` },
    { "Proxy-Authorization": `Bearer ${token}` },
    { "X-Forwarded-Authorization": `Bearer ${token}` },
    { "X-Original-Authorization": `Bearer ${token}` },
    { Authentication: `Bearer ${token}` },
    { "X-Access-Token": token, "Access-Token": token, Token: token },
    { Cookie: `Authorization=Bearer ${token}; access_token=${token}; token=${token}` },
    { "Sec-WebSocket-Protocol": `bearer, ${token}` },
    { "X-HTTP-Method-Override": "OPTIONS" },
    { "ChatGPT-Account-ID": "acct-1" },
    { "X-Agent-Identity": '{"accountId":"acct-1"}', agentIdentity: "agent-1" },
  ];
  test("in another header", async () => {
    const target = await startTarget();
    for (const headers of HEADERS) {
      expect(await target.verdict(headers), Object.keys(headers)[0]).toBe("credentials_missing");
    }
  });

  test.each([
    ["as access_token", `/?access_token=${token}`],
    ["as Authorization", `/?Authorization=Bearer%20${token}`],
    ["as a path", `/${token}`],
    ["where one account is let in", `/acct-1?access_token=${token}`],
    ["as members of the request", "/?__proto__[agentIdentity]=1&agentIdentity[accountId]=acct-1"],
  ])("in the URL, %s", async (_, path) => {
    const target = await startTarget();
    expect(await target.verdict({}, path)).toBe("credentials_missing");
  });

  test("in a body", async () => {
    const target = await startTarget();
    for (const [type, body] of [
      ["application/x-www-form-urlencoded", `access_token=${token}`],
      ["application/json", JSON.stringify({ access_token: token, authorization: `Bearer ${token}` })],
    ] as const) {
      const post = () =>
        new Promise<Answer>((resolve, reject) => {
          request(target.url, { method: "POST", headers: { "Content-Type": type }, agent: false }, (res) => {
            let text = "";
            res.on("data", (chunk) => (text += String(chunk)));
            res.on("end", () => {
              resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text });
            });
          })
            .on("error", reject)
            .end(body);
        });
      expect(await target.judge(post)).toBe("credentials_missing");
    }
  });

  test("in a trailer", async () => {
    const target = await startTarget();
    const headers = `Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\n${good}`;
    expect(await raw(target, headers)).toBe("credentials_missing");
  });
});

test("the scheme of one kind of credentials does not admit the other", async () => {
  const agent = createAgent("agent-1");
  const target = await startTarget(undefined, { directory: createDirectory(agent) });
  const [, envelope = ""] = assertion(agent).split(" ");
  expect(await target.verdict({ Authorization: `AgentAssertion ${envelope}` })).toBe("accepted");
  expect(await target.verdict(bearer(envelope))).toBe("token_malformed");
  expect(await target.verdict({ Authorization: `AgentAssertion ${token}` })).toBe("assertion_malformed");
  expect(await raw(target, `${good}\r\nAuthorization: AgentAssertion ${envelope}`)).toBe("request_malformed");
  expect(await target.verdict(bearer(`${token}, AgentAssertion ${envelope}`))).toBe("request_malformed");
});
