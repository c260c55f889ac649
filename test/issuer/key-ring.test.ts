/** The signing keys of several processes on one store: none is lost, and every token is good. */

import { describe, expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { createIssuer, type Issuer, type IssuerOptions, type MintClaims } from "../../src/issuer.js";
import { minutes, takeOverClock } from "../support/clock.js";
import { signingKey } from "../support/agents.js";
import { TextStore } from "../support/text-store.js";

const somebody: MintClaims = { accountId: "acct-1", chatgptUserId: "user-1" };
const day = 86_400;

const randomly = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
const kidsOf = async (issuer: Issuer) => (await issuer.jwks()).keys.map(({ kid }) => kid);
const kidOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()) as { kid: string }).kid;
const signerOf = async (issuer: Issuer) => kidOf((await issuer.mint({ ...somebody, lifetime: 60 })).token);

async function expectGood(issuer: Issuer, tokens: readonly string[]): Promise<void> {
  const verifier = createVerifier("https://gw.example", { jwks: { keySet: await issuer.jwks() } });
  for (const token of tokens) expect(await verifier.verify(token)).toMatchObject({ accountId: "acct-1" });
}

const fleet = (store: TextStore, size: number, options: IssuerOptions = {}) =>
  Promise.all(Array.from({ length: size }, () => createIssuer({ store, ...options })));

test("processes that start at once on an empty store agree on one key", async () => {
  const store = new TextStore();
  store.before = randomly;
  const issuers = await fleet(store, 6);
  const minted = await Promise.all(issuers.flatMap((issuer) => [issuer.mint(somebody), issuer.mint(somebody)]));
  for (const issuer of issuers) expect(await kidsOf(issuer)).toHaveLength(1);
  await expectGood(
    issuers[0] ?? expect.fail(),
    minted.map(({ token }) => token),
  );
});

test("processes that rotate at once make one key, and tokens that are minted meanwhile are good", async () => {
  const store = new TextStore();
  const issuers = await fleet(store, 6);
  store.before = randomly;
  const minting = issuers.map((issuer) => issuer.mint(somebody));
  await Promise.all(issuers.map((issuer) => issuer.rotateKey()));
  const [issuer = expect.fail()] = issuers;
  expect(await kidsOf(issuer)).toHaveLength(2);
  await expectGood(
    issuer,
    (await Promise.all(minting)).map(({ token }) => token),
  );
});

test("tokens that are minted during rotations are all good", async () => {
  const store = new TextStore();
  const issuers = await fleet(store, 3);
  store.before = randomly;
  const [issuer = expect.fail()] = issuers;
  const tokens: string[] = [];
  for (let i = 0; i < 3; i++) {
    const minting = [...issuers, ...issuers, ...issuers].map((each) => each.mint(somebody));
    await issuer.rotateKey({ delay: 0 });
    for (const { token } of await Promise.all(minting)) tokens.push(token);
  }
  await expectGood(issuer, tokens);
});

test("a new key is published first, signs after the overlap, and the old one is published for maxLifetime and a day", async () => {
  const clock = takeOverClock();
  const issuer = await createIssuer({ maxLifetime: day });
  const [oldKid = ""] = await kidsOf(issuer);
  await issuer.rotateKey();
  const [, newKid = ""] = await kidsOf(issuer);
  expect(await kidsOf(issuer)).toEqual([oldKid, newKid]);
  clock.advance(minutes(10) - 1_000);
  expect(await signerOf(issuer)).toBe(oldKid);
  const { token } = await issuer.mint(somebody);
  clock.advance(1_000);
  expect(await signerOf(issuer)).toBe(newKid);
  clock.advance(day * 1_000 - 2_000);
  await expectGood(issuer, [token]);
  clock.advance(day * 1_000 + 1_000);
  expect(await kidsOf(issuer)).toEqual([oldKid, newKid]);
  clock.advance(1_000);
  expect(await kidsOf(issuer)).toEqual([newKid]);
});

test("a key that waits signs earlier where a shorter delay is asked for; a longer one changes nothing", async () => {
  const issuer = await createIssuer();
  await issuer.rotateKey();
  const [oldKid, newKid] = await kidsOf(issuer);
  await issuer.rotateKey({ delay: 3_600 });
  expect(await signerOf(issuer)).toBe(oldKid);
  await issuer.rotateKey({ delay: 0 });
  expect(await signerOf(issuer)).toBe(newKid);
  expect(await kidsOf(issuer)).toEqual([oldKid, newKid]);
  await issuer.rotateKey({ delay: 0 });
  expect(await kidsOf(issuer)).toHaveLength(3);
  await expect(issuer.rotateKey({ delay: -1 })).rejects.toThrow(/delay must be an integer/);
});

test("rotateEvery: mint and jwks rotate when it is time, however many processes there are", async () => {
  const clock = takeOverClock();
  const store = new TextStore();
  const issuers = await fleet(store, 3, { rotateEvery: 2 * day, maxLifetime: day });
  const [first = expect.fail()] = issuers;
  clock.advance((2 * day - 600) * 1_000 - 1_000);
  expect(await kidsOf(first)).toHaveLength(1);
  clock.advance(1_000);
  const [oldKid] = await kidsOf(first);
  await Promise.all(issuers.map((issuer) => issuer.mint(somebody)));
  expect(await kidsOf(first)).toHaveLength(2);
  expect(await signerOf(first)).toBe(oldKid);
  clock.advance(600_000);
  expect(await signerOf(first)).not.toBe(oldKid);
  expect(await kidsOf(first)).toHaveLength(2);
  clock.advance(2 * day * 1_000);
  expect(await kidsOf(first)).toHaveLength(2);
});

test("a rotation that fails while mint tries it costs no token", async () => {
  const clock = takeOverClock();
  const store = new TextStore();
  const issuer = await createIssuer({ store, rotateEvery: 2 * day, maxLifetime: day });
  clock.advance(3 * day * 1_000);
  store.before = (call) => {
    if (call === "compareAndSet") throw new Error("read-only");
  };
  await expectGood(issuer, [(await issuer.mint(somebody)).token]);
});

describe("withdrawKey", () => {
  test("of the key that signs: it is no longer published, and another one signs at once", async () => {
    const issuer = await createIssuer();
    const [leaked = ""] = await kidsOf(issuer);
    await issuer.withdrawKey(leaked);
    expect(await kidsOf(issuer)).toHaveLength(1);
    expect(await signerOf(issuer)).not.toBe(leaked);
    await expect(issuer.withdrawKey(leaked)).rejects.toThrow(/there is no such key; the keys are/);
  });

  test("while another key waits: that one signs, and no third is made", async () => {
    const issuer = await createIssuer();
    await issuer.rotateKey();
    const [leaked = "", waiting] = await kidsOf(issuer);
    await issuer.withdrawKey(leaked);
    expect(await kidsOf(issuer)).toEqual([waiting]);
    expect(await signerOf(issuer)).toBe(waiting);
  });

  test("by a process whose clock is behind: each key is there once, and the newest one has no end", async () => {
    const clock = takeOverClock();
    const store = new TextStore();
    const issuer = await createIssuer({ store, maxLifetime: 60 });
    await issuer.rotateKey({ delay: 0 });
    await issuer.rotateKey();
    const [first = "", second, waiting = ""] = await kidsOf(issuer);
    for (const [withdrawn, left] of [
      [first, [second, waiting]],
      [waiting, [second]],
    ] as const) {
      clock.advance(-60_000);
      await issuer.withdrawKey(withdrawn);
      clock.advance(60_000);
      expect(await kidsOf(issuer)).toEqual(left);
    }
    clock.advance(5 * day * 1_000);
    expect(await kidsOf(issuer)).toEqual([second]);
  });

  test("of the key that waits, or of a retired one: the signer stays", async () => {
    const clock = takeOverClock();
    const issuer = await createIssuer({ maxLifetime: 60 });
    await issuer.rotateKey({ delay: 0 });
    const [retired = "", signer] = await kidsOf(issuer);
    await issuer.rotateKey();
    const [, , waiting = ""] = await kidsOf(issuer);
    await issuer.withdrawKey(waiting);
    await issuer.withdrawKey(retired);
    clock.advance(3 * day * 1_000); // the signer would be retired by now, if a key waited for its place
    expect(await kidsOf(issuer)).toEqual([signer]);
  });

  test("by several processes at once leaves one new key", async () => {
    const store = new TextStore();
    const issuers = await fleet(store, 4);
    store.before = randomly;
    const [issuer = expect.fail()] = issuers;
    const [leaked = ""] = await kidsOf(issuer);
    await Promise.allSettled(issuers.map((each) => each.withdrawKey(leaked)));
    expect(await kidsOf(issuer)).toHaveLength(1);
    expect(await signerOf(issuer)).not.toBe(leaked);
  });
});

test("two names in one store have nothing in common", async () => {
  const store = new TextStore();
  const [one, two] = [await createIssuer({ store, name: "one" }), await createIssuer({ store, name: "two" })];
  expect(await kidsOf(one)).not.toEqual(await kidsOf(two));
  const { agentRuntimeId } = await one.mint(somebody);
  expect(await two.directory.findAgent(agentRuntimeId)).toBeUndefined();
  for (const name of store.entries.keys()) expect(name).toMatch(/^\{(one|two)\}:/);
});

test("given keys are all there are: they are not stored, not rotated and not withdrawn", async () => {
  const store = new TextStore();
  const signingKeys = [{ kid: "mine", privateKey: signingKey.privateKey }];
  const issuer = await createIssuer({ store, signingKeys });
  expect(await signerOf(issuer)).toBe("mine");
  expect([...store.entries.keys()].join()).not.toContain("signing-keys");
  await expect(issuer.rotateKey()).rejects.toThrow(/rotateKey: signingKeys were given/);
  await expect(issuer.withdrawKey("mine")).rejects.toThrow(/withdrawKey: signingKeys were given/);
});
