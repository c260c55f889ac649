/** Requests: base URLs and options, credentials, login restrictions, errors, and the faces of the frameworks. */

import { decisionsOf, type Decision } from "../decision.js";

const BASE_URL = "protocol/base-url.test.ts";
const RESTRICTIONS = "protocol/login-restrictions.test.ts";
const OPTIONS = "verify/options.test.ts";
const REQUESTS = "faces/requests.test.ts";
const EXPRESS = "faces/express.test.ts";
const KOA = "faces/koa.test.ts";
const FETCH = "faces/fetch.test.ts";
const ASSERTIONS = "verify/assertion-verifier.test.ts";

export const DECISIONS_ON_REQUESTS: Decision[] = [
  ...decisionsOf("protocol/base-url.ts", BASE_URL, [
    ["a base URL has no credentials", 'if (url.username !== "" || url.password !== "") {', 'if (url.href === "") {'],
    ["a base URL has no user name either", 'url.username !== "" || url.password', "url.password"],
    ["a base URL has no query or fragment", 'if (value.includes("?") || value.includes("#")) {', 'if (value === "") {'],
    ["a base URL has no fragment", 'value.includes("?") || value.includes("#")', 'value.includes("?")'],
    [
      "a base URL is https, or loopback",
      'if (url.protocol === "http:" && !allowInsecureHttp && !isLoopback(url)) {',
      'if (url.protocol === "http:" && !allowInsecureHttp && !URL.canParse(value)) {',
    ],
    ["loopback is 127.0.0.0/8 exactly", "/^127(\\.\\d{1,3}){3}$/", "/^127(\\.\\d{1,3}){3}/"],
    ["loopback is localhost exactly", 'url.hostname === "localhost"', 'url.hostname.startsWith("localhost")'],
    ["a base URL that is a JWKS URL is refused", "  if (path.endsWith(JWKS_PATH)) {", '  if (path === "") {'],
    [
      "a base URL is absolute, in its plain spelling",
      "/^https?:\\/\\/[^\\s\\\\/][^\\s\\\\]*$/i.test(value);",
      "value.length > 0;",
    ],
    [
      "what cannot be parsed is refused without its text",
      "  try {\n    return new URL(text);\n  } catch {\n    return undefined;\n  }",
      "  return new URL(text);",
    ],
    [
      "many slashes at the end of a URL take no longer than others",
      'let end = text.length;\n  while (text[end - 1] === "/") end--;\n  return text.slice(0, end);',
      'return text.replace(/\\/+$/, "");',
      "attacks/redos.test.ts > the table has every regular expression",
    ],
    [
      "what is wrong with a base URL is said without its text",
      "must not contain credentials: remove",
      "must not contain credentials as in ${value}: remove",
    ],
    [
      "chatgpt.com is a whole host",
      "CHATGPT_HOSTS.includes(url.host)",
      "CHATGPT_HOSTS.some((host) => url.host.startsWith(host))",
    ],
    [
      "chatgpt.com is not the end of a host",
      "CHATGPT_HOSTS.includes(url.host)",
      "CHATGPT_HOSTS.some((host) => url.host.endsWith(host))",
    ],
    ["chatgpt.com is on its own port", "CHATGPT_HOSTS.includes(url.host)", "CHATGPT_HOSTS.includes(url.hostname)"],
    ["backend-api is a whole segment", 'segments.includes("backend-api")', 'path.includes("backend-api")'],
    [
      "api and codex are whole segments",
      'segments.some((segment, i) => segment === "api" && segments[i + 1] === "codex")',
      'path.includes("api/codex")',
    ],
    ["codex is a whole segment", 'path.endsWith("/codex") && !', 'path.endsWith("codex") && !'],
  ]),
  ...decisionsOf("protocol/options.ts", OPTIONS, [
    [
      "unknown options are refused",
      "if (!Object.hasOwn(checks, name)) {",
      'if (name === "") {',
      `${OPTIONS} > a wrong option`,
    ],
    [
      "options are checked",
      "if (!checks[name].accepts(value)) throw",
      "if (value === checks) throw",
      `${OPTIONS} > a wrong option`,
    ],
    [
      "an option is read once",
      "checked[name] = value;",
      "checked[name] = given[name];",
      `${OPTIONS} > an option is read once`,
    ],
    [
      "inherited options are checked as well",
      "    const value = given[name];",
      "    const value = Object.hasOwn(given, name) ? given[name] : undefined;",
      `${OPTIONS} > inherited`,
    ],
    [
      "options are an object",
      "if (!isOptionsObject(given)) throw",
      'if (typeof given !== "object" || !(given as unknown)) throw',
      `${OPTIONS} > instead of options`,
    ],
  ]),
  ...decisionsOf("protocol/login-restrictions.ts", RESTRICTIONS, [
    [
      "a workspace is compared to the letter",
      "workspaceIds.includes(accountId)",
      "workspaceIds.some((id) => id.toLowerCase() === accountId.toLowerCase())",
    ],
    [
      "a workspace is compared whole",
      "workspaceIds.includes(accountId)",
      "workspaceIds.some((id) => accountId.startsWith(id))",
    ],
    [
      "a workspace is no part of a longer one",
      "workspaceIds.includes(accountId)",
      "workspaceIds.some((id) => id.startsWith(accountId))",
    ],
    [
      "without an account one is in no workspace",
      "if (accountId !== undefined && workspaceIds",
      "if (accountId === undefined || workspaceIds",
    ],
    [
      "an agent is not let in where API keys are forced",
      'if (loginMethod === "api") {',
      "if (loginMethod === undefined) {",
    ],
    [
      "an API key is not let in where ChatGPT is forced",
      'return loginMethod === "chatgpt"\n',
      "return loginMethod === null\n",
    ],
    ["workspaces that are all blank are refused", " && !ids.every(isBlank)", ""],
    ["a list written as one string is refused", 'if (isString(value) && value.includes(",")) return false;', ""],
    ["workspaces are strings", "ids.every(isString) && !", "!"],
    ["blank workspaces are dropped", "ids?.filter((id) => !isBlank(id))", "ids"],
    [
      "login methods are two words",
      'accepts: (value) => value === "chatgpt" || value === "api",',
      "accepts: () => true,",
    ],
  ]),
  ...decisionsOf("verify/credentials.ts", REQUESTS, [
    [
      "two Authorization headers are refused",
      'if (rawHeaders !== undefined && countAuthorizationHeaders(rawHeaders) > 1) return new Refusal("request_malformed");',
      "void countAuthorizationHeaders(rawHeaders ?? []);",
      `${KOA} > agents.authenticate`,
    ],
    [
      "Authorization headers are counted in any case",
      'name.toLowerCase() === "authorization"',
      'name === "authorization"',
      `${KOA} > agents.authenticate`,
    ],
    [
      "the scheme is a whole word",
      "schemes.get(authorization.slice(0, Math.max(end, 0)).toLowerCase());",
      'schemes.get(/^[a-z]{6}/i.exec(authorization)?.[0].toLowerCase() ?? "");',
      `${REQUESTS} > a scheme that begins`,
    ],
    [
      "a scheme alone is no credentials",
      "authorization.slice(0, Math.max(end, 0))",
      "authorization.slice(0, end < 0 ? undefined : end)",
      `${REQUESTS} > Bearer alone`,
    ],
    [
      "a space that is no space is no blank header",
      "/^[ \\t]*$/.test(authorization)",
      'authorization.trim() === ""',
      `${REQUESTS} > a space that is no space`,
    ],
    [
      "another scheme is not taken for no credentials",
      'if (/^[ \\t]*$/.test(authorization)) return "credentials_missing";',
      'if (/^/.test(authorization)) return "credentials_missing";',
      `${REQUESTS} > another scheme`,
    ],
    [
      "an accepted scheme without a token is a malformed request",
      'schemes.has(scheme.toLowerCase()) ? "request_malformed" : "scheme_unsupported"',
      'schemes.has(scheme) ? "request_malformed" : "scheme_unsupported"',
      `${REQUESTS} > a tab`,
    ],
    [
      "a b64token is what the grammar says",
      "/^[A-Za-z0-9._~+/-]+=*$/",
      "/^[!-~]+=*$/",
      `${REQUESTS} > request`.replace(" > request", " > quotes"),
    ],
    [
      "the account header of a Request is read",
      ", [ACCOUNT_HEADER]: read(ACCOUNT_HEADER) } };",
      " } };",
      `${FETCH} > AgentAssertions`,
    ],
  ]),
  ...decisionsOf("verify/authenticator.ts", REQUESTS, [
    [
      "what is no b64token is a malformed request",
      'return isMalformed(outcome) && !isB64token(value) ? new Refusal("request_malformed") : outcome;',
      "return isMalformed(outcome) && isB64token(value) ? outcome : outcome;",
      `${REQUESTS} > a second word`,
    ],
    [
      "credentialsRequired: false lets nothing but missing credentials pass",
      'verdict instanceof Refusal && verdict.code === "credentials_missing" ? undefined',
      "verdict instanceof Refusal ? undefined",
      `${REQUESTS} > where optional`,
    ],
    [
      "restrictTo always requires credentials",
      "      return (request) => {\n        const outcome = authenticate(request);",
      '      return (request) => {\n        const outcome = authenticate(request);\n        if (!credentialsRequired && outcome instanceof Refusal && outcome.code === "credentials_missing") return undefined as never;',
      `${REQUESTS} > where optional but restricted`,
    ],
    [
      "restrictTo restricts what had to be verified",
      "outcome instanceof Promise ? outcome.then(restrict)",
      "outcome instanceof Promise ? outcome",
      `${REQUESTS} > another workspace`,
    ],
    [
      "restrictTo restricts what was remembered",
      ": restrict(outcome);",
      ": outcome;",
      `${REQUESTS} > a second time too`,
    ],
    [
      "restrictTo passes no refusal",
      "if (outcome instanceof Refusal) return outcome;\n    const violation",
      "if (outcome instanceof Refusal) return {} as Outcome;\n    const violation",
      `${REQUESTS} > no credentials where restricted`,
    ],
    [
      "restrictTo refuses on a violation",
      "return violation ? new Refusal",
      "return violation === null ? new Refusal",
      `${REQUESTS} > another workspace`,
    ],
    [
      "restrictTo that restricts nothing is refused",
      "if (parsed.loginMethod === undefined && parsed.workspaceIds === undefined) {",
      "if (parsed.loginMethod === null) {",
      `${FETCH} > restrictTo`,
    ],
    [
      "what a restriction says for the log is fit for it",
      "{ reason: printable(violation.message) }",
      "{ reason: violation.message }",
      "verify/token-verifier.test.ts > fit for a log",
    ],
    [
      "bearer: false accepts no token",
      'if (bearer) schemes.set("bearer", "Bearer");',
      'if (bearer || schemes.size === 0) schemes.set("bearer", "Bearer");',
      `${ASSERTIONS} > bearer: false`,
    ],
    [
      "bearer: false needs a directory",
      "if (schemes.size === 0) throw",
      "if (schemes.size < 0) throw",
      `${OPTIONS} > a wrong option`,
    ],
    [
      "without a directory there are no assertions",
      'if (assertions) schemes.set("agentassertion", "AgentAssertion");',
      'schemes.set("agentassertion", "AgentAssertion");',
      `${REQUESTS} > AgentAssertion, with no directory`,
    ],
    [
      "an assertion is not verified as a token",
      'assertions !== undefined && scheme === "AgentAssertion"',
      'assertions !== undefined && scheme === ("" as string)',
      `${ASSERTIONS} > bearer: false`,
    ],
    [
      "a token is not verified as an assertion",
      'assertions !== undefined && scheme === "AgentAssertion"',
      "assertions !== undefined",
      `${ASSERTIONS} > both are accepted`,
    ],
    [
      "the account header of a request is read",
      "request.headers[ACCOUNT_HEADER]",
      "undefined",
      `${ASSERTIONS} > another account`,
    ],
  ]),
  ...decisionsOf("verify/errors.ts", KOA, [
    ["an error is not cached", '{ "Cache-Control": "no-store" }', "{}", `${KOA} > without the error handler`],
    [
      "a message is fit to be shown, of a 503 too",
      "headers, expose: true }",
      "headers }",
      "verify/verifier.test.ts > a dead endpoint",
    ],
    [
      "a 403 does not say who would be let in",
      "createError(status, message,",
      "createError(status, refusal.cause?.reason ?? message,",
      `${REQUESTS} > another workspace`,
    ],
    [
      "the cause of an error is not enumerable",
      "enumerable: false",
      "enumerable: true",
      "verify/token-verifier.test.ts > the cause is for the log",
    ],
    [
      "only our own errors are answered",
      "ownErrors.has(error);",
      '"code" in error && "headers" in error;',
      `${EXPRESS} > the error handler passes on`,
    ],
    [
      "an outage has no challenge",
      ".filter(([, { status }]) => status !== 503)",
      ".filter(([, { status }]) => status > 0)",
      `${EXPRESS} > an outage is 503`,
    ],
    [
      "an outage of the keys is no 401",
      "keys_unavailable: { status: 503,",
      "keys_unavailable: { status: 401,",
      `${EXPRESS} > an outage is 503`,
    ],
    [
      "an outage of the directory is no 401",
      "directory_unavailable: { status: 503,",
      "directory_unavailable: { status: 401,",
      `${ASSERTIONS} > that fails is a 503`,
    ],
    [
      "an outage says when to try again",
      'if (refusal.retryAfter !== undefined) headers["Retry-After"] = String(refusal.retryAfter);',
      "",
      `${EXPRESS} > an outage is 503`,
    ],
    [
      "a task that is not valid has the code that makes clients register anew",
      'code === "task_invalid" ? "invalid_task_id" : code',
      "code",
      `${ASSERTIONS} > task_invalid`,
    ],
  ]),
  ...decisionsOf("verify/challenge.ts", OPTIONS, [
    [
      "a realm is printable ASCII",
      "/^[\\x20-\\x7e]+$/.test(value) && value.trim()",
      "value.trim()",
      `${OPTIONS} > realm`,
    ],
    ["a realm is not blank", ' && value.trim() !== "",', ",", `${OPTIONS} > realm`],
    [
      "the metadata URL has no credentials",
      'url.username !== "" || url.password !== "" || url.hash !== ""',
      'url.hash !== ""',
      `${OPTIONS} > resourceMetadata`,
    ],
    ["the metadata URL has no fragment", ' || url.hash !== ""', "", `${OPTIONS} > resourceMetadata`],
    [
      "the metadata URL is https, or loopback",
      'return url.protocol === "https:" || isLoopback(url);',
      "return isLoopback(url) || true;",
      `${OPTIONS} > resourceMetadata`,
    ],
    [
      "the metadata URL is printable ASCII",
      "!/^https?:\\/\\/[\\x21-\\x7e]+$/i.test(value) || ",
      "",
      `${OPTIONS} > resourceMetadata`,
    ],
    [
      "quotes in a challenge are escaped",
      'text.replace(/["\\\\]/g, "\\\\$&")',
      "text",
      `${EXPRESS} > with realm and resource metadata`,
    ],
  ]),
  ...decisionsOf("verify/trace.ts", "verify/token-verifier.test.ts > on the diagnostics channels", [
    [
      "what is published of a verification does not say whose it is",
      "cached: outcome === cached,",
      "cached: outcome === cached,\n      identity: outcome,",
    ],
  ]),
  ...decisionsOf("verify/middleware.ts", EXPRESS, [
    [
      "authenticate always requires credentials",
      "...authenticating(authenticator.authenticate),",
      "...authenticating(authenticateAsConfigured as never),",
      `${EXPRESS} > authenticate serves`,
    ],
    [
      "a restricted handler is restricted",
      "createHandler(restricted, toError)",
      "createHandler(authenticator.authenticate, toError)",
      `${EXPRESS} > restrictTo trusts no identity`,
    ],
    [
      "authenticate of a restricted handler is restricted",
      "authenticating(restricted));",
      "authenticating(authenticator.authenticate));",
      `${KOA} > and so does what restrictTo gives`,
    ],
  ]),
  ...decisionsOf("verify/outcome.ts", FETCH, [
    [
      "a refusal rejects",
      "if (outcome instanceof Refusal) throw toError(outcome);\n  return outcome;",
      "if (outcome instanceof Refusal && outcome.code.length < 0) throw toError(outcome);\n  return outcome as AgentIdentity;",
      `${FETCH} > resolves to the identity, or rejects`,
    ],
  ]),
  ...decisionsOf("index.ts", EXPRESS, [
    [
      "Express: a refusal ends the request",
      "next(toError(verdict));",
      "next((toError, undefined));",
      `${REQUESTS} > Express 4 no credentials`,
    ],
    [
      "Express: an identity that is found is not trusted",
      "const verdict = authenticate(req);",
      "const verdict = (req as Express.Request).agentIdentity ?? authenticate(req);",
      `${EXPRESS} > restrictTo trusts no identity`,
    ],
    [
      "Express: what a later handler throws is not ours, at first sight of a token",
      "verdict.then(proceed, next);",
      "verdict.then(proceed).catch(next);",
      `${EXPRESS} > what next throws`,
    ],
    [
      "Express: what a later handler throws is not ours, when the token is remembered",
      "else proceed(verdict);",
      "else try { proceed(verdict); } catch (error) { next(error); }",
      `${EXPRESS} > what next throws`,
    ],
    [
      "Express: errors of others are passed on",
      "if (answer === undefined || res.headersSent) {",
      "if (answer !== undefined && res.headersSent) {",
      `${EXPRESS} > the error handler passes on`,
    ],
    [
      "Express: an answer that has begun is not written over",
      "answer === undefined || res.headersSent",
      "answer === undefined",
      `${EXPRESS} > an answer that has begun`,
    ],
  ]),
  ...decisionsOf("koa.ts", KOA, [
    [
      "Koa: a refusal ends the request",
      "if (verdict instanceof Refusal) return Promise.reject(toError(verdict));",
      "if (verdict instanceof Refusal) return (toError, next());",
      `${KOA} > the error handler keeps headers`,
    ],
    [
      "Koa: an identity that is found is not trusted",
      "const verdict = authenticate(ctx.req);",
      "const verdict = ctx.state.agentIdentity ?? authenticate(ctx.req);",
      `${KOA} > restrictTo trusts no identity`,
    ],
    [
      "Koa: errors of others are thrown on",
      "if (answer === undefined || ctx.headerSent) throw error;",
      "if (answer === undefined) return;",
      `${KOA} > the error handler keeps headers`,
    ],
    [
      "Koa: an answer that has begun is not written over",
      "answer === undefined || ctx.headerSent",
      "answer === undefined",
      `${KOA} > an answer that has begun`,
    ],
  ]),
  ...decisionsOf("fetch.ts", FETCH, [
    [
      "Request: a refusal ends the request",
      "verdict instanceof Refusal ? toResponse",
      "verdict === null ? toResponse",
      `${FETCH} > each refusal is a Response`,
    ],
    [
      "Request: authenticate always requires credentials",
      "...createProtection(authenticate, authenticateAsConfigured, toError),",
      "...createProtection(authenticateAsConfigured as never, authenticateAsConfigured, (authenticate, toError)),",
      `${FETCH} > resolves to the identity, or rejects`,
    ],
    [
      "Request: a restricted handler is restricted",
      "return createProtection(restricted, restricted, toError);",
      "return createProtection(restricted, authenticate, toError);",
      `${FETCH} > restrictTo`,
    ],
    [
      "Request: authenticate of what is restricted is restricted",
      "return createProtection(restricted, restricted, toError);",
      "return createProtection(authenticate, restricted, toError);",
      `${FETCH} > restrictTo`,
    ],
    [
      "Request: errors of others are not answered",
      "return answer && toResponse(answer);",
      'return toResponse(answer ?? { status: 401, headers: {}, body: "" });',
      `${FETCH} > agentIdentityErrorResponse`,
    ],
  ]),
];
