/** Signing keys outside the process, and what the issuer tells its operator. */

import { generateKeyPairSync, sign } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { buffer } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { createIssuer, type ExternalKey, type IssuerEvent, type SigningKey } from "../../src/issuer.js";
import { exportJwk } from "../../src/protocol/jwk.js";
import { signingKey } from "../support/agents.js";
import { listen } from "../support/servers.js";
import { TextStore } from "../support/text-store.js";

const somebody = { accountId: "acct-1", chatgptUserId: "user-1" };
const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const external = (signData: ExternalKey["sign"]): ExternalKey => ({
  kid: "kms-1",
  publicKey: exportJwk(publicKey),
  sign: signData,
});
const good = (data: Uint8Array) => Promise.resolve(sign("sha256", data, privateKey));

test("a signer over HTTP signs tokens that verify", async () => {
  const { url } = await listen(
    (req, res) => void buffer(req).then((data) => res.end(sign("sha256", data, privateKey))),
  );
  const issuer = await createIssuer({
    signingKeys: [
      external(async (data) => {
        const answer = await fetch(url, { method: "POST", body: Buffer.from(data) });
        return new Uint8Array(await answer.arrayBuffer());
      }),
    ],
  });
  const { token } = await issuer.mint(somebody);
  const verifier = createVerifier("https://gw.example", { jwks: { keySet: await issuer.jwks() } });
  expect(await verifier.verify(token)).toMatchObject({ accountId: "acct-1" });
  expect((await issuer.jwks()).keys[0]).toMatchObject({ kid: "kms-1", use: "sig" });
});

describe("no token leaves, and the agent keeps its keys, if the signer", () => {
  const foreign = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  test.each<[string, ExternalKey["sign"], string]>([
    ["rejects", () => Promise.reject(new Error("KMS is down")), "KMS is down"],
    ["hangs", () => new Promise(() => undefined), "gave no answer within 2000 ms"],
    ["signs with another key", (data) => Promise.resolve(sign("sha256", data, foreign)), "not its signature"],
    ["signs something else", () => good(Buffer.from("x")), "not its signature"],
    ["gives nothing", () => Promise.resolve(new Uint8Array()), "not its signature"],
    ["gives text", () => Promise.resolve("signature" as never), "not its signature"],
  ])("%s", async (_, signData, message) => {
    let isBroken = false;
    const store = new TextStore();
    const key = external((data) => (isBroken ? signData(data) : good(data)));
    const issuer = await createIssuer({ store, signingKeys: [key] });
    await issuer.mint({ ...somebody, agentRuntimeId: "agent-1" });
    const before = new Map(store.entries);
    isBroken = true;
    await expect(issuer.mint({ ...somebody, agentRuntimeId: "agent-1" })).rejects.toThrow(message);
    expect(store.entries).toEqual(before);
  });
});

test.each<[unknown, RegExp]>([
  [{ kid: "x", publicKey: privateKey, sign: good }, /signingKeys\[0\].publicKey must be a public RSA key/],
  [{ kid: "x", publicKey: { kty: "RSA" }, sign: good }, /signingKeys\[0\].publicKey must be a public RSA key/],
  [{ publicKey, sign: good }, /signingKeys\[0\].kid is needed/],
  [{ kid: "", publicKey, sign: good }, /a kid that is not empty/],
])("a signer is checked: %o", async (key, message) => {
  await expect(createIssuer({ signingKeys: [key as SigningKey] })).rejects.toThrow(message);
});

test("events say what was created, signed, minted, registered, withdrawn and revoked, without a secret", async () => {
  const events: IssuerEvent[] = [];
  const listener = (event: unknown) => events.push(event as IssuerEvent);
  subscribe("agent-identity-auth:issuer", listener);
  onTestFinished(() => void unsubscribe("agent-identity-auth:issuer", listener));
  const store = new TextStore();
  const issuer = await createIssuer({ store });
  const { token } = await issuer.mint({ ...somebody, agentRuntimeId: "agent-1" });
  await issuer.rotateKey({ delay: 0 });
  await issuer.mint(somebody);
  const [first] = (await issuer.jwks()).keys;
  await issuer.withdrawKey(first?.kid ?? "");
  await issuer.revokeAgent("agent-1");
  await issuer.reinstateAgent("agent-1");
  store.before = () => {
    throw new Error("secret");
  };
  await issuer.jwks().catch(() => undefined);
  expect(events.map(({ type }) => type)).toEqual([
    ...["key.created", "key.signs", "agent.minted", "key.created", "key.signs", "agent.minted"],
    ...["key.withdrawn", "agent.revoked", "agent.reinstated", "store.failed"],
  ]);
  expect(events[2]).toEqual({
    type: "agent.minted",
    agentRuntimeId: "agent-1",
    ...somebody,
    expiresAt: expect.any(Number) as number,
    kid: first?.kid,
  });
  const text = JSON.stringify(events);
  for (const secret of [token, "secret", '"d"', "agent_private_key"]) expect(text).not.toContain(secret);
});

test("given keys of both kinds stand beside each other", async () => {
  const issuer = await createIssuer({ signingKeys: [signingKey, external(good)] });
  expect((await issuer.jwks()).keys.map(({ kid }) => kid)).toEqual(["key-1", "kms-1"]);
});
