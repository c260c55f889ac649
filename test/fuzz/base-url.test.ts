/** Whatever is configured as a base URL is refused, or has one normalised form, and keys on its own origin. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { normalizeBaseUrl } from "../../src/protocol/base-url.js";
import { attempt, fuzz } from "./budget.js";
import { oneOf, text, usually } from "./values.js";

const HOSTS =
  "localhost 127.0.0.1 127.255.0.7 0x7f.1 2130706433 [::1] [0:0:0:0:0:0:0:1] chatgpt.com ChatGPT.com chat.openai.com " +
  "chatgpt.com. www.chatgpt.com chatgpt.com.evil.example gw.example xn--bcher-kva.example bücher.example 日本.example " +
  "localhost.evil.example 127.0.0.1.evil.example 128.0.0.1 0.0.0.0 [::2] [::ffff:127.0.0.1] [::1 256.256.256.256";
const SEGMENTS =
  "backend-api api codex api codex wham agent-identities jwks foo v2 my-backend-api backend-api2 BACKEND-API " +
  "backend%2Dapi my-api codex2 chatgpt.com . .. %2e%2e a%2fcodex ;codex @ 日本 é %";
/** Never in a URL by accident. */
const PASSWORD = "hunter2-hunter2";

const url = fc
  .tuple(
    usually(25, oneOf("https://", "https://", "http://", "HTTPS://"), oneOf("https:", "https:/", "ftp://", "//", "")),
    usually(25, oneOf(""), oneOf(`${PASSWORD}@`, `user:${PASSWORD}@`, `:${PASSWORD}@`, "@", ":@", `%40:${PASSWORD}@`)),
    oneOf(...HOSTS.split(" "), "", "a b", "chatgpt.com", "chat.openai.com", "gw.example"),
    usually(25, oneOf("", "", ":8080", ":443", ":80"), oneOf(":", ":0", ":65536", ":x")),
    fc.array(oneOf(...SEGMENTS.split(" "), ""), { maxLength: 5 }).map((all) => all.map((each) => `/${each}`).join("")),
    oneOf("", "", "", "/", "//", "/codex", "/api/codex/", "/backend-api", "/agent-identities/jwks"),
    usually(25, oneOf(""), oneOf("?", "#", `?key=${PASSWORD}`, `#${PASSWORD}`, " ", "\n", "\\", "\0")),
  )
  .map((parts) => parts.join(""));
const webUrl = fc.oneof(text, fc.webUrl({ withQueryParameters: true, withFragments: true }));
const configured = fc.record({ url: usually(25, url, webUrl), allowInsecureHttp: fc.boolean() });

test("a base URL has keys on its own origin, or is refused without its text", async () => {
  await fuzz(
    800,
    { refused: 0.1, "/wham": 0.1, "/api/codex": 0.1, "": 0.05 },
    configured,
    ({ url, allowInsecureHttp }) => {
      const base = attempt(() => normalizeBaseUrl(url, allowInsecureHttp));
      const jwksUrl = attempt(() => createVerifier(url, { allowInsecureHttp, tokenCache: false, jwks: {} }).jwks.url);
      if (base instanceof Error || jwksUrl instanceof Error) {
        for (const error of [base, jwksUrl]) {
          expect(error).toBeInstanceOf(TypeError);
          expect((error as Error).message).toMatch(/^baseUrl [\x20-\x7e…]+$/);
          expect(String((error as Error).stack)).not.toContain(PASSWORD);
        }
        return "refused";
      }
      const keys = new URL(jwksUrl);
      expect(keys.origin).toBe(new URL(url).origin);
      expect([keys.username, keys.password, keys.search, keys.hash, url.includes(PASSWORD)]).toEqual([
        "",
        "",
        "",
        "",
        false,
      ]);
      const isLoopback = /^(localhost|\[::1\]|127(\.\d+){3})$/.test(keys.hostname);
      expect(keys.protocol === "https:" || isLoopback || allowInsecureHttp).toBe(true);
      expect(normalizeBaseUrl(base, allowInsecureHttp)).toBe(base);
      expect(base).not.toMatch(/\/$|(?<!\/api)\/codex$/);
      expect(keys.href.startsWith(base)).toBe(true);
      const path = keys.href.slice(base.length);
      expect(path).toMatch(/^(\/wham|\/api\/codex|)\/agent-identities\/jwks$/);
      return path.slice(0, -"/agent-identities/jwks".length);
    },
  );
});

test("what is no text is no base URL", async () => {
  const noText = fc.anything().filter((value) => typeof value !== "string");
  await fuzz(200, { refused: 1 }, noText, (value) => {
    expect(attempt(() => normalizeBaseUrl(value))).toBeInstanceOf(TypeError);
    expect(attempt(() => createVerifier(value as string))).toBeInstanceOf(TypeError);
    return "refused";
  });
});

// On Node 20 `URL.canParse` takes one-byte strings for ASCII once V8 has optimised it.
test("a base URL outside of ASCII is read alike however often", () => {
  const read = new Set<unknown>();
  for (let i = 0; i < 30_000; i++) read.add(String(attempt(() => normalizeBaseUrl("https://b\u00fccher.example"))));
  expect([...read]).toEqual(["https://xn--bcher-kva.example"]);
});
