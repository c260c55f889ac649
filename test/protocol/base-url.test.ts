import { describe, expect, test } from "vitest";
import { deriveJwksUrl, normalizeBaseUrl, parseServerUrl } from "../../src/protocol/base-url.js";

const wham = "/wham/agent-identities/jwks";
const jwks = "/agent-identities/jwks";

describe("every configured base has one normalised form and one JWKS URL", () => {
  test.each([
    ["https://chatgpt.com", "https://chatgpt.com/backend-api", wham],
    ["https://chatgpt.com/", "https://chatgpt.com/backend-api", wham],
    ["https://chatgpt.com:443", "https://chatgpt.com/backend-api", wham],
    ["HTTPS://ChatGPT.com", "https://chatgpt.com/backend-api", wham],
    ["https://chatgpt.com/codex", "https://chatgpt.com/backend-api", wham],
    ["https://chat.openai.com/", "https://chat.openai.com/backend-api", wham],
    ["https://chatgpt.com/backend-api", "https://chatgpt.com/backend-api", wham],
    ["https://chatgpt.com/backend-api//", "https://chatgpt.com/backend-api", wham],
    ["https://chatgpt.com/backend-api/codex", "https://chatgpt.com/backend-api", wham],
    ["https://chatgpt.com/backend-api/codex//", "https://chatgpt.com/backend-api", wham],
    ["https://chatgpt.com/foo", "https://chatgpt.com/foo/backend-api", wham],
    ["https://chatgpt.com/api/codex", "https://chatgpt.com/api/codex", jwks],
    ["http://localhost:8080/api/codex/", "http://localhost:8080/api/codex", jwks],
    ["https://gw.example/proxy/backend-api", "https://gw.example/proxy/backend-api", wham],
    ["https://gw.example/backend-api/v2", "https://gw.example/backend-api/v2", wham],
    ["https://gw.example/proxy/api/codex", "https://gw.example/proxy/api/codex", jwks],
    ["https://gw.example/api/codex/v2", "https://gw.example/api/codex/v2", jwks],
    ["https://gw.example/proxy/codex", "https://gw.example/proxy", `/api/codex${jwks}`],
    ["https://gw.example/api/v2/codex", "https://gw.example/api/v2", `/api/codex${jwks}`],
    ["https://gw.example/proxy//codex/", "https://gw.example/proxy", `/api/codex${jwks}`],
    ["https://gw.example/my-codex", "https://gw.example/my-codex", `/api/codex${jwks}`],
    ["https://gw.example/my-api/codex", "https://gw.example/my-api", `/api/codex${jwks}`],
    ["https://gw.example/my-api/codex/v2", "https://gw.example/my-api/codex/v2", `/api/codex${jwks}`],
    ["https://gw.example/api/codex-2", "https://gw.example/api/codex-2", `/api/codex${jwks}`],
    ["http://localhost:8080", "http://localhost:8080", `/api/codex${jwks}`],
    ["http://localhost:8080///", "http://localhost:8080", `/api/codex${jwks}`],
    ["https://chatgpt.com.evil.example", "https://chatgpt.com.evil.example", `/api/codex${jwks}`],
    ["https://evil-chatgpt.com", "https://evil-chatgpt.com", `/api/codex${jwks}`],
    ["https://www.chatgpt.com", "https://www.chatgpt.com", `/api/codex${jwks}`],
    ["https://chatgpt.com:8443", "https://chatgpt.com:8443", `/api/codex${jwks}`],
    ["https://gw.example/my-backend-api", "https://gw.example/my-backend-api", `/api/codex${jwks}`],
    ["https://gw.example/backend-api-2", "https://gw.example/backend-api-2", `/api/codex${jwks}`],
    ["https://gw.example/chatgpt.com", "https://gw.example/chatgpt.com", `/api/codex${jwks}`],
    ["https://gw.example/BACKEND-API", "https://gw.example/BACKEND-API", `/api/codex${jwks}`],
  ])("%s → %s", (configured, normalised, path) => {
    expect(normalizeBaseUrl(configured)).toBe(normalised);
    expect(deriveJwksUrl(normalised)).toBe(normalised + path);
    expect(normalizeBaseUrl(normalised)).toBe(normalised);
  });
});

const NOT_ABSOLUTE = /must be an absolute http\(s\) URL/;
const INSECURE = /plain http .* allowInsecureHttp: true/;

const JWKS = /pass the base URL without .* or .* jwksUrl/;

describe("a base that cannot be meant is refused, with the fix and without its text", () => {
  test.each([
    ["", NOT_ABSOLUTE],
    ["chatgpt.com/backend-api", NOT_ABSOLUTE],
    ["/backend-api", NOT_ABSOLUTE],
    ["ftp://chatgpt.com", NOT_ABSOLUTE],
    ["https:chatgpt.com", NOT_ABSOLUTE],
    ["https:///chatgpt.com", NOT_ABSOLUTE],
    ["https:\\\\chatgpt.com", NOT_ABSOLUTE],
    ["https://chatgpt.com\\@evil.example", NOT_ABSOLUTE],
    [" https://chatgpt.com", NOT_ABSOLUTE],
    ["https://chatgpt.com/a\nb", NOT_ABSOLUTE],
    ["https://", NOT_ABSOLUTE],
    ["https://[::1", NOT_ABSOLUTE],
    [undefined, /is undefined: is the environment variable set\?$/],
    ["https://chatgpt.com/codex-backend/agent-identity", /is the issuer \(the claim iss\)/],
    ["https://gw.example/codex-backend/agent-identity/", /is the issuer/],
    ["https://gw.example/keys/jwks.json", /is the URL of a document/],
    ["https://gw.example/keys/jwks.json/", /is the URL of a document/],
    ["https://gw.example/.well-known/jwks", /is the URL of a document/],
    ["https://api.openai.com/v1", /is the OpenAI API/],
    [null, NOT_ABSOLUTE],
    ["https://user:secret@chatgpt.com", /must not contain credentials/],
    ["https://secret@chatgpt.com", /must not contain credentials/],
    ["https://chatgpt.com/?secret=1", /must not have a query or a fragment/],
    ["https://chatgpt.com/?", /must not have a query or a fragment/],
    ["https://chatgpt.com/#secret", /must not have a query or a fragment/],
    ["https://chatgpt.com/backend-api/wham/agent-identities/jwks", JWKS],
    ["https://gw.example/agent-identities/jwks/", JWKS],
    ["https://chatgpt.com/backend-api/agent-identities/jwks/codex", JWKS],
    ["http://chatgpt.com", INSECURE],
    ["http://secret.example:8080", INSECURE],
    ["http://localhost.evil.example", INSECURE],
    ["http://127.0.0.1.evil.example", INSECURE],
    ["http://128.0.0.1", INSECURE],
    ["http://[::2]", INSECURE],
    ["http://0.0.0.0", INSECURE],
  ])("%s", (configured, message) => {
    const refuse = () => normalizeBaseUrl(configured);
    expect(refuse).toThrow(TypeError);
    expect(refuse).toThrow(message);
    expect(refuse).not.toThrow(/secret|evil/);
  });
});

test.each([
  undefined,
  "jwks",
  "https://user:secret@gw.example/jwks",
  "https://gw.example/jwks?a",
  "http://gw.example/",
])("the same rules hold for other URLs, by their own name: %s", (configured) => {
  expect(() => parseServerUrl("jwksUrl", configured, false)).toThrow(/^jwksUrl /);
});

test.each(["http://localhost", "http://127.0.0.1:1", "http://127.1.2.3", "http://0x7f.1", "http://[::1]:8080"])(
  "plain http is allowed to loopback: %s",
  (configured) => {
    expect(normalizeBaseUrl(configured)).toBe(new URL(configured).origin);
  },
);

test("allowInsecureHttp allows plain http anywhere", () => {
  expect(normalizeBaseUrl("http://gw.example/codex", true)).toBe("http://gw.example");
  expect(normalizeBaseUrl("http://chatgpt.com", true)).toBe("http://chatgpt.com/backend-api");
});

test("a URL object is taken, whatever its realm", () => {
  expect(normalizeBaseUrl(new URL("https://chatgpt.com/codex"))).toBe("https://chatgpt.com/backend-api");
  expect(normalizeBaseUrl({ href: "https://gw.example/" })).toBe("https://gw.example");
});
