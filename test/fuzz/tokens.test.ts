/** Whatever is done to a token, the verifier says what the contract says of it, and nothing of the token. */

import { createPublicKey, sign } from "node:crypto";
import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { claims, createSigningKey, mint, now, signingKey, signToken } from "../support/agents.js";
import { fuzz } from "./budget.js";
import { mutated, tokenOfLength } from "./token-mutations.js";
import { expectSameVerdict, type ListedKey } from "./token-oracle.js";
import { integer, json, nextMonth, secondsFromNow, text } from "./values.js";

const secondKey = createSigningKey("key-2");

/** The key set, in its order: one key that is not for signing, ids that are taken, and ids of every length. */
const ENTRIES: [kid: string, key: typeof signingKey, members?: object][] = [
  ["key-1", signingKey],
  ["key-2", secondKey],
  ["enc", signingKey, { use: "enc" }],
  ["enc", signingKey],
  ["key-1", secondKey],
  ...[0, 1, 255, 256, 257].map((length): [string, typeof signingKey] => ["k".repeat(length), signingKey]),
];
const keys: ListedKey[] = ENTRIES.map(([kid, { privateKey }, members]) => ({
  kid,
  publicKey: createPublicKey(privateKey),
  usable: members === undefined,
}));
const keySet = { keys: ENTRIES.map(([kid, { jwk }, members]) => ({ ...jwk, kid, ...members })) };
const verifier = createVerifier("https://gw.example", { jwks: { keySet } });

const minted = [
  mint({ exp: nextMonth }),
  mint({ exp: nextMonth, email: null, plan_type: "hc" }),
  mint({ exp: nextMonth, account_id: "acct-2" }),
];
const longest = [16_383, 16_384, 16_385].map(tokenOfLength);
const ofOtherKey = mint({ exp: nextMonth, account_id: "acct-3" }, secondKey);
const expired = mint({ exp: now() - 3_600 });

test("a token that was changed without the key is never accepted", async () => {
  const good = [...minted, ofOtherKey];
  const tokens = fc.oneof(
    { weight: 40, arbitrary: mutated(fc.constantFrom(...good, expired)) },
    { weight: 1, arbitrary: mutated(fc.constantFrom(...longest)) },
  );
  const known = new Set([...good, ...longest]);
  const shares = { accepted: 0.1, token_malformed: 0.1, signature_invalid: 0.05 };
  await fuzz({ runs: 300, shares }, tokens, async (token) => {
    const verdict = await expectSameVerdict(verifier, token, keys);
    if (verdict === "accepted") expect(known).toContain(token);
    return verdict;
  });
});

/** Signs what is there, however it is spelt. */
function signAgain(token: string): string {
  const signed = token.split(".").slice(0, 2).join(".");
  return `${signed}.${sign("sha256", Buffer.from(signed), signingKey.privateKey).toString("base64url")}`;
}

type Edit = [name: string, value: unknown];

/** `undefined` leaves the member out. */
const set = (names: readonly string[], ...values: Arbitrary<unknown>[]): Arbitrary<Edit> =>
  fc.tuple(fc.constantFrom(...names), fc.oneof(...values));

const kids = fc.constantFrom(...ENTRIES.map(([kid]) => kid), "Key-1", "stranger", "Stranger", "key-1 ", undefined);
const headerEdit = fc.oneof(
  { weight: 3, arbitrary: set(["kid"], kids) },
  { weight: 1, arbitrary: set(["kid"], json) },
  { weight: 1, arbitrary: set(["alg"], fc.constantFrom("none", "HS256", "RS512", "PS256", "rs256", undefined), json) },
  { weight: 1, arbitrary: set(["crit", "b64"], fc.constantFrom(true, false, ["b64"], undefined), json) },
  { weight: 1, arbitrary: set(["typ", "cty", "jku", "jwk", "x5u", "x5c", "zip", "Kid", "__proto__"], json) },
);

const CLAIMS = Object.keys(claims());
const aroundTheEnds = secondsFromNow(-86_400, -60, -60, 0, 60, 60, 86_400);
const claimEdit = fc.oneof(
  { weight: 1, arbitrary: set(["iss"], fc.constantFrom(`${claims().iss}/`, [claims().iss], undefined), json) },
  { weight: 1, arbitrary: set(["aud"], fc.constantFrom(claims().aud.toUpperCase(), [claims().aud], undefined), json) },
  { weight: 1, arbitrary: set(CLAIMS, json, fc.constant(undefined)) },
  { weight: 3, arbitrary: set(["exp"], aroundTheEnds) },
  { weight: 3, arbitrary: set(["nbf"], aroundTheEnds) },
  { weight: 1, arbitrary: set(["exp", "nbf", "iat"], integer) },
  { weight: 1, arbitrary: set(["plan_type"], fc.constantFrom("hc", "education", "edu", "", "toString"), text) },
  { weight: 1, arbitrary: set(["email", "sub"], fc.constant(null), text) },
  { weight: 1, arbitrary: set(["agent_runtime_id", "account_id", "chatgpt_user_id"], text) },
  { weight: 1, arbitrary: set(["jti", "scope", "__proto__", "constructor", ""], json) },
);

/** None in so many of ten cases. */
const few = (edit: Arbitrary<Edit>, none: number): Arbitrary<Edit[]> =>
  fc.oneof(
    { weight: none, arbitrary: fc.constant<Edit[]>([]) },
    { weight: 10 - none, arbitrary: fc.array(edit, { minLength: 1, maxLength: 2 }) },
  );

const edited: Arbitrary<string> = fc
  .tuple(
    few(headerEdit, 6),
    few(claimEdit, 2),
    fc.constantFrom(...Array<typeof signingKey>(9).fill(signingKey), secondKey),
  )
  .map(([headerEdits, claimEdits, signer]) =>
    signToken(
      Object.fromEntries([["alg", "RS256"], ["kid", "key-1"], ...headerEdits]),
      Object.fromEntries([...Object.entries(claims()), ...claimEdits]),
      signer,
    ),
  );

test("a token that its issuer has signed is judged by the contract, whatever is in it", async () => {
  const tokens = fc.oneof(
    { weight: 40, arbitrary: edited },
    { weight: 10, arbitrary: mutated(fc.constantFrom(...minted)).map(signAgain) },
    { weight: 1, arbitrary: fc.constantFrom(...longest) },
  );
  const shares = {
    accepted: 0.2,
    token_malformed: 0.05,
    algorithm_not_allowed: 0.02,
    issuer_invalid: 0.02,
    audience_invalid: 0.02,
    claims_invalid: 0.02,
    token_expired: 0.015,
    token_not_yet_valid: 0.015,
    key_untrusted: 0.015,
    signature_invalid: 0.015,
  };
  await fuzz({ runs: 400, shares }, tokens, (token) => expectSameVerdict(verifier, token, keys));
});

test("what is no token at all is malformed", async () => {
  const values = fc.oneof(
    fc.anything(),
    text,
    fc.array(text).map((parts) => parts.join(".")),
    fc.json(),
  );
  await fuzz({ runs: 200, shares: { token_malformed: 1 } }, values, (value) =>
    expectSameVerdict(verifier, value, keys),
  );
});
