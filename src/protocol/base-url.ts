/** The configured base URL: how it is normalised, and where its keys are. Exact hosts and whole path segments only. */

/** Hosts whose API lives under `/backend-api`, which people leave out of the configured URL. */
const CHATGPT_HOSTS: readonly string[] = ["chatgpt.com", "chat.openai.com"];

const JWKS_PATH = "/agent-identities/jwks";

/** @throws TypeError that names the fix and repeats nothing of `baseUrl`, which may hold credentials. */
export function normalizeBaseUrl(baseUrl: unknown, allowInsecureHttp = false): string {
  const url = parseServerUrl("baseUrl", baseUrl, allowInsecureHttp);
  let path = withoutTrailingSlashes(url.pathname);
  while (path.endsWith("/codex") && !path.endsWith("/api/codex")) {
    path = withoutTrailingSlashes(path.slice(0, -"/codex".length));
  }
  if (path.endsWith(JWKS_PATH)) {
    throw new TypeError(
      `baseUrl is already a JWKS URL: pass the base URL without "…${JWKS_PATH}", or pass this URL as the option jwksUrl`,
    );
  }
  refuseOtherUrls(url);
  if (CHATGPT_HOSTS.includes(url.host) && apiStyle(path) === "bare") path += "/backend-api";
  return url.origin + path;
}

/** URLs that people have at hand, and that are no base URL. @throws TypeError that names the fix */
function refuseOtherUrls({ host, pathname }: URL): void {
  const path = withoutTrailingSlashes(pathname);
  if (host === "api.openai.com") {
    throw new TypeError(
      'baseUrl is the OpenAI API, which issues no Agent Identities: pass ChatGPT\'s backend, "https://chatgpt.com/backend-api"',
    );
  }
  if (path.endsWith("/codex-backend/agent-identity")) {
    throw new TypeError(
      'baseUrl is the issuer (the claim iss), not the backend: pass the backend, such as "https://chatgpt.com/backend-api"',
    );
  }
  if (path.endsWith("jwks.json") || path.includes("/.well-known/")) {
    throw new TypeError("baseUrl is the URL of a document: pass the base URL, or pass this URL as the option jwksUrl");
  }
}

/** The JWKS URL of a base that `normalizeBaseUrl` returned. */
export function deriveJwksUrl(normalizedBaseUrl: string): string {
  switch (apiStyle(new URL(normalizedBaseUrl).pathname)) {
    case "backend-api":
      return `${normalizedBaseUrl}/wham${JWKS_PATH}`;
    case "codex-api":
      return `${normalizedBaseUrl}${JWKS_PATH}`;
    case "bare":
      return `${normalizedBaseUrl}/api/codex${JWKS_PATH}`;
  }
}

/**
 * An absolute http(s) URL without credentials, query or fragment; plain http only to loopback unless allowed.
 * `name` is the option that the error message speaks of.
 */
export function parseServerUrl(name: string, value: unknown, allowInsecureHttp: boolean): URL {
  // Stricter than `new URL`, which also takes "https:host", "https:///host", backslashes and stray white space.
  const text = textOf(value);
  const isAbsolute = /^https?:\/\/[^\s\\/][^\s\\]*$/i.test(text);
  const url = isAbsolute ? tryParseUrl(text) : undefined;
  if (url === undefined) {
    const unset = value === undefined ? " and is undefined: is the environment variable set?" : "";
    throw new TypeError(`${name} must be an absolute http(s) URL, such as "https://chatgpt.com/backend-api"${unset}`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(`${name} must not contain credentials: remove the part before "@"`);
  }
  if (text.includes("?") || text.includes("#")) {
    throw new TypeError(`${name} must not have a query or a fragment: remove everything from the "?" or "#"`);
  }
  if (url.protocol === "http:" && !allowInsecureHttp && !isLoopback(url)) {
    throw new TypeError(
      `${name} is plain http to a host that is not loopback, so anyone on the way could replace the keys: ` +
        "use https, or set allowInsecureHttp: true",
    );
  }
  return url;
}

/** Of a string or a `URL` object, whose realm does not matter. */
function textOf(value: unknown): string {
  const { href } = Object(value) as { href?: unknown };
  if (typeof value === "string") return value;
  return typeof href === "string" ? href : "";
}

/** `localhost`, 127.0.0.0/8 or `[::1]`. `URL` has already put every spelling of an IPv4 address into dotted form. */
export function isLoopback(url: URL): boolean {
  return url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(url.hostname);
}

function apiStyle(path: string): "backend-api" | "codex-api" | "bare" {
  const segments = path.split("/");
  if (segments.includes("backend-api")) return "backend-api";
  return segments.some((segment, i) => segment === "api" && segments[i + 1] === "codex") ? "codex-api" : "bare";
}

/** Not by a regular expression, which would try each slash of many as the first of the last ones. */
export function withoutTrailingSlashes(text: string): string {
  let end = text.length;
  while (text[end - 1] === "/") end--;
  return text.slice(0, end);
}

/** `URL.canParse` takes a host outside of ASCII for invalid on Node 20, once V8 has optimized it. */
function tryParseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
