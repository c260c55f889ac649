/** Self-enrolment of a Codex client, as the client sends it. */

import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { agentIdentityAuth } from "../../src/index.js";
import { createIssuer, type Enrol, type EnrolmentRequest, type Issuer } from "../../src/issuer.js";
import { now, signingKey } from "../support/agents.js";
import { assertion, timestamp } from "../support/assertions.js";
import { listen } from "../support/servers.js";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
const sshKey = (key: Buffer, type = "ssh-ed25519") => {
  const field = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  return `${type} ${Buffer.concat([field(Buffer.from(type)), field(key)]).toString("base64")}`;
};
const user = { accountId: "acct-1", chatgptUserId: "user-1", expiresAt: now() + 3_600 };

const bodyWith = (agentPublicKey: unknown) => ({
  abom: { agent_version: "0.171.0", agent_harness_id: "codex-cli", running_location: "local" },
  agent_public_key: agentPublicKey,
  capabilities: ["responsesapi"],
  ttl: null,
});

async function start(enrol: Enrol | undefined, issuer?: Issuer) {
  const used = issuer ?? (await createIssuer());
  const { url } = await listen(used.router({ enrol }));
  const post = async (
    path: string,
    body: unknown,
    headers: Record<string, string> = { Authorization: "Bearer user-token" },
  ) => {
    const init = {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
    };
    const answer = await fetch(url + path, init);
    return {
      status: answer.status,
      body: (await answer.json()) as Record<string, unknown> & { error?: { code: string } },
    };
  };
  return {
    issuer: used,
    post,
    enrol: (body: unknown, headers?: Record<string, string>) => post("/a/v1/agent/register", body, headers),
  };
}

test("the hook gets token and key; the agent registers a task, and its assertions pass until expiresAt", async () => {
  const requests: EnrolmentRequest[] = [];
  const backend = await start((request) => {
    requests.push(request);
    return { ...user, planType: "pro" };
  });
  const { status, body } = await backend.enrol(bodyWith(`${sshKey(raw)} a comment`));
  expect(status).toBe(200);
  const id = String(body["agent_runtime_id"]);
  expect(requests).toEqual([
    { token: "user-token", publicKey: { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") } },
  ]);
  const time = timestamp();
  const signature = sign(null, Buffer.from(`${id}:${time}`), privateKey).toString("base64");
  const registered = await backend.post(`/v1/agent/${id}/task/register`, { timestamp: time, signature });
  expect(registered.status).toBe(200);
  const agents = agentIdentityAuth("https://gw.example", {
    directory: backend.issuer.directory,
    jwks: { keySet: { keys: [signingKey.jwk] } },
  });
  const authorization = assertion({ id, privateKey }, String(registered.body["task_id"]));
  expect(await agents.authenticate({ headers: { authorization } })).toMatchObject({
    agentRuntimeId: id,
    planType: "pro",
    expiresAt: user.expiresAt,
  });
});

test("a client that enrols again has one key, and drives out no other one", async () => {
  const backend = await start(() => ({ ...user, agentRuntimeId: "agent-1" }));
  await backend.issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1", agentRuntimeId: "agent-1" });
  const minted = (await backend.issuer.directory.findAgent("agent-1"))?.publicKey;
  for (let i = 0; i < 9; i++) expect((await backend.enrol(bodyWith(sshKey(raw)))).status).toBe(200);
  const agents = backend.issuer.directory as unknown as { withKeys(id: string): Promise<{ publicKey: object }[]> };
  expect((await agents.withKeys("agent-1")).map(({ publicKey }) => publicKey)).toEqual([
    { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") },
    minted,
  ]);
});

describe("is refused", () => {
  test.each<[string, Enrol | undefined, number, string | undefined]>([
    ["without a hook", undefined, 404, "not_found"],
    ["by the hook", () => undefined, 403, "identity_not_allowed"],
    ["by the hook, later", () => Promise.resolve(undefined), 403, "identity_not_allowed"],
    [
      "if the hook throws",
      () => {
        throw new Error("secret");
      },
      503,
      "directory_unavailable",
    ],
    ["if the hook rejects", () => Promise.reject(new Error("secret")), 503, "directory_unavailable"],
    ["if the hook hangs", () => new Promise(() => undefined), 503, "directory_unavailable"],
    ...[
      true,
      null,
      "acct-1",
      {},
      { ...user, expiresAt: undefined },
      { ...user, expiresAt: 1 },
      { ...user, expiresAt: "never" },
      { ...user, expiresAt: 1e11 },
      { ...user, lifetime: 60 },
      { ...user, agentRuntimeId: "a:b" },
    ].map((answer): [string, Enrol, number, string] => [
      `if the hook gives ${JSON.stringify(answer)}`,
      () => answer as never,
      503,
      "directory_unavailable",
    ]),
  ])("%s", async (_, enrol, status, code) => {
    const answer = await (await start(enrol)).enrol(bodyWith(sshKey(raw)));
    expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
    expect(JSON.stringify(answer)).not.toContain("secret");
  });

  test.each<[string, unknown, Record<string, string>, number, string]>([
    ["without a token", bodyWith(sshKey(raw)), {}, 401, "credentials_missing"],
    ["with another scheme", bodyWith(sshKey(raw)), { Authorization: "Basic x" }, 401, "scheme_unsupported"],
    ["with two words for a token", bodyWith(sshKey(raw)), { Authorization: "Bearer a b" }, 400, "request_malformed"],
    ...[
      undefined,
      null,
      1,
      "",
      "ssh-ed25519",
      "ssh-ed25519 AAAA",
      sshKey(raw, "ssh-rsa-abcde"),
      sshKey(Buffer.alloc(32)),
      sshKey(raw.subarray(1)),
      `x ${sshKey(raw)}`,
    ].map((key): [string, unknown, Record<string, string>, number, string] => [
      `with the key ${String(key)}`,
      bodyWith(key),
      { Authorization: "Bearer x" },
      400,
      "public_key_invalid",
    ]),
    ["with a body that is no object", [], { Authorization: "Bearer x" }, 400, "public_key_invalid"],
  ])("%s, and the hook is not asked", async (_, body, headers, status, code) => {
    const answer = await (await start(() => expect.fail("it was asked"))).enrol(body, headers);
    expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
  });

  test("for a revoked agent, until it is reinstated", async () => {
    const backend = await start(() => ({ ...user, agentRuntimeId: "agent-1" }));
    await backend.issuer.revokeAgent("agent-1");
    expect(await backend.enrol(bodyWith(sshKey(raw)))).toMatchObject({ status: 403 });
    await backend.issuer.reinstateAgent("agent-1");
    expect(await backend.enrol(bodyWith(sshKey(raw)))).toMatchObject({ status: 200 });
  });
});

test("router takes only the option enrol, which is a function", async () => {
  const issuer = await createIssuer();
  expect(() => issuer.router({ enrol: true as never })).toThrow("router: enrol must be a function");
  expect(() => issuer.router({ enroll: () => undefined } as never)).toThrow('there is no option "enroll"');
});
