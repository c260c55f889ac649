/** The `Authorization` header as a pure function reads it. `test/attacks/header-smuggling.test.ts` sends it over sockets. */

import { expect, test } from "vitest";
import {
  accountIdOf,
  authorizationTexts,
  credentialsOfRequest,
  isB64token,
  readCredentials,
  type Scheme,
} from "../../src/verify/http/credentials.js";
import {
  findAuthorization,
  requireNodeRequest,
  type CredentialsSource,
} from "../../src/verify/http/request-headers.js";
import { Refusal } from "../../src/verify/outcome/errors.js";

const SCHEMES: readonly Scheme[] = ["Bearer", "AgentAssertion"];

/** Scheme and value, or the code of the refusal. */
function read(authorization: unknown, rawHeaders?: string[]): string {
  const source = { headers: { authorization }, rawHeaders } as unknown as CredentialsSource;
  const credentials = readCredentials(source, SCHEMES);
  return credentials instanceof Refusal ? credentials.code : `${credentials.scheme}: ${credentials.value}`;
}

test.each([
  ["Bearer abc", "Bearer: abc"],
  ["bEARER abc", "Bearer: abc"],
  ["AgentAssertion abc", "AgentAssertion: abc"],
  ["Bearer   abc", "Bearer: abc"],
  ["Bearer a  b", "Bearer: a  b"],
  ["Bearer ", "Bearer: "],
  [undefined, "credentials_missing"],
  ["", "credentials_missing"],
  [" \t ", "credentials_missing"],
  [" \tabc", "scheme_unsupported"],
  ["abc \t", "scheme_unsupported"],
  ["Bearer", "request_malformed"],
  ["BEARER,abc", "request_malformed"],
  ["Bearer\tabc", "request_malformed"],
  ["Bearer=abc def", "request_malformed"],
  [" Bearer abc", "scheme_unsupported"],
  [",Bearer", "scheme_unsupported"],
  ["Bearer1", "scheme_unsupported"],
  ["Bearers abc", "scheme_unsupported"],
  ["Bearer! abc", "scheme_unsupported"],
  ["Bearer-,abc", "scheme_unsupported"],
  ["Basic abc", "scheme_unsupported"],
])("the header %j is read as %j", (authorization, expected) => {
  expect(read(authorization)).toBe(expected);
});

test.each<[string[], string]>([
  [[], "Bearer: abc"],
  [["Authorization", "Bearer abc"], "Bearer: abc"],
  [["Host", "a", "authorization", "Bearer abc", "X", "b"], "Bearer: abc"],
  [["Authorization", "Bearer abc", "AUTHORIZATION", "Bearer abc"], "request_malformed"],
  [["Host", "a", "authorization", "b", "Host", "c", "authorization", "d"], "request_malformed"],
  [["Authorization", "Bearer abc", "Last-Modified", "b"], "Bearer: abc"], // another name of 13 letters
  [["X", "authorization"], "Bearer: abc"],
  [["Authorization", "authorization", "X", "authorization"], "Bearer: abc"],
])("beside the raw headers %j, the header is read as %j", (rawHeaders, expected) => {
  expect(read("Bearer abc", rawHeaders)).toBe(expected);
});

test("two headers are refused even where Node's headers have neither", () => {
  expect(read(undefined, ["Authorization", "", "Authorization", ""])).toBe("request_malformed");
});

test("a header that is not a string is a mistake of the program", () => {
  expect(() => read(["Bearer abc"])).toThrow(
    new TypeError("headers.authorization is not a string: pass the request's headers as Node gives them"),
  );
});

test.each<[string[], number | undefined, number]>([
  [[], undefined, -1],
  [["Authorization", "a"], undefined, 0],
  [["X", "a", "AUTHORIZATION", "b"], undefined, 2],
  [["Last-Modified", "a"], undefined, -1],
  [["X", "authorization"], undefined, -1],
  [["Authorization", "a", "Authorization", "b"], 2, 2],
  [["Authorization", "a", "X", "b"], 2, -1],
  [Array<string>(2), undefined, -1],
])("in %j, searched from %j, the name is at %j", (rawHeaders, from, expected) => {
  expect(findAuthorization(rawHeaders, from)).toBe(expected);
});

test.each<[CredentialsSource, string[]]>([
  [{ headers: {} }, [""]],
  [{ headers: { authorization: "a" } }, ["a"]],
  [{ headers: {}, rawHeaders: ["Authorization", "a", "X", "b", "authorization", "c"] }, ["", "a", "c"]],
  [{ headers: { authorization: "a" }, rawHeaders: ["X", "authorization", "Authorization"] }, ["a", ""]],
])("%j holds the texts %j", (source, expected) => {
  expect(authorizationTexts(source)).toEqual(expected);
});

test.each([
  ["abc", true],
  ["aZ09-._~+/==", true],
  ...["", "=", "a=b", "a b", " a", "a ", "a,", "a\n"].map((text): [string, boolean] => [text, false]),
])("%j is a b64token: %j", (value, expected) => {
  expect(isB64token(value)).toBe(expected);
});

test("the account header counts only as the request's own", () => {
  expect(accountIdOf({ headers: { "chatgpt-account-id": "acct-1" } })).toBe("acct-1");
  expect(accountIdOf({ headers: {} })).toBeUndefined();
  const headers = Object.create({ "chatgpt-account-id": "acct-1" }) as CredentialsSource["headers"];
  expect(accountIdOf({ headers })).toBeUndefined();
});

test("two headers of a fetch Request are read", () => {
  const headers = new Headers({ Authorization: "Bearer abc", "ChatGPT-Account-ID": "acct-1" });
  expect(credentialsOfRequest({ headers }).headers).toEqual({
    authorization: "Bearer abc",
    "chatgpt-account-id": "acct-1",
  });
  expect(credentialsOfRequest({ headers: new Headers() }).headers).toStrictEqual({
    authorization: undefined,
    "x-openai-agent-assertion": undefined,
  });
});

test.each([undefined, null, {}, { headers: null }, { headers: { get: "a" } }])("%j is no fetch Request", (value) => {
  expect(() => credentialsOfRequest(value as never)).toThrow(
    new TypeError(
      "this is not a fetch Request: for Node's own requests, take agentIdentityAuth of agent-identity-auth",
    ),
  );
});

const NO_HEADERS = "pass the request: an object with the member headers";
test.each([
  [{ headers: {} }, undefined],
  [{ headers: { get: "a" } }, undefined],
  ...[undefined, null, {}, { headers: null }, { headers: "a" }].map((value): [unknown, string] => [value, NO_HEADERS]),
  [{ headers: new Headers() }, "this is a fetch Request: take agentIdentityAuth of agent-identity-auth/fetch for it"],
])("a Node request is required: %j gives the error %j", (value, message) => {
  const require = () => {
    requireNodeRequest(value);
  };
  if (message === undefined) expect(require).not.toThrow();
  else expect(require).toThrow(new TypeError(message));
});
