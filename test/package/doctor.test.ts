/** `doctor` leads from each misconfiguration to its cause, and prints no secret. */

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { diagnose, examineStore, renderFindings, type DoctorOptions, type Finding } from "../../src/cli/doctor.js";
import { openStoreFile } from "../../src/cli/store-file.js";
import { agentPrivateKey, createSigningKey, mint, secondKey, signingKey } from "../support/agents.js";
import { selfSign } from "../support/certificate.js";
import { createCodexHome, type CodexHome } from "../support/homes.js";
import { listen, sendJson, startBackend, type Backend } from "../support/servers.js";
import { TextStore } from "../support/text-store.js";

const token = mint();
const secrets = [agentPrivateKey, "sk-secret", "proxy-password", ...token.split(".")];
const API = "CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL";
const JWKS = "CODEX_AGENT_IDENTITY_JWKS_BASE_URL";
const CLIENT_ERROR = "Agent Identity only supports production and staging ChatGPT environments";
const weak = createSigningKey("weak", 1024);
const { jwk } = signingKey;

interface Setting {
  backend: Backend;
  home: CodexHome;
  options: DoctorOptions;
}

async function start(): Promise<Setting> {
  const backend = await startBackend();
  const home = createCodexHome();
  return { backend, home, options: { baseUrl: backend.baseUrl, codexHome: home.codexHome, env: {} } };
}

/** Every line, once it is certain that no secret is in them. */
async function examine(options: DoctorOptions): Promise<{ findings: Finding[]; printed: string }> {
  const findings = await diagnose(options);
  const printed = renderFindings(findings, false);
  for (const secret of secrets) expect(printed + JSON.stringify(findings)).not.toContain(secret);
  return { findings, printed };
}

const trouble = (findings: Finding[]) => findings.filter(({ level }) => level !== "ok");

test("where all is well, every line is ok", async () => {
  const { backend, home, options } = await start();
  backend.keys = [jwk, secondKey.jwk];
  home.write(JSON.stringify({ auth_mode: "agentIdentity", agent_identity: token }));
  const { findings, printed } = await examine(options);
  expect(trouble(findings)).toEqual([]);
  expect(printed).toMatch(/^ok {7}versions {3}agent-identity-auth \d+\.\d+\.\d+, Node v\d+/);
  expect(printed).toContain(`JWKS URL   ${backend.baseUrl}/wham/agent-identities/jwks`);
  expect(printed).toMatch(/name {7}127\.0\.0\.1 is 127\.0\.0\.1/);
  expect(printed).toMatch(
    /keys {7}2 usable: "key-1", "key-2" \(status 200, \d+ bytes, content type "application\/json", \d+ ms\)/,
  );
  expect(printed).toMatch(/auth\.json {2}\S+auth\.json holds an access token \(JWT\), mode 600/);
  expect(printed).toMatch(/clock {6}as that of the endpoint/);
});

const page = "<!doctype html><p>Sign in</p>";

/** What is set up wrongly, and the lines that say so. */
const rows: [
  name: string,
  level: Finding["level"],
  line: RegExp,
  arrange: (setting: Setting) => Partial<DoctorOptions> | Promise<Partial<DoctorOptions>>,
][] = [
  [
    "the base URL of another service",
    "FAIL",
    /keys +status 404 \(.*there are no keys at this URL: compare --base-url/,
    ({ backend }) => ({ baseUrl: `${backend.url}/other` }),
  ],
  ["no URL", "FAIL", /base URL +baseUrl must be an absolute http\(s\) URL/, () => ({ baseUrl: "chatgpt.com" })],
  ["plain http to another host", "FAIL", /base URL +.*plain http to a host/, () => ({ baseUrl: "http://gw.example" })],
  [
    "the issuer for the base URL",
    "FAIL",
    /base URL +baseUrl is the issuer/,
    () => ({ baseUrl: "https://chatgpt.com/codex-backend/agent-identity" }),
  ],
  [
    "a host that does not exist",
    "FAIL",
    /name +nowhere\.invalid has no address \(.*correct the host/,
    () => ({ baseUrl: "https://nowhere.invalid/backend-api", timeoutDuration: 1_000 }),
  ],
  [
    "nothing listens",
    "FAIL",
    /no answer \(ECONNREFUSED\).*start the backend/,
    ({ backend }) => (backend.server.close(), {}),
  ],
  [
    "https to a port without TLS",
    "FAIL",
    /no answer \(ERR_SSL_\w+\).*this port does not speak TLS/,
    ({ backend }) => ({ baseUrl: backend.baseUrl.replace("http:", "https:") }),
  ],
  [
    "a certificate that Node does not trust",
    "FAIL",
    /no answer \(DEPTH_ZERO_SELF_SIGNED_CERT\).*set NODE_EXTRA_CA_CERTS/,
    async () => ({ baseUrl: await startTlsServer("localhost") }),
  ],
  [
    "the backend fails",
    "FAIL",
    /keys +status 500 .*the backend fails: see its log/,
    ({ backend }) => {
      backend.answer = (_req, res) => res.writeHead(500).end();
      return {};
    },
  ],
  [
    "the endpoint wants a sign-in",
    "FAIL",
    /keys +status 401 .*the endpoint must be public/,
    ({ backend }) => {
      backend.answer = (_req, res) => res.writeHead(401).end();
      return {};
    },
  ],
  [
    "a page for people",
    "FAIL",
    /keys +not JSON \(status 200, 29 bytes, content type "text\/html".*a page for people/,
    ({ backend }) => {
      backend.answer = (_req, res) => res.setHeader("Content-Type", "text/html").end(page);
      return {};
    },
  ],
  [
    "a redirect",
    "FAIL",
    /keys +status 302 \(.*it redirects to "https:\/\/gw\.example\/new".*follows no redirect/,
    ({ backend }) => {
      backend.answer = (_req, res) => res.writeHead(302, { Location: "https://gw.example/new" }).end();
      return {};
    },
  ],
  [
    "an endpoint that never answers",
    "FAIL",
    /keys +no complete answer within 50 ms .*the firewall and the proxy/,
    ({ backend }) => {
      backend.answer = () => undefined;
      return { timeoutDuration: 50 };
    },
  ],
  ["no keys", "FAIL", /keys +no usable key .*must publish an RSA key/, ({ backend }) => ((backend.keys = []), {})],
  [
    "a weak key alone",
    "FAIL",
    /keys +no usable key [^]*"weak": it has 1024 bits, and 2048 to 8192 are allowed/,
    ({ backend }) => ((backend.keys = [weak.jwk]), {}),
  ],
  [
    "a clock that is 10 s ahead",
    "warning",
    /clock +10 s ahead of that of the endpoint → synchronise/,
    ({ backend }) => wrongClock(backend, -10),
  ],
  [
    "a clock that is 2 minutes behind",
    "FAIL",
    /clock +120 s behind that of the endpoint: more than the clock tolerance/,
    ({ backend }) => wrongClock(backend, 120),
  ],
  [
    "an endpoint without a clock",
    "warning",
    /the endpoint sends no Date header/,
    ({ backend }) => {
      backend.answer = (_req, res) => {
        res.sendDate = false;
        sendJson(res, { keys: [jwk] });
      };
      return {};
    },
  ],
  [
    "auth.json for everyone to read",
    "warning",
    /auth\.json has mode 644: other users can read it → run chmod 600 /,
    ({ home }) => {
      home.write(JSON.stringify({ auth_mode: "apikey", OPENAI_API_KEY: "sk-secret" }));
      chmodSync(home.authFile, 0o644);
      return {};
    },
  ],
  [
    "a corrupt auth.json",
    "FAIL",
    /auth\.json is not a valid auth\.json, and was left alone: it is not JSON → remove the file/,
    ({ home }) => (home.write(`{"agent_identity":"${token}"`), {}),
  ],
  [
    "a ChatGPT sign-in in auth.json",
    "warning",
    /holds another kind of sign-in → agents sign in with an access token/,
    ({ home }) => (home.write('{"auth_mode":"chatgpt","tokens":{}}'), {}),
  ],
  [
    "only one override",
    "FAIL",
    new RegExp(`${JWKS} is not set, .*${CLIENT_ERROR}.* → set both`),
    ({ options }) => ({ env: { [API]: options.baseUrl } }),
  ],
  [
    "only the other override",
    "FAIL",
    new RegExp(`${API} is not set, .*${CLIENT_ERROR}.* → set both`),
    ({ options }) => ({ env: { [JWKS]: options.baseUrl } }),
  ],
  [
    "an override that is not the base URL",
    "FAIL",
    new RegExp(`${JWKS} is not --base-url: .*${CLIENT_ERROR}`),
    ({ options }) => ({ env: { [API]: options.baseUrl, [JWKS]: options.baseUrl.toUpperCase() } }),
  ],
  [
    "a proxy that Node does not heed",
    "warning",
    /HTTPS_PROXY is set, but this Node \(v\d+.*\) does not heed it: .*NODE_USE_ENV_PROXY=1/,
    () => ({ env: { HTTPS_PROXY: "http://user:proxy-password@proxy.example" } }),
  ],
  [
    "a store that is not there",
    "FAIL",
    /store +there is no file \/nowhere\/a\.db/,
    () => ({ storeFile: "/nowhere/a.db" }),
  ],
];

/** With a certificate that it has signed itself. @returns its base URL */
async function startTlsServer(host: string): Promise<string> {
  const { privateKey } = signingKey;
  const certificate = selfSign(privateKey, host).toString("base64");
  const cert = `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`;
  const server = createServer({ cert, key: privateKey.export({ format: "pem", type: "pkcs8" }) });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `https://${host}:${(server.address() as AddressInfo).port}`;
}

function wrongClock(backend: Backend, seconds: number): Partial<DoctorOptions> {
  backend.answer = (_req, res) => {
    res.setHeader("Date", new Date(Date.now() + seconds * 1000).toUTCString());
    sendJson(res, { keys: [jwk] });
  };
  return {};
}

test.each(rows)("%s", async (_, level, line, arrange) => {
  const setting = await start();
  const { findings, printed } = await examine({ ...setting.options, ...(await arrange(setting)) });
  expect(printed).toMatch(line);
  const found = trouble(findings);
  expect(found.map((finding) => finding.level)).toContain(level);
  for (const { todo } of found) expect(todo).not.toBe("");
});

test("both overrides, equal but for a slash, are right", async () => {
  const { options } = await start();
  const env = { [API]: options.baseUrl, [JWKS]: `${options.baseUrl}/` };
  const { findings, printed } = await examine({ ...options, env });
  expect(trouble(findings)).toEqual([]);
  expect(printed).toContain(`${JWKS} is --base-url`);
});

test("each unusable key has its reason, and control characters of the endpoint reach no terminal", async () => {
  const { backend, options } = await start();
  const problems: [object | null, string][] = [
    [{ ...jwk, kid: "a", kty: "EC" }, '"a": its kty is not RSA'],
    [{ ...jwk, kid: "b", n: 7 }, '"b": its n or e is no string'],
    [{ ...jwk, kid: "c", use: "enc" }, '"c": its use is not sig'],
    [{ ...jwk, kid: "d", alg: "RS512" }, '"d": its alg is not RS256'],
    [{ ...jwk, kid: "e", key_ops: ["sign"] }, '"e": its key_ops do not contain verify'],
    [{ ...jwk, kid: "f", n: `${String(jwk["n"])}=` }, '"f": its n or e is not canonical base64url'],
    [{ ...jwk, kid: "g\u001b[31m", e: "Ag" }, '"g[31m": '],
    [{ ...jwk, kid: 7 }, "an entry without a kid: its kid is no string"],
    [null, "an entry without a kid: it is no object"],
    [jwk, '"key-1": an earlier key has the same kid, and the first one counts'],
  ];
  backend.keys = [jwk, ...problems.map(([key]) => key)];
  const { findings, printed } = await examine(options);
  const unusable = findings.filter(({ about }) => about === "unusable key").map(({ found }) => found);
  for (const [i, [, reason]] of problems.entries()) expect(unusable[i]).toContain(reason);
  expect(printed).toContain('1 usable: "key-1"');
  expect(printed).toMatch(/^[\n\P{C}]*$/u);
  expect(renderFindings(findings, true)).toContain("\u001b[33mwarning\u001b[0m");
});

describe("a store", () => {
  test("is read, written, and set by comparison, and nothing of that stays", async () => {
    const store = new TextStore();
    expect(await examineStore(store)).toMatchObject({ level: "ok", found: "read, write and compare-and-set work" });
    expect(store.entries.size).toBe(0);
  });

  test.each([
    ["get", "read"],
    ["set", "write"],
    ["compareAndSet", "compare-and-set"],
    ["delete", "delete"],
  ])("whose %s fails is told of", async (call, step) => {
    const store = new TextStore();
    store.before = (name) => {
      if (name === call) throw new Error("sk-secret");
    };
    expect(await examineStore(store)).toMatchObject({ level: "FAIL", found: `${step} does not work` });
  });

  test("that does not compare is told of", async () => {
    const store = new TextStore();
    store.compareAndSet = (name, _expected, text) => store.set(name, text).then(() => true);
    expect(await examineStore(store)).toMatchObject({ level: "FAIL", found: "compare-and-set does not work" });
  });

  test("in a file is opened, or the line says what to install", async () => {
    const { options } = await start();
    const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-doctor-"));
    onTestFinished(() => {
      rmSync(directory, { recursive: true });
    });
    const storeFile = join(directory, "issuer.db");
    writeFileSync(storeFile, "");
    const hasDriver = await openStoreFile(storeFile).then(
      () => true,
      () => false,
    );
    const { printed } = await examine({ ...options, storeFile });
    expect(printed).toMatch(hasDriver ? /compare-and-set work/ : /no driver for SQLite → .*npm install better-sqlite3/);
  });
});

test("a redirect is not followed, and the answer of an endpoint with another type is shown cleaned", async () => {
  let asked = 0;
  const other = await listen((_req, res) => {
    asked++;
    res.end();
  });
  const { backend, options } = await start();
  backend.answer = (_req, res) => res.writeHead(307, { Location: other.url }).end();
  expect((await examine(options)).printed).toContain(`it redirects to "${other.url}"`);
  expect(asked).toBe(0);
});
