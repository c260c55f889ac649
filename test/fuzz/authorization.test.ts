/** Whatever stands in `Authorization`, only one `Bearer` with one good token lets anybody in, as a function and over a socket. */

import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler } from "../../src/index.js";
import { mint, now, signingKey } from "../support/agents.js";
import { expectFailure, expectNothingOf, expectRefusal, MESSAGES, sentWith, type Code } from "../support/refusals.js";
import { listen, send, sendJson } from "../support/servers.js";
import { tokenOfLength } from "../support/token-of-length.js";
import { fuzz, settled } from "./budget.js";
import { nextMonth, oneOf, usually } from "./values.js";

const options = { jwks: { keySet: { keys: [signingKey.jwk] } } };
const agents = agentIdentityAuth("https://gw.example", options);
const handlers = {
  required: agents,
  optional: agentIdentityAuth("https://gw.example", { ...options, credentialsRequired: false }),
  "acct-1": agents.restrictTo({ forcedChatgptWorkspaceId: "acct-1" }),
};
type Where = keyof typeof handlers;

/** Of which account each token is. */
const good = new Map([
  [mint({ exp: nextMonth }), "acct-1"],
  [mint({ account_id: "acct-2", exp: nextMonth }), "acct-2"],
]);
const tokens = [...good.keys()];
const refused = [mint({ exp: now() - 3_600 }), `${tokens[0] ?? ""}x`, `${tokens[0] ?? ""}=`, tokenOfLength(16_385)];

const latin1 = fc.string({ unit: fc.nat({ max: 0xff }).map((code) => String.fromCharCode(code)) });
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
  oneOf(..."= == a a= a== a=b =a a.b.c ~+/-._ a,b \u00e9 a\u00e9".split(" "), "", "a b", 'realm="x"'),
  oneOf("a".repeat(16_385), `${tokens[0] ?? ""} ${tokens[0] ?? ""}`),
  latin1,
);
const tail = usually(6, oneOf(""), oneOf(" ", "\t", " x", ",", ", Bearer x", "\n", "\0"));
const value: Arbitrary<string> = usually(
  8,
  fc.tuple(scheme, separator, credentials, tail).map((parts) => parts.join("")),
  latin1,
  oneOf("", " ", "\t", " \t ", "\u00a0", "\u00a0 ", "\n", ...tokens),
);
const values: Arbitrary<string[]> = fc.oneof(
  { weight: 12, arbitrary: value.map((only) => [only]) },
  { weight: 1, arbitrary: fc.constant<string[]>([]) },
  { weight: 1, arbitrary: fc.array(usually(1, value, oneOf("")), { minLength: 2, maxLength: 3 }) },
);
const cases = fc.record({ values, where: fc.constantFrom<Where[]>("required", "optional", "acct-1") });

/** The account of the only header's good token, by the grammar of RFC 6750 §2.1. */
const accountIn = (values: string[]): string | undefined =>
  values.length === 1 ? good.get(/^bearer +(\S+)$/i.exec(values[0] ?? "")?.[1] ?? "") : undefined;

/** The verdict of the function: the account, "nobody", or the code of a refusal that is as it has to be. */
async function verdictOf(values: string[], where: Where): Promise<string> {
  const rawHeaders = ["Host", "authorization", "X-Authorization", "Bearer x", "X-Request-Idx", "Bearer x"];
  for (const each of values) rawHeaders.push("authoriZation", each);
  const req = { headers: values.length > 0 ? { authorization: values[0] } : {}, rawHeaders };
  const error = await new Promise<unknown>((resolve) => {
    handlers[where](req as never, {} as never, resolve);
  });
  const { agentIdentity } = req as { agentIdentity?: { accountId: string } };
  if (error === undefined) return agentIdentity?.accountId ?? "nobody";
  expect(agentIdentity).toBeUndefined();
  const sent = values.map((each) => sentWith(each.replace(/^\S* */, "")));
  return expectRefusal(error, { texts: [...values, ...sent.flatMap(({ texts }) => texts)] });
}

function expectRight(verdict: string, values: string[], where: Where): void {
  const account = accountIn(values);
  const isBlank = values.length < 2 && /^[ \t]*$/.test(values[0] ?? "");
  if (where === "acct-1" && account === "acct-2") expect(verdict).toBe("workspace_not_allowed");
  else if (account !== undefined) expect(verdict).toBe(account);
  else if (isBlank) expect(verdict).toBe(where === "optional" ? "nobody" : "credentials_missing");
  else if (values.length > 1) expect(verdict).toBe("request_malformed");
  else
    expect(verdict).toMatch(/^(scheme_unsupported|request_malformed|token_malformed|token_expired|signature_invalid)$/);
}

test("the middleware lets in whom the header names, and authenticate says the same", async () => {
  const endings = {
    "acct-1": 0.05,
    nobody: 0.01,
    scheme_unsupported: 0.1,
    request_malformed: 0.1,
    token_malformed: 0.03,
  };
  await fuzz(400, endings, cases, async ({ values, where }) => {
    const verdict = await verdictOf(values, where);
    expectRight(verdict, values, where);
    if (where === "required" && values.length < 2) {
      const outcome = await settled(agents.authenticate({ headers: { authorization: values[0] } }));
      expect(outcome).toMatchObject(verdict in MESSAGES ? { code: verdict } : { accountId: verdict });
    }
    return verdict;
  });
});

test("over a socket a header has the same verdict", async () => {
  const { url } = await listen((req, res) => {
    const onError = agentIdentityErrorHandler();
    handlers[req.url?.slice(1) as Where](req, res, (error) => {
      if (error === undefined)
        sendJson(res, (req as { agentIdentity?: object }).agentIdentity ?? { accountId: "nobody" });
      else onError(error, req, res, () => res.writeHead(500).end());
    });
  });
  await fuzz(
    100,
    { "acct-1": 0.03, scheme_unsupported: 0.1, request_malformed: 0.1 },
    cases,
    async ({ values, where }) => {
      // What a client can send, in headers that a server reads: no control characters, and no more than 16 KB.
      const sent = values.map((each) => each.replace(/[^\t\x20-\x7e\x80-\xff]/g, "").slice(0, 4_000));
      // RFC 9110 §5.5: white space around a value is no part of it.
      const received = sent.map((each) => each.replace(/^[ \t]+|[ \t]+$/g, ""));
      const verdict = await verdictOf(received, where);
      const answer = await send(`${url}/${where}`, { Authorization: sent });
      expectNothingOf({ texts: received }, answer);
      if (answer.status === 200) expect(JSON.parse(answer.body)).toMatchObject({ accountId: verdict });
      else expectFailure(answer, verdict as Code);
      return verdict;
    },
  );
});
