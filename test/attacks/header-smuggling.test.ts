import { describe, expect, test } from "vitest";
import { mint } from "../support/agents.js";
import { assertion, createAgent, createDirectory } from "../support/assertions.js";
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
  const BAD = `Authorization: Bearer ${bad}`;
  const rows = [
    ...[good, BAD, `AUTHORIZATION: Bearer ${bad}`, "Authorization:", `${good}\r\n${good}`].map(
      (second) => `${good}\r\n${second}`,
    ),
    ...[
      BAD,
      `aUTHORIZATION: Bearer ${bad}`,
      "authorization:",
      "Authorization:   \t ",
      "Authorization: Basic dXNlcjpwYXNz",
    ].map((first) => `${first}\r\n${good}`),
    ...["Authorization:\r\nAuthorization:", `${good}\r\n${"X: y\r\n".repeat(200)}authorization: Bearer ${bad}`],
  ];
  test.each([{}, { credentialsRequired: false }])("with %j", async (options) => {
    const target = await startTarget(undefined, options);
    for (const headers of rows) expect(await raw(target, headers), headers).toBe("request_malformed");
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
  const value = (text: string) => `Authorization: ${text.replace("TOKEN", token)}`;
  const READ: [code: Verdict, values: string[]][] = [
    [
      "request_malformed",
      [
        ...[
          `Bearer TOKEN, Bearer ${bad}`,
          `Bearer TOKEN; Bearer ${bad}`,
          "Bearer TOKEN,",
          "Bearer\tTOKEN",
          "Bearer \tTOKEN",
        ],
        ...["Bearer\u00a0TOKEN", "Bearer\u00c2\u00a0TOKEN", "Bearer: TOKEN", "Bearer=TOKEN", 'Bearer token="TOKEN"'],
        ...["Bearer Bearer TOKEN", `Bearer${" ".repeat(15_000)}`, `Bearer${" ".repeat(7_000)}a${" ".repeat(7_000)}b`],
      ],
    ],
    [
      "scheme_unsupported",
      [
        ...["Basic dXNlcjpwYXNz, Bearer TOKEN", "TOKEN", "xBearer TOKEN", '"Bearer" TOKEN', "B\u00e9arer TOKEN"],
        ...[`${"Bearer".repeat(2000)} TOKEN`, "constructor TOKEN", "__proto__ TOKEN", ": Bearer TOKEN"],
      ],
    ],
    ["node", ["Bearer TOKEN\0", "Bearer\0TOKEN", "Bearer\r\n TOKEN", "Bearer\r\n\tTOKEN"]],
  ];
  const BY_NODE = [
    ...[
      "Authorization\0: ",
      "Authorization : ",
      "Authorization\t: ",
      " Authorization: ",
      "Authorization ",
      "Authorizat\u00efon: ",
    ].map((start) => `${start}Bearer ${token}`),
    ...[`X: y\r\n ${good}`, `X: y\r${good}`],
  ];
  test("is read as RFC 9110 has it, and the next request as ever", async () => {
    const target = await startTarget();
    for (const [code, values] of READ) {
      for (const each of values) expect(await raw(target, value(each)), each).toBe(code);
      expect(await raw(target, good)).toBe("accepted");
    }
    for (const lines of BY_NODE) expect(await raw(target, lines), lines).toBe("node");
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

  test("in the URL", async () => {
    const target = await startTarget();
    for (const path of [
      ...[`/?access_token=${token}`, `/?Authorization=Bearer%20${token}`, `/${token}`, `/acct-1?access_token=${token}`],
      "/?__proto__[agentIdentity]=1&agentIdentity[accountId]=acct-1",
    ]) {
      expect(await target.verdict({}, path)).toBe("credentials_missing");
    }
  });

  test("in a body", async () => {
    const target = await startTarget();
    for (const [type, body] of [
      ["application/x-www-form-urlencoded", `access_token=${token}`],
      ["application/json", JSON.stringify({ access_token: token, authorization: `Bearer ${token}` })],
    ] as const) {
      const post = async () => {
        const answer = await fetch(target.url, { method: "POST", headers: { "Content-Type": type }, body });
        return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
      };
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
