/** Whatever is configured as a base URL is refused, or has one normalised form, and keys on its own origin. */

import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { normalizeBaseUrl } from "../../src/protocol/base-url.js";
import { attempt } from "./attempt.js";
import { fuzz } from "./budget.js";
import { text, usually } from "./values.js";

interface Configured {
  readonly url: string;
  readonly allowInsecureHttp: boolean;
}

const LOOPBACK = ["localhost", "127.0.0.1", "127.255.0.7", "0x7f.1", "2130706433", "[::1]", "[0:0:0:0:0:0:0:1]"];
const OTHER_HOSTS = [
  ...["chatgpt.com", "ChatGPT.com", "chat.openai.com", "chatgpt.com.", "www.chatgpt.com", "chatgpt.com.evil.example"],
  ...[
    "gw.example",
    "xn--bcher-kva.example",
    "bücher.example",
    "日本.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
  ],
  ...["128.0.0.1", "0.0.0.0", "[::2]", "[::ffff:127.0.0.1]", "", "a b", "[::1", "%41.example", "256.256.256.256"],
];
const SEGMENTS = [
  ...["backend-api", "api", "codex", "api", "codex", "wham", "agent-identities", "jwks", "foo", "v2", ""],
  ...["my-backend-api", "backend-api2", "BACKEND-API", "backend%2Dapi", "my-api", "codex2", "chatgpt.com", "."],
  ...["..", "%2e%2e", "a%2fcodex", ";codex", "@", "日本", "é", "%"],
];
const oneOf = (...texts: string[]) => fc.constantFrom(...texts);
/** Never in a URL by accident. */
const PASSWORD = "hunter2-hunter2";

const url = fc
  .tuple(
    usually(
      25,
      oneOf("https://", "https://", "http://", "HTTPS://"),
      oneOf("https:", "https:/", "https:///", "ftp://", "//", ""),
    ),
    usually(25, oneOf(""), oneOf(`${PASSWORD}@`, `user:${PASSWORD}@`, `:${PASSWORD}@`, "@", ":@", `%40:${PASSWORD}@`)),
    fc.oneof(
      oneOf(...LOOPBACK),
      oneOf(...OTHER_HOSTS),
      oneOf("chatgpt.com", "chat.openai.com", "gw.example", "127.0.0.1.evil.example"),
    ),
    usually(25, oneOf("", "", ":8080", ":443", ":80"), oneOf(":", ":0", ":65536", ":x")),
    fc.array(oneOf(...SEGMENTS), { maxLength: 5 }).map((segments) => segments.map((each) => `/${each}`).join("")),
    oneOf("", "", "", "/", "//", "/codex", "/api/codex/", "/backend-api", "/agent-identities/jwks"),
    usually(25, oneOf(""), oneOf("?", "#", `?key=${PASSWORD}`, `#${PASSWORD}`, " ", "\n", "\\", "\0")),
  )
  .map((parts) => parts.join(""));

const configured: Arbitrary<Configured> = fc.record({
  url: usually(25, url, fc.oneof(text, fc.webUrl(), fc.webUrl({ withQueryParameters: true, withFragments: true }))),
  allowInsecureHttp: fc.boolean(),
});

const lastIs = (segments: readonly string[], ...expected: string[]): boolean =>
  expected.every((each, i) => segments[segments.length - expected.length + i] === each);

/** The normalised base and the URL of its keys, or nothing where it is refused. */
function judge({ url: configured, allowInsecureHttp }: Configured): [base: string, jwksUrl: string] | undefined {
  const [scheme = ""] = /^[^/]*/.exec(configured) ?? [];
  const afterSlashes = configured.slice(scheme.length + 2);
  const isAbsolute =
    ["http:", "https:"].includes(scheme.toLowerCase()) &&
    configured.startsWith("//", scheme.length) &&
    !["", "/"].includes(afterSlashes.charAt(0)) &&
    // `URL` would take them for something else, or for nothing.
    !/[\\\s]/.test(configured);
  const url = isAbsolute ? attempt(() => new URL(configured)) : undefined;
  if (!(url instanceof URL)) return undefined;
  if (url.username + url.password !== "" || configured.includes("?") || configured.includes("#")) return undefined;
  const octets = url.hostname.split(".");
  const isIpv4 = octets.length === 4 && octets.every((octet) => /^\d+$/.test(octet));
  const isLoopback = ["localhost", "[::1]"].includes(url.hostname) || (isIpv4 && octets[0] === "127");
  if (url.protocol === "http:" && !isLoopback && !allowInsecureHttp) return undefined;

  const segments = url.pathname.split("/").slice(1);
  const dropEmpty = () => {
    while (segments.at(-1) === "") segments.pop();
  };
  dropEmpty();
  while (lastIs(segments, "codex") && !lastIs(segments, "api", "codex")) {
    segments.pop();
    dropEmpty();
  }
  if (lastIs(segments, "agent-identities", "jwks")) return undefined;
  const isCodexApi = segments.some((each, i) => each === "api" && segments[i + 1] === "codex");
  const isChatgpt = ["chatgpt.com", "chat.openai.com"].includes(url.hostname) && url.port === "";
  if (isChatgpt && !isCodexApi && !segments.includes("backend-api")) segments.push("backend-api");
  const base = [url.origin, ...segments].join("/");
  if (segments.includes("backend-api")) return [base, `${base}/wham/agent-identities/jwks`];
  return [base, isCodexApi ? `${base}/agent-identities/jwks` : `${base}/api/codex/agent-identities/jwks`];
}

test("a base URL has the keys that the table says, or is refused without its text", async () => {
  const shares = { refused: 0.1, "/wham": 0.1, "/api/codex": 0.1, "": 0.05 };
  await fuzz({ runs: 1_000, shares }, configured, (configured) => {
    const { url, allowInsecureHttp } = configured;
    const base = attempt(() => normalizeBaseUrl(url, allowInsecureHttp));
    const jwksUrl = attempt(() => createVerifier(url, { allowInsecureHttp, tokenCache: false, jwks: {} }).jwks.url);
    const expected = judge(configured);
    if (expected === undefined) {
      for (const error of [base, jwksUrl]) {
        expect(error).toBeInstanceOf(TypeError);
        expect((error as Error).message).toMatch(/^baseUrl [\x20-\x7e…]+$/);
        expect(String((error as Error).stack)).not.toContain(PASSWORD);
      }
      return "refused";
    }
    expect([base, jwksUrl]).toEqual(expected);
    expect(normalizeBaseUrl(base, allowInsecureHttp)).toBe(base);
    const keys = new URL(expected[1]);
    expect(keys.origin).toBe(new URL(url).origin);
    expect([keys.username, keys.password, keys.search, keys.hash]).toEqual(["", "", "", ""]);
    return keys.href.slice((base as string).length, -"/agent-identities/jwks".length);
  });
});

test("what is no text is no base URL", async () => {
  const noText = fc.anything().filter((value) => typeof value !== "string");
  await fuzz({ runs: 300, shares: { refused: 1 } }, noText, (value) => {
    expect(attempt(() => normalizeBaseUrl(value))).toBeInstanceOf(TypeError);
    expect(attempt(() => createVerifier(value as string))).toBeInstanceOf(TypeError);
    return "refused";
  });
});

// On Node 20 `URL.canParse` takes one-byte strings for ASCII once V8 has optimised it.
test("a base URL outside of ASCII is read alike however often", () => {
  const read = Array.from({ length: 30_000 }, () =>
    String(attempt(() => normalizeBaseUrl("https://b\u00fccher.example"))),
  );
  expect(Array.from(new Set(read))).toEqual(["https://xn--bcher-kva.example"]);
});
