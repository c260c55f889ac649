/** The newest client makes an agent's key itself, and our issuer enters the agent: Codex's self-enrolment. */

import { createPublicKey, createPrivateKey } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import type { Enrol, EnrolmentRequest } from "../../dist/issuer.js";
import { loadAuth } from "../../dist/login.js";
import { exportJwk } from "../../dist/protocol/jwk.js";
import { createCodex, turnSettings } from "./codex-client.js";
import { OWN_MODEL_SAYS, RESPONSES, startOwnBackend } from "./own-backend.js";
import { encode, secondsSinceEpoch, type JsonObject } from "./tokens.js";

const owner = () => ({ accountId: "acct-1", chatgptUserId: "user-1", expiresAt: secondsSinceEpoch() + 86_400 });

interface AuthFile {
  readonly auth_mode: string;
  readonly agent_identity?: { readonly agent_runtime_id: string; readonly agent_private_key: string };
}

it("enrols, registers its task and has its turn as the agent that it enrolled", async () => {
  const asked: EnrolmentRequest[] = [];
  const { backend, codex, enrolments, userToken, exec } = await start((request) => {
    asked.push(request);
    return owner();
  });
  const run = await exec();
  expect([run.exitCode, run.stdout.trim()], JSON.stringify(run)).toEqual([0, OWN_MODEL_SAYS]);
  // Parts of a client that start together may enrol an agent each.
  expect(new Set(enrolments)).toEqual(new Set([200]));
  expect(new Set(asked.map(({ token }) => token))).toEqual(new Set([userToken]));

  const file = JSON.parse((await codex.readAuthFile()) ?? "") as AuthFile;
  expect(file.auth_mode).toBe("chatgpt");
  const { agent_runtime_id: agentRuntimeId, agent_private_key: privateKey } = file.agent_identity ?? expect.fail();
  expect(asked.map(({ publicKey }) => publicKey)).toContainEqual({
    kty: "OKP",
    crv: "Ed25519",
    x: publicPartOf(privateKey),
  });
  const turns = backend.calls.filter(({ path }) => path === RESPONSES);
  expect(turns).toHaveLength(1);
  expect(turns[0]?.identity).toMatchObject({ accountId: "acct-1", chatgptUserId: "user-1" });
  if (enrolments.length === 1) expect(turns[0]?.identity?.agentRuntimeId).toBe(agentRuntimeId);

  // The record that the client has written is an agent for us too, once somebody accepts that nothing in it is signed.
  const config = { chatgptBaseUrl: backend.baseUrl, codexHome: codex.home, env: {} };
  await expect(loadAuth(config)).rejects.toMatchObject({ code: "agent_record_unsigned" });
  const auth = await loadAuth({ ...config, acceptUnsignedRecord: true });
  if (auth?.mode !== "agentIdentity") throw new Error("not an agent");
  backend.clear();
  const answer = await fetch(`${backend.baseUrl}/codex/responses`, {
    method: "POST",
    headers: auth.authorizationHeaders(),
  });
  expect(answer.status).toBe(200);
  await answer.body?.cancel();
  expect(backend.calls[0]?.identity).toMatchObject({ agentRuntimeId, accountId: "acct-1" });
  expect(backend.registrations).toEqual([]);
});

it.each<[name: string, enrol: Enrol | undefined, status: number]>([
  ["is not served without a hook", undefined, 404],
  ["is refused by a hook that gives nothing", () => undefined, 403],
  ["fails with a hook that throws", () => Promise.reject(new Error("no database")), 503],
  ["fails with a hook that gives nonsense", () => ({ agent: "mine" }) as never, 503],
  ["fails with a hook that forgets when the agent ends", () => ({ ...owner(), expiresAt: undefined }) as never, 503],
])("%s: no agent has a turn", async (_, enrol, status) => {
  const { backend, codex, enrolments, exec } = await start(enrol);
  const run = await exec();
  expect(run.exitCode).toBe(1);
  expect(new Set(enrolments)).toEqual(new Set([status]));
  expect(backend.calls).toEqual([]);
  expect(backend.registrations).toEqual([]);
  expect((JSON.parse((await codex.readAuthFile()) ?? "") as AuthFile).agent_identity).toBeUndefined();
});

/** A backend whose users enrol agents by `enrol`, and a client with a ChatGPT sign-in that is made up. */
async function start(enrol: Enrol | undefined) {
  const enrolments: number[] = [];
  const backend = await startOwnBackend({
    router: { enrol },
    before(req, res, next) {
      if (req.path.endsWith("/v1/agent/register")) res.once("finish", () => enrolments.push(res.statusCode));
      next();
    },
  });
  const codex = await createCodex();
  onTestFinished(async () => {
    await backend.close();
    await codex.remove();
  });
  const exp = secondsSinceEpoch() + 86_400;
  const user = { chatgpt_account_id: "acct-1", chatgpt_user_id: "user-1", chatgpt_plan_type: "pro" };
  const userToken = jwt({ exp, "https://api.openai.com/auth": user });
  const tokens = {
    id_token: jwt({ email: "user@example.com", exp, "https://api.openai.com/auth": user }),
    access_token: userToken,
    refresh_token: "refresh",
    account_id: "acct-1",
  };
  const file = { auth_mode: "chatgpt", OPENAI_API_KEY: null, tokens, last_refresh: new Date().toISOString() };
  await writeFile(join(codex.home, "auth.json"), JSON.stringify(file), { mode: 0o600 });
  const { config, env } = turnSettings(backend.baseUrl);
  const args = ["exec", "--enable", "use_agent_identity", "--skip-git-repo-check", "--ephemeral", "say hi"];
  return { backend, codex, enrolments, userToken, exec: () => codex.run(args, { config, env }) };
}

/** The client does not look at the signature of its user's tokens. */
function jwt(claims: JsonObject): string {
  return [JSON.stringify({ alg: "none" }), JSON.stringify(claims), "signature"].map((part) => encode(part)).join(".");
}

function publicPartOf(pkcs8: string): string | undefined {
  const seed = Buffer.from(pkcs8, "base64").subarray(16, 48);
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  return exportJwk(createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }))).x;
}
