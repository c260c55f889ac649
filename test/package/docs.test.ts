import { spawn } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpsServer } from "node:https";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth, type AgentIdentityMiddleware } from "../../src/index.js";
import { headingAnchor } from "../../scripts/heading-anchor.js";
import { selfSign } from "../support/certificate.js";
import { createSigningKey, mint, signingKey } from "../support/agents.js";
import { redisIsInstalled, startRedis } from "../support/redis.js";
import { listen, sendJson, startBackend } from "../support/servers.js";
import { answerOf, check, codeBlocks, OPERATING, PAGES, start, startServer } from "./code-blocks.js";

const BASE_URL = "https://chatgpt.com/backend-api";
const GATEWAY = "https://gw.example/backend-api";
const unavailable = (_req: unknown, res: { writeHead(status: number): { end(): void } }) => {
  res.writeHead(500).end();
};
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Blocks of some pages, by what only one of them contains: all of them, so that none is left out. */
function named<Name extends string>(pages: readonly string[], marks: Record<Name, string>): Record<Name, string> {
  const blocks = pages.flatMap(codeBlocks);
  const found = Object.entries<string>(marks).map(([name, mark]) => {
    const [block, ...others] = blocks.filter((code) => code.includes(mark));
    if (block === undefined || others.length > 0) throw new Error(`${pages.join()}: not one block with ${mark}`);
    return [name, block] as const;
  });
  if (new Set(found.map(([, block]) => block)).size !== blocks.length)
    throw new Error(`${pages.join()}: a block without a test`);
  return Object.fromEntries(found) as Record<Name, string>;
}

const operating = named(OPERATING, {
  audit: "caller.accepted",
  telemetry: "startTelemetry(",
  log: "pino(",
  health: "/readyz",
  store: "KeyvRedis",
  proxy: "ProxyAgent",
  privateCa: "new Agent(",
});

describe("diagnostics", () => {
  const page = readFileSync("docs/metrics-and-logs.md", "utf8");

  test.each(["verify", "jwks.fetch"])("the table of %s has the members of its events, and no others", async (name) => {
    const members = new Set<string>();
    const collect = (event: unknown) => {
      for (const member of Object.keys(event as object)) members.add(member);
    };
    const channel = `agent-identity-auth:${name}`;
    subscribe(channel, collect);
    onTestFinished(() => void unsubscribe(channel, collect));
    const backend = await startBackend();
    const { verifier } = agentIdentityAuth(backend.baseUrl, { jwks: {} });
    await verifier.verify(mint());
    backend.answer = unavailable;
    await expect(verifier.verify(mint({}, createSigningKey("key-2")))).rejects.toMatchObject({ status: 503 });

    const [, table = ""] = page.split(`\`${channel}\`: one for`);
    const [rows = ""] = table.split("\n\n").filter((paragraph) => paragraph.startsWith("|"));
    expect(members).toEqual(new Set([...rows.matchAll(/^\| `(\w+)`/gm)].map(([, member]) => member)));
  });

  test("the audit log says who got a token, who called and who was revoked, and holds no secret", async () => {
    const demo = `
    import { createVerifier } from "agent-identity-auth";
    import { createIssuer } from "agent-identity-auth/issuer";
    const issuer = await createIssuer();
    const { token, agentRuntimeId } = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1" });
    await createVerifier("https://gw.example", { jwks: { keySet: await issuer.jwks() } }).verify(token);
    await issuer.revokeAgent(agentRuntimeId);
  `;
    const { stdout } = await start(operating.audit + demo, {});
    const printed = await text(stdout);
    const entries = printed
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { type: string });
    const types = ["key.created", "key.signs", "agent.minted", "caller.accepted", "agent.revoked"];
    expect(entries.map(({ type }) => type)).toEqual(types);
    expect(printed).not.toContain("eyJ");
  });

  test("the lines for OpenTelemetry compile", async () => {
    await check(operating.telemetry);
  });

  test("pino logs refusals and failed fetches with what an operator needs, and no token", async () => {
    const backend = await startBackend();
    const { url, stdout } = await startServer(operating.log, { [BASE_URL]: backend.baseUrl });
    let log = "";
    stdout.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
    const tokens = [mint(), mint({}, createSigningKey("key-2"))] as const;
    const ask = async (token: string) => (await answerOf(`${url}/tasks`, { headers: bearer(token) })).status;
    expect(await ask(tokens[0])).toBe(200);
    backend.answer = unavailable;
    expect(await ask(tokens[1])).toBe(503);

    await expect.poll(() => log.split("\n").length, { timeout: 10_000 }).toBe(4);
    const lines = log.split("\n", 3).map((line) => JSON.parse(line) as unknown);
    const placeholder = expect.stringMatching(/^Bearer hidden\.[0-9a-f]{16}$/) as string;
    const req = { url: "/tasks", headers: { authorization: placeholder } };
    const jwksUrl = `${backend.baseUrl}/wham/agent-identities/jwks`;
    const cause = {
      reason: "status 500",
      kid: "key-2",
      kids: ["key-1"],
      jwksUrl,
      keySetAge: expect.any(Number) as number,
    };
    expect(lines).toMatchObject([
      { level: 30, msg: "tasks", agent: "agent-1", req },
      { level: 40, msg: "key set not fetched", url: jwksUrl, outcome: "failure", status: 500, error: "status 500" },
      { level: 50, msg: "agent refused", code: "keys_unavailable", status: 503, cause, req },
    ]);
    for (const token of tokens) expect(log).not.toContain(token.split(".")[1]);
  });
});

test("the readiness probe waits for the first key set, and outlasts an outage; the liveness probe does not ask", async () => {
  const backend = await startBackend();
  backend.answer = unavailable;
  // A set that is old at once: then ready() would be a fetch for every probe.
  const { url } = await startServer(operating.health, {
    [`"${BASE_URL}"`]: `"${backend.baseUrl}", { jwks: { cacheMaxAge: 1 } }`,
  });
  const probe = async (path: string) => (await answerOf(`${url}${path}`)).status;
  expect(await probe("/readyz")).toBe(503);
  await expect.poll(() => backend.fetches).toBe(1);
  expect(await probe("/livez")).toBe(200);
  backend.answer = undefined;
  await expect.poll(() => probe("/readyz"), { timeout: 10_000 }).toBe(200);
  backend.answer = unavailable;
  const asked = await answerOf(`${url}/tasks`, { headers: bearer(mint({}, createSigningKey("key-2"))) });
  expect(asked.status).toBe(503);
  const fetches = backend.fetches;
  for (let i = 0; i < 5; i++) expect([await probe("/readyz"), await probe("/livez")]).toEqual([200, 200]);
  expect(backend.fetches).toBe(fetches);
});

test.runIf(redisIsInstalled)("with the store, a process that starts during an outage serves", async () => {
  const redis = await startRedis();
  const backend = await startBackend();
  const replacements = { [BASE_URL]: backend.baseUrl, "redis://127.0.0.1:6379": redis };
  const ask = async () => {
    const { url } = await startServer(operating.store, replacements);
    return (await answerOf(`${url}/tasks`, { headers: bearer(mint()) })).status;
  };
  expect(await ask()).toBe(200);
  const entry = `agent-identity-auth:jwks:${backend.baseUrl}/wham/agent-identities/jwks`;
  await expect.poll(() => redisKeys(redis)).toEqual([expect.stringMatching(`^jwks:.*${entry}$`)]);
  backend.answer = unavailable;
  expect(await ask()).toBe(200);
});

async function redisKeys(url: string): Promise<string[]> {
  const socket = connect({ port: Number(new URL(url).port), host: "127.0.0.1" });
  socket.end("KEYS *\r\n");
  return (await text(socket)).split("\r\n").filter((line) => line.includes("agent-identity-auth"));
}

describe("proxies and private CAs", () => {
  /** A key endpoint over TLS, with a certificate that only `ca` makes good. */
  async function startGateway() {
    const { privateKey } = createSigningKey("tls");
    const certificate = selfSign(privateKey, "localhost").toString("base64");
    const cert = `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`;
    const server = createHttpsServer(
      { cert, key: privateKey.export({ format: "pem", type: "pkcs8" }) },
      (_req, res) => {
        sendJson(res, { keys: [signingKey.jwk] });
      },
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-ca-"));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
      rmSync(directory, { recursive: true });
    });
    const ca = join(directory, "ca.pem");
    writeFileSync(ca, cert);
    return { baseUrl: `https://localhost:${String((server.address() as AddressInfo).port)}/backend-api`, ca };
  }

  async function startProxy() {
    const connected: string[] = [];
    const { url, server } = await listen((_req, res) => res.writeHead(400).end());
    const sockets: Duplex[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    server.on("connect", ({ url = "" }, client) => {
      connected.push(url);
      const { hostname, port } = new URL(`http://${url}`);
      const upstream = connect({ host: hostname, port: Number(port) }, () => {
        client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        upstream.pipe(client).pipe(upstream);
      });
      sockets.push(client, upstream);
    });
    return { url, connected };
  }

  const agentsOf = async (code: string, replacements: Record<string, string>) =>
    ((await import(await check(code, replacements))) as { agents: AgentIdentityMiddleware }).agents;

  /** The command's own `fetch` is Node's. */
  async function verifyByCommand(baseUrl: string, env: Record<string, string>) {
    const child = spawn(process.execPath, ["dist/cli.js", "verify", "--base-url", baseUrl], { env });
    child.stdin.end(mint());
    const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, "exit") as Promise<[number]>]);
    return { exitCode, stderr };
  }

  test("undici's ProxyAgent fetches the keys through the proxy, and follows no redirect", async () => {
    const backend = await startBackend();
    const proxy = await startProxy();
    const agents = await agentsOf(operating.proxy, {
      [BASE_URL]: backend.baseUrl,
      "http://proxy.example:3128": proxy.url,
    });
    const authenticate = () => agents.authenticate({ headers: bearer(mint()) });
    backend.answer = (_req, res) => res.writeHead(302, { Location: "/elsewhere" }).end();
    await expect(authenticate()).rejects.toMatchObject({ code: "keys_unavailable", cause: { reason: "status 302" } });
    backend.answer = undefined;
    await agents.verifier.jwks.ready();
    expect(await authenticate()).toMatchObject({ agentRuntimeId: "agent-1" });
    expect(new Set(proxy.connected)).toEqual(new Set([new URL(backend.url).host]));
    expect(backend.fetches).toBe(2);
  });

  test("undici's Agent trusts the private CA, and Node's own fetch says what is missing", async () => {
    const { baseUrl, ca } = await startGateway();
    const agents = await agentsOf(operating.privateCa, { [GATEWAY]: baseUrl, "/etc/ssl/private-ca.pem": ca });
    expect(await agents.authenticate({ headers: bearer(mint()) })).toMatchObject({ agentRuntimeId: "agent-1" });
    const { jwks } = agentIdentityAuth(baseUrl, { jwks: {} }).verifier;
    await expect(jwks.ready()).rejects.toMatchObject({ code: "keys_unavailable" });
    expect(jwks.status().lastError).toBe("no answer (DEPTH_ZERO_SELF_SIGNED_CERT)");
  });

  test("NODE_EXTRA_CA_CERTS is enough for Node's own fetch", async () => {
    const { baseUrl, ca } = await startGateway();
    expect(await verifyByCommand(baseUrl, {})).toMatchObject({ exitCode: 1 });
    expect(await verifyByCommand(baseUrl, { NODE_EXTRA_CA_CERTS: ca })).toEqual({ exitCode: 0, stderr: "" });
  });

  test.runIf(process.allowedNodeEnvironmentFlags.has("--use-env-proxy"))(
    "NODE_USE_ENV_PROXY is enough for Node's own fetch",
    async () => {
      const { baseUrl, ca } = await startGateway();
      const proxy = await startProxy();
      const env = { NODE_USE_ENV_PROXY: "1", HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: ca };
      expect(await verifyByCommand(baseUrl, env)).toMatchObject({ exitCode: 0 });
      expect(proxy.connected).toEqual([new URL(baseUrl).host]);
    },
  );
});

const migration = named(["docs/migration.md"], {
  fromExpressOauth2JwtBearer: "restrictTo",
  fromExpressJwt: "blocked",
});

describe("after the migration", () => {
  const startMigrated = async (code: string) => {
    const backend = await startBackend();
    const { url } = await startServer(code, { [BASE_URL]: backend.baseUrl });
    return async (path: string, token?: string) => {
      const response = await answerOf(`${url}${path}`, token === undefined ? {} : { headers: bearer(token) });
      return [response.status, await response.json()] as const;
    };
  };
  const refused = (code: string) => ({ error: { code } });

  test("from express-oauth2-jwt-bearer, with a restriction in the place of claimEquals", async () => {
    const ask = await startMigrated(migration.fromExpressOauth2JwtBearer);
    expect(await ask("/tasks")).toMatchObject([401, refused("credentials_missing")]);
    expect(await ask("/tasks", mint())).toEqual([200, { agent: "agent-1" }]);
    expect(await ask("/tasks", mint({ aud: ["codex-app-server"] }))).toMatchObject([401, refused("audience_invalid")]);
    expect(await ask("/admin", mint())).toEqual([200, { workspace: "acct-1" }]);
    expect(await ask("/admin", mint({ account_id: "acct-2" }))).toMatchObject([403, refused("workspace_not_allowed")]);
  });

  test("from express-jwt, with order in the place of unless and a handler in that of isRevoked", async () => {
    const code = migration.fromExpressJwt.replace("new Set<string>()", 'new Set<string>(["agent-2"])');
    const ask = await startMigrated(code);
    expect(await ask("/health")).toEqual([200, {}]);
    expect(await ask("/tasks")).toMatchObject([401, refused("credentials_missing")]);
    expect(await ask("/tasks", mint())).toEqual([200, { agent: "agent-1" }]);
    expect(await ask("/tasks", mint({ agent_runtime_id: "agent-2" }))).toEqual([403, {}]);
  });

  test("no error has the name that handlers for express-jwt ask for", async () => {
    const backend = await startBackend();
    const agents = agentIdentityAuth(backend.baseUrl, { jwks: {} });
    const nameOf = (authorization: string) =>
      agents.authenticate({ headers: { authorization } }).then(
        () => "accepted",
        (error: unknown) => (error as Error).name,
      );
    backend.answer = unavailable;
    expect(await nameOf("Bearer junk")).toBe("AgentIdentityError");
    expect(await nameOf("Bearer two words")).toBe("AgentIdentityError");
    expect(await nameOf(`Bearer ${mint()}`)).toBe("AgentIdentityError");
  });
});

const OTHER_PAGES = [
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "bench/FAULTS.md",
  "bench/PARTS.md",
  "bench/RESULTS.md",
  "bench/SCALE.md",
];

test.each([...PAGES, ...OTHER_PAGES, "docs/site/index.md"])("the links of %s lead somewhere", (page) => {
  const headings = (page: string) =>
    [...readFileSync(page, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => headingAnchor(heading));
  const prose = readFileSync(page, "utf8").replace(/^```[^]*?^```/gm, "");
  for (const [, path = "", anchor] of prose.matchAll(/\]\((?!https:)([^)#]*)(?:#([^)]*))?\)/g)) {
    const target = path === "" ? page : join(dirname(page), path);
    expect(existsSync(target), target).toBe(true);
    if (anchor !== undefined) expect(headings(target)).toContain(anchor);
  }
});
