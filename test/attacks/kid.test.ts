import { describe, expect, test } from "vitest";
import { claims, createSigningKey, mint, signingKey } from "../support/agents.js";
import { forge, rsa } from "./forged-token.js";
import { bearer, startTarget } from "./target.js";

const other = createSigningKey("key-2");
const spare = createSigningKey("spare").jwk;

const unknown: string[] = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "size",
  "get",
  "0",
  "null",
  "undefined",
  "[object Object]",
  "../../../../etc/passwd",
  "..\\..\\windows\\win.ini",
  "/dev/null",
  "/proc/self/environ",
  "file:///etc/passwd",
  "http://127.0.0.1:1/jwks",
  "' OR '1'='1",
  "key-1'; DROP TABLE keys; --",
  "key-1 UNION SELECT 'secret'",
  "$(id)",
  "`id`",
  "| id",
  "${jndi:ldap://evil.example/a}",
  "{{7*7}}",
  "<script>alert(1)</script>",
  "*",
  "key-*",
  "^key-1$",
  "KEY-1",
  " key-1",
  "key-1 ",
  "key-1\u0000",
  "key-1\u0000.pem",
  "\u0000",
  "key-1\n",
  "key-1\r\nSet-Cookie: a=b",
  "\u001b[31mkey-1",
  "key-1\u200b",
  "\ufeffkey-1",
  "key\u20101",
  "\uff4bey-1",
  "k\u0435y-1",
  "\u202ekey-1",
  "\ud800",
  "key-1\udfff",
  "key-1,key-2",
  "key-1/../key-1",
  "%6bey-1",
  "key-1#",
  "key-1?",
  "k".repeat(256),
  "\u{1f511}".repeat(128),
];

describe("a kid that names no key", () => {
  test.each(unknown)("%j", async (kid) => {
    const fetched = await startTarget();
    const fixed = await startTarget(undefined, { jwks: { keySet: { keys: [signingKey.jwk] } } });
    for (const target of [fetched, fixed]) {
      expect(await target.verdict(bearer(mint({}, { ...signingKey, kid })))).toBe("key_untrusted");
      // It has broken nothing.
      expect(await target.verdict(bearer(mint()))).toBe("accepted");
    }
  });
});

describe("a kid that is none", () => {
  test.each([
    ["absent", '{"alg":"RS256"}'],
    ["empty", '{"alg":"RS256","kid":""}'],
    ["null", '{"alg":"RS256","kid":null}'],
    ["true", '{"alg":"RS256","kid":true}'],
    ["0", '{"alg":"RS256","kid":0}'],
    ["1e400", '{"alg":"RS256","kid":1e400}'],
    ["an array", '{"alg":"RS256","kid":["key-1"]}'],
    ["an object", '{"alg":"RS256","kid":{"kid":"key-1"}}'],
    ["an object with toString", '{"alg":"RS256","kid":{"toString":"key-1","length":5}}'],
    ["only inherited", '{"alg":"RS256","__proto__":{"kid":"key-1"}}'],
    ["under another name", '{"alg":"RS256","Kid":"key-1","KID":"key-1"}'],
    ["of 257 characters", JSON.stringify({ alg: "RS256", kid: "k".repeat(257) })],
    ["of 257 UTF-16 units", JSON.stringify({ alg: "RS256", kid: `${"\u{1f511}".repeat(128)}k` })],
    ["of 8000 characters", JSON.stringify({ alg: "RS256", kid: "k".repeat(8000) })],
  ])("%s", async (_, header) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(header, claims())))).toBe("token_malformed");
  });
});

describe("a set of odd names", () => {
  test("finds each key by its own name, and by no other", async () => {
    const names = ["__proto__", "constructor", "cl\u00e9", "a/b", "k".repeat(256), "0"];
    const keys = names.map((kid) => ({ ...signingKey.jwk, kid }));
    const target = await startTarget(keys);
    for (const kid of names) expect(await target.verdict(bearer(mint({}, { ...signingKey, kid })))).toBe("accepted");
    for (const kid of ["toString", "cle\u0301", "CL\u00c9", "a%2fb", "k".repeat(255), "00", "key-1"]) {
      expect(await target.verdict(bearer(mint({}, { ...signingKey, kid }))), kid).toBe("key_untrusted");
    }
  });

  test("an entry without a usable name is reached by none", async () => {
    const nameless = { ...signingKey.jwk, kid: undefined };
    const target = await startTarget([nameless, { ...nameless, kid: null }, { ...nameless, kid: ["key-1"] }, spare]);
    for (const kid of ["key-1", "undefined", "null", "spare"]) {
      const code = kid === "spare" ? "signature_invalid" : "key_untrusted";
      expect(await target.verdict(bearer(mint({}, { ...signingKey, kid })))).toBe(code);
    }
  });
});

test("another key of the set verifies nothing, before or after its own token", async () => {
  const target = await startTarget([signingKey.jwk, other.jwk]);
  const crossed = [mint({}, { ...signingKey, kid: "key-2" }), mint({}, { ...other, kid: "key-1" })];
  for (let i = 0; i < 2; i++) {
    for (const token of crossed) expect(await target.verdict(bearer(token))).toBe("signature_invalid");
    for (const key of [signingKey, other]) expect(await target.verdict(bearer(mint({}, key)))).toBe("accepted");
  }
});

test("nor does the first of two keys of one name stand aside for the second", async () => {
  const second = { ...other, kid: "key-1", jwk: { ...other.jwk, kid: "key-1" } };
  const target = await startTarget([signingKey.jwk, second.jwk]);
  expect(await target.verdict(bearer(mint({}, second)))).toBe("signature_invalid");
  expect(await target.verdict(bearer(mint()))).toBe("accepted");
  const unusable = await startTarget([{ ...signingKey.jwk, use: "enc" }, second.jwk, spare]);
  expect(await unusable.verdict(bearer(mint({}, second)))).toBe("key_untrusted");
  expect(await unusable.verdict(bearer(mint()))).toBe("key_untrusted");
});

describe("keys that a set must not bring in", () => {
  const weak = createSigningKey("key-1", 1024);
  const { jwk } = signingKey;

  test.each<[string, object]>([
    ["of 1024 bits", weak.jwk],
    ["with an exponent of 1", { ...jwk, e: "AQ" }],
    ["with an exponent of 0", { ...jwk, e: "AA" }],
    ["with an even exponent", { ...jwk, e: "BA" }],
    ["for encryption", { ...jwk, use: "enc" }],
    ["for another algorithm", { ...jwk, alg: "RSA-OAEP" }],
    ["that may only encrypt", { ...jwk, key_ops: ["encrypt"] }],
  ])("%s", async (_, key) => {
    const target = await startTarget([key, spare]);
    const signer = rsa("sha256", key === weak.jwk ? weak.privateKey : signingKey.privateKey);
    expect(await target.verdict(bearer(forge({ alg: "RS256", kid: "key-1" }, claims(), signer)))).toBe("key_untrusted");
  });
});
