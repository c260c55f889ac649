/** `secrets`: who can read or write the store learns no key, and plants none. */

import { describe, expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { createIssuer, type MintClaims } from "../../src/issuer.js";
import { TextStore } from "../support/text-store.js";

const [newest, older] = ["n".repeat(32), Buffer.alloc(32, 1)];
const somebody: MintClaims = { accountId: "acct-1", chatgptUserId: "user-1", agentRuntimeId: "agent-1" };
const ringEntry = "{agent-identity-auth}:signing-keys";
const agentEntry = "{agent-identity-auth}:agent:agent-1";

async function filled(secrets?: (string | Buffer)[]) {
  const store = new TextStore();
  const issuer = await createIssuer({ store, secrets });
  await issuer.mint(somebody);
  await issuer.mint({ ...somebody, agentRuntimeId: "agent-2" });
  await issuer.revokeAgent("agent-2");
  return { store, issuer };
}

test("every document is sealed, and two of the same content differ", async () => {
  const { store } = await filled([newest]);
  expect(store.entries.size).toBe(4);
  for (const text of store.entries.values()) {
    expect(text).toMatch(/^sealed\.1\.[\w-]+$/);
    expect(Buffer.from(text.slice(9), "base64url").toString("latin1")).not.toMatch(/acct-1|privateJwk|version/);
  }
  const again = await filled([newest]);
  expect(again.store.entries.get("{agent-identity-auth}:revoked:agent-2")).not.toBe(
    store.entries.get("{agent-identity-auth}:revoked:agent-2"),
  );
});

describe("is an error, and nothing is overwritten:", () => {
  const flip = (text: string, at: number) => {
    const bytes = Buffer.from(text.slice(9), "base64url");
    const i = at < 0 ? bytes.length + at : at;
    bytes[i] = (bytes[i] ?? 0) ^ 1;
    return `sealed.1.${bytes.toString("base64url")}`;
  };
  test.each<[string, (entries: Map<string, string>) => void, (string | Buffer)[] | undefined]>([
    ["another secret", () => undefined, ["x".repeat(32)]],
    ["no secret", () => undefined, undefined],
    ["a damaged nonce", (entries) => entries.set(ringEntry, flip(entries.get(ringEntry) ?? "", 0)), [newest]],
    ["a damaged text", (entries) => entries.set(ringEntry, flip(entries.get(ringEntry) ?? "", 40)), [newest]],
    ["a damaged tag", (entries) => entries.set(ringEntry, flip(entries.get(ringEntry) ?? "", -1)), [newest]],
    ["a document cut short", (entries) => entries.set(ringEntry, "sealed.1.AAAA"), [newest]],
    ["a document of another name", (entries) => entries.set(ringEntry, entries.get(agentEntry) ?? ""), [newest]],
    ["a plain document", (entries) => entries.set(ringEntry, '{"version":1,"keys":[]}'), [newest]],
  ])("%s", async (_, damage, secrets) => {
    const { store } = await filled([newest]);
    damage(store.entries);
    const before = new Map(store.entries);
    await expect(createIssuer({ store, secrets })).rejects.toThrow(/none of the secrets|pass the option secrets/);
    expect(store.entries).toEqual(before);
  });
});

test("a planted agent, and one that is copied from another issuer, are refused", async () => {
  const { store, issuer } = await filled([newest]);
  const foreign = await filled();
  store.entries.set(agentEntry, foreign.store.entries.get(agentEntry) ?? "");
  await expect(issuer.directory.findAgent("agent-1")).rejects.toThrow("none of the secrets");
});

test("the secret changes without a stop: both read, and the newest seals again", async () => {
  const { store, issuer } = await filled([older]);
  const kids = (await issuer.jwks()).keys.map(({ kid }) => kid);
  const both = await createIssuer({ store, secrets: [newest, older] });
  const { token } = await both.mint(somebody);
  const only = await createIssuer({ store, secrets: [newest] });
  expect((await only.jwks()).keys.map(({ kid }) => kid)).toEqual(kids);
  expect(await only.directory.findAgent("agent-1")).toMatchObject({ accountId: "acct-1" });
  const verifier = createVerifier("https://gw.example", { jwks: { keySet: await only.jwks() } });
  expect(await verifier.verify(token)).toMatchObject({ agentRuntimeId: "agent-1" });
  await expect(issuer.jwks()).rejects.toThrow("none of the secrets"); // a process that has not got the new one
});

test.each([[], "x".repeat(32), ["short"], [Buffer.alloc(31)], [1]])("secrets: %j is a TypeError", async (secrets) => {
  await expect(createIssuer({ secrets: secrets as string[] })).rejects.toThrow(/secrets must be a list of secrets/);
});
