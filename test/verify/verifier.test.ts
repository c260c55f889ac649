import { createHmac, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { createVerifier, type VerifierOptions } from "../../src/index.js";
import { CODEX_ISSUER } from "../../src/protocol/claims.js";
import { claims, createSigningKey, mint, now, signingKey, signToken } from "../support/agents.js";
import { startBackend } from "../support/servers.js";

const base = "https://chatgpt.com/backend-api";
const keySet = { keys: [signingKey.jwk] };
const header = { alg: "RS256", kid: "key-1" };

/** The code of the refusal, or "accepted". */
async function verdict(token: string, options: VerifierOptions = { jwks: { keySet } }): Promise<unknown> {
  return createVerifier(base, options)
    .verify(token)
    .then(
      () => "accepted",
      (error: unknown) => (error as { code?: unknown }).code ?? error,
    );
}

test("a verified token becomes an identity: frozen, and without the private key", async () => {
  const token = mint({ iat: 1_700_000_000, exp: 4_000_000_000, extra: "ignored" });
  const identity = await createVerifier(base, { jwks: { keySet } }).verify(token);
  expect(identity).toEqual({
    agentRuntimeId: "agent-1",
    accountId: "acct-1",
    chatgptUserId: "user-1",
    email: "agent@example.com",
    planType: "pro",
    chatgptAccountIsFedramp: false,
    issuedAt: 1_700_000_000,
    expiresAt: 4_000_000_000,
  });
  expect(Object.isFrozen(identity)).toBe(true);
});

/** A token in parts, to be put together wrongly. */
const [h = "", p = "", s = ""] = mint().split(".");
const b64 = (text: string | Buffer) => Buffer.from(text).toString("base64url");
const last = (part: string, to: (code: number) => number) => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return part.slice(0, -1) + (alphabet[to(alphabet.indexOf(part.at(-1) ?? ""))] ?? "");
};

describe("1. shape", () => {
  test.each<[string, unknown]>([
    ["not a string", 7],
    ["nothing", undefined],
    ["empty", ""],
    ["a word", "hello"],
    ["two parts", `${h}.${p}`],
    ["four parts", `${h}.${p}.${s}.${s}`],
    ["five parts, as a JWE", `${h}.${p}.${s}.${s}.${s}`],
    ["an empty header", `.${p}.${s}`],
    ["an empty payload", `${h}..${s}`],
    ["an empty signature", `${h}.${p}.`],
    ["only dots", ".."],
    ["a padded header", `${b64('{"alg":"RS256"} ')}=.${p}.${s}`],
    ["a padded signature", `${h}.${p}.${s}==`],
    ["standard base64 in the signature", `${h}.${p}.+/${s.slice(2)}`],
    ["white space", `${h}.${p} .${s}`],
    ["a line break", `${h}.${p}.${s}\n`],
    ["a stray trailing bit in the signature", `${h}.${p}.${last(s, (code) => code ^ 1)}`],
    ["a stray trailing bit in the payload", signToken(header, claims()).replace(p, `${p}B`)],
    ["a length that base64url cannot have", `${h}.${p}.${s}AAA`],
    ["a header that is not JSON", `${b64("alg")}.${p}.${s}`],
    ["a header that is an array", signToken([header], claims())],
    ["a header that is null", signToken("null", claims())],
    ["a payload that is a string", signToken(header, '"claims"')],
    ["a payload that is an array", signToken(header, [claims()])],
    ["a payload that is null", signToken(header, "null")],
    ["text after the payload", signToken(header, `${JSON.stringify(claims())}x`)],
    ["a byte-order mark", signToken(header, `\ufeff${JSON.stringify(claims())}`)],
    ["a byte-order mark in the header", signToken(`\ufeff${JSON.stringify(header)}`, claims())],
    ["invalid UTF-8", `${h}.${b64(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))}.${s}`],
  ])("%s → token_malformed", async (_, token) => {
    expect(await verdict(token as string)).toBe("token_malformed");
  });

  test("16 KiB are the most", async () => {
    const fill = (length: number) => signToken(header, claims({ fill: "x".repeat(length) }));
    let length = 0;
    while (fill(length).length < 16 * 1024) length += 16 * 1024 - fill(length).length;
    while (fill(length).length > 16 * 1024) length--;
    expect(fill(length).length).toBeGreaterThan(16 * 1024 - 3);
    expect(await verdict(fill(length))).toBe("accepted");
    expect(await verdict(fill(length + 3))).toBe("token_malformed");
  });
});

describe("2. header", () => {
  const withAlg = (alg: unknown) => signToken({ alg, kid: "key-1" }, claims());
  const publicPem = createPublicKey(signingKey.privateKey).export({ format: "pem", type: "spki" });
  const hmac = (() => {
    const signed = `${b64('{"alg":"HS256","kid":"key-1"}')}.${p}`;
    return `${signed}.${createHmac("sha256", publicPem).update(signed).digest("base64url")}`;
  })();
  const pss = (() => {
    const signed = `${b64('{"alg":"PS256","kid":"key-1"}')}.${p}`;
    const key = { key: signingKey.privateKey, padding: 6, saltLength: 32 };
    return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
  })();

  test.each<[string, string]>([
    ["no alg", signToken({ kid: "key-1" }, claims())],
    ["none", withAlg("none")],
    ["HS256 with the public key as the secret", hmac],
    ["PS256 with the right key", pss],
    ["RS512", withAlg("RS512")],
    ["rs256", withAlg("rs256")],
    ["an array", withAlg(["RS256"])],
    ["null", withAlg(null)],
    ["no alg and no kid", signToken({}, claims())],
  ])("alg: %s → algorithm_not_allowed", async (_, token) => {
    expect(await verdict(token)).toBe("algorithm_not_allowed");
  });

  test.each<[string, Record<string, unknown>]>([
    ["no kid", { kid: undefined }],
    ["a null kid", { kid: null }],
    ["a number as kid", { kid: 1 }],
    ["an empty kid", { kid: "" }],
    ["a kid of 257 characters", { kid: "k".repeat(257) }],
    ["crit", { crit: ["exp"], exp: 1 }],
    ["an empty crit", { crit: [] }],
    ["a null crit", { crit: null }],
    ["b64: false", { b64: false }],
  ])("%s → token_malformed", async (_, members) => {
    expect(await verdict(signToken({ ...header, ...members }, claims()))).toBe("token_malformed");
  });

  test("a kid of 256 characters is looked up", async () => {
    const key = createSigningKey("k".repeat(256));
    expect(await verdict(mint({}, key), { jwks: { keySet: { keys: [key.jwk] } } })).toBe("accepted");
  });

  test.each<[string, Record<string, unknown>]>([
    ["typ", { typ: "something" }],
    ["b64: true", { b64: true }],
    ["jku", { jku: "https://evil.example/jwks" }],
    ["x5u", { x5u: "https://evil.example/x5u" }],
    ["jwk", { jwk: createSigningKey("key-1").jwk }],
    ["x5c", { x5c: ["AAAA"] }],
  ])("%s is not read", async (_, members) => {
    expect(await verdict(signToken({ ...header, ...members }, claims()))).toBe("accepted");
  });

  test("the attacker's key in jwk verifies nothing", async () => {
    const attacker = createSigningKey("key-1");
    const token = signToken({ ...header, jwk: attacker.jwk }, claims(), attacker);
    expect(await verdict(token)).toBe("signature_invalid");
  });
});

describe("3. claims", () => {
  test.each<[string, string, unknown]>([
    ["iss", "issuer_invalid", undefined],
    ["iss", "issuer_invalid", null],
    ["iss", "issuer_invalid", base],
    ["iss", "issuer_invalid", `${CODEX_ISSUER}/`],
    ["iss", "issuer_invalid", [CODEX_ISSUER]],
    ["aud", "audience_invalid", undefined],
    ["aud", "audience_invalid", "codex"],
    ["aud", "audience_invalid", ["codex-app-server"]],
    ["aud", "audience_invalid", 1],
    ...["iat", "exp"].flatMap((name): [string, string, unknown][] =>
      [undefined, null, "1700000000", true, -1, 1.5, 2 ** 53, [1], {}].map((value) => [name, "claims_invalid", value]),
    ),
    ...[null, "1", -1, 1.5, 2 ** 53].map((value): [string, string, unknown] => ["nbf", "claims_invalid", value]),
    ...["agent_runtime_id", "account_id", "chatgpt_user_id"].flatMap((name): [string, string, unknown][] =>
      [undefined, null, "", 1, ["x"]].map((value) => [name, "claims_invalid", value]),
    ),
    ...["agent_private_key", "plan_type"].flatMap((name): [string, string, unknown][] =>
      [undefined, null, 1, {}].map((value) => [name, "claims_invalid", value]),
    ),
    ["sub", "claims_invalid", ["x"]],
    ["sub", "claims_invalid", {}],
    ["email", "claims_invalid", 1],
    ["email", "claims_invalid", ["agent@example.com"]],
    ...[undefined, null, "false", 0].map((value): [string, string, unknown] => [
      "chatgpt_account_is_fedramp",
      "claims_invalid",
      value,
    ]),
  ])("%s → %s for %j", async (name, code, value) => {
    expect(await verdict(mint({ [name]: value }))).toBe(code);
  });

  test.each<[string, unknown]>([
    ["iat", now() + 86_400],
    ["iat", 0],
    ["exp", 2 ** 53 - 1],
    ["nbf", undefined],
    ["nbf", 0],
    ["sub", 1],
    ["sub", null],
    ["email", undefined],
    ["email", null],
    ["email", ""],
    ["agent_private_key", ""],
    ["agent_private_key", "not base64"],
    ["agent_runtime_id", "a:b/c"],
    ["plan_type", ""],
    ["chatgpt_account_is_fedramp", true],
    ["__proto__", { iss: "x" }],
  ])("%s may be %j", async (name, value) => {
    expect(await verdict(signToken(header, JSON.stringify(claims({ [name]: value }))))).toBe("accepted");
  });

  test.each([
    ["hc", "enterprise"],
    ["education", "edu"],
    ["enterprise", "enterprise"],
    ["constructor", "constructor"],
    ["a-plan-of-next-year", "a-plan-of-next-year"],
  ])("plan type %s is %s", async (claimed, planType) => {
    const verifier = createVerifier(base, { jwks: { keySet } });
    expect(await verifier.verify(mint({ plan_type: claimed }))).toMatchObject({ planType });
  });

  test("an absent or null email is null", async () => {
    const verifier = createVerifier(base, { jwks: { keySet } });
    expect(await verifier.verify(mint({ email: undefined }))).toMatchObject({ email: null });
    expect(await verifier.verify(mint({ email: null }))).toMatchObject({ email: null });
  });

  // Two seconds to each side, so that a slow machine cannot tip the scales.
  test.each<[string, Record<string, unknown>, number | undefined, string]>([
    ["exp, just within 60 s", { exp: -57 }, undefined, "accepted"],
    ["exp, just past 60 s", { exp: -60 }, undefined, "token_expired"],
    ["exp, none left", { exp: 0 }, 0, "token_expired"],
    ["exp, just enough", { exp: 3 }, 0, "accepted"],
    ["exp, just within 300 s", { exp: -297 }, 300, "accepted"],
    ["exp, just past 300 s", { exp: -300 }, 300, "token_expired"],
    ["nbf, just within 60 s", { nbf: 60 }, undefined, "accepted"],
    ["nbf, just past 60 s", { nbf: 63 }, undefined, "token_not_yet_valid"],
    ["nbf, now", { nbf: 0 }, 0, "accepted"],
    ["nbf, not yet", { nbf: 3 }, 0, "token_not_yet_valid"],
  ])("%s", async (_, offsets, clockTolerance, expected) => {
    const at = now();
    const times = Object.fromEntries(Object.entries(offsets).map(([name, offset]) => [name, at + Number(offset)]));
    expect(await verdict(mint(times), { jwks: { keySet }, clockTolerance })).toBe(expected);
  });

  test("issuer and audience can be another backend's", async () => {
    const options = { jwks: { keySet }, issuer: "https://gw.example", audience: "gateway" };
    expect(await verdict(mint({ iss: "https://gw.example", aud: "gateway" }), options)).toBe("accepted");
    expect(await verdict(mint({ aud: "gateway" }), options)).toBe("issuer_invalid");
    expect(await verdict(mint({ iss: "https://gw.example" }), options)).toBe("audience_invalid");
  });
});

describe("the first failure decides", () => {
  const stranger = createSigningKey("stranger");
  test.each<[string, string]>([
    ["token_malformed", signToken({ alg: "RS256" }, claims({ iss: "x" }))],
    ["algorithm_not_allowed", signToken({ alg: "none", crit: [] }, claims({ iss: "x" }))],
    ["issuer_invalid", mint({ iss: "x", aud: "x", exp: "x" }, stranger)],
    ["audience_invalid", mint({ aud: "x", exp: "x", iat: "x" }, stranger)],
    ["claims_invalid", mint({ exp: 1, email: 1 }, stranger)],
    ["claims_invalid", mint({ exp: 1, nbf: "x" }, stranger)],
    ["token_expired", mint({ exp: 1, nbf: 4_000_000_000 }, stranger)],
    ["token_not_yet_valid", mint({ nbf: 4_000_000_000 }, stranger)],
    ["key_untrusted", mint({}, stranger)],
    ["signature_invalid", mint({}, { ...stranger, kid: "key-1" })],
  ])("%s", async (code, token) => {
    expect(await verdict(token)).toBe(code);
  });

  test("no key is fetched for a token that its own unverified parts condemn", async () => {
    const backend = await startBackend();
    const verifier = createVerifier(backend.baseUrl, { jwks: {} });
    for (const token of [
      "x",
      signToken({ alg: "none", kid: "k" }, claims()),
      signToken({ alg: "RS256" }, claims()),
      mint({ iss: "x" }),
      mint({ aud: "x" }),
      mint({ email: 1 }),
      mint({ exp: 1 }),
      mint({ nbf: 4_000_000_000 }),
    ]) {
      await expect(verifier.verify(token)).rejects.toMatchObject({ status: 401 });
    }
    expect(backend.fetches).toBe(0);
  });
});

describe("4. key", () => {
  const { jwk } = signingKey;
  const other = createSigningKey("key-1").jwk;
  const weak = createSigningKey("key-1", 1024);
  const spare = createSigningKey("spare").jwk;
  const withLeadingZero = (text: unknown) =>
    Buffer.concat([Buffer.alloc(1), Buffer.from(String(text), "base64url")]).toString("base64url");
  const elliptic = exportJwk(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);

  test.each<[string, unknown[]]>([
    ["alone", [jwk]],
    ["without use, alg and key_ops", [{ ...jwk, use: undefined, alg: undefined }]],
    ["with use, alg and key_ops of null", [{ ...jwk, use: null, alg: null, key_ops: null }]],
    ["with key_ops", [{ ...jwk, key_ops: ["sign", "verify"] }]],
    ["with private members", [{ ...exportJwk(signingKey.privateKey), kid: "key-1" }]],
    ["first of two with its kid", [jwk, other]],
    ["beside bad entries", [null, "key", 7, [], {}, { kid: 1 }, { kid: "x", kty: "AKP" }, jwk]],
    ["beside other kinds of key", [{ ...elliptic, kid: "key-2" }, { kty: "oct", k: "AAAA", kid: "key-3" }, jwk]],
  ])("usable: %s", async (_, keys) => {
    expect(await verdict(mint(), { jwks: { keySet: { keys: keys as object[] } } })).toBe("accepted");
  });

  test.each<[string, unknown[]]>([
    ["missing", []],
    ["of another kid", [{ ...jwk, kid: "KEY-1" }]],
    ["without a kid", [{ ...jwk, kid: undefined }]],
    ["for encryption", [{ ...jwk, use: "enc" }]],
    ["for another algorithm", [{ ...jwk, alg: "RS512" }]],
    ["for signing only", [{ ...jwk, key_ops: ["sign"] }]],
    ["for no operation", [{ ...jwk, key_ops: [] }]],
    ["with key_ops that are not all strings", [{ ...jwk, key_ops: ["verify", 1] }]],
    ["with key_ops that is no array", [{ ...jwk, key_ops: "verify" }]],
    ["of another type", [{ ...elliptic, kid: "key-1" }]],
    ["of another type, with the members of an RSA key", [{ ...jwk, kty: "EC" }]],
    ["with a number as modulus", [{ ...jwk, n: 7 }]],
    ["without an exponent", [{ ...jwk, e: undefined }]],
    ["with a modulus that is not base64url", [{ ...jwk, n: "+".repeat(342) }]],
    ["with an empty modulus", [{ ...jwk, n: "" }]],
    ["with a leading zero in the modulus", [{ ...jwk, n: withLeadingZero(jwk["n"]) }]],
    ["with a leading zero in the exponent", [{ ...jwk, e: withLeadingZero(jwk["e"]) }]],
    ["with padding in the modulus", [{ ...jwk, n: `${String(jwk["n"])}=` }]],
    ["with an exponent of 1", [{ ...jwk, e: "AQ" }]],
    ["with an even exponent", [{ ...jwk, e: "AQAA" }]],
    ["with an exponent over 2^33", [{ ...jwk, e: "AgAAAAE" }]],
    ["of 8200 bits", [{ ...jwk, n: Buffer.alloc(1025, 0xff).toString("base64url") }]],
    ["second, after one that is not usable", [{ ...jwk, use: "enc" }, jwk]],
  ])("not usable: %s", async (_, keys) => {
    const options = { jwks: { keySet: { keys: [...(keys as object[]), spare] } } };
    expect(await verdict(mint(), options)).toBe("key_untrusted");
  });

  test("not usable: of 1024 bits", async () => {
    expect(await verdict(mint({}, weak), { jwks: { keySet: { keys: [weak.jwk, spare] } } })).toBe("key_untrusted");
  });
});

describe("5. signature", () => {
  test.each<[string, string]>([
    ["of another key", mint({}, { ...createSigningKey("x"), kid: "key-1" })],
    ["of another payload", `${h}.${b64(JSON.stringify(claims({ account_id: "acct-2" })))}.${s}`],
    ["of another header", `${b64('{"alg":"RS256","kid":"key-1","x":1}')}.${p}.${s}`],
    ["cut short", `${h}.${p}.${Buffer.from(s, "base64url").subarray(1).toString("base64url")}`],
    ["of one byte", `${h}.${p}.AA`],
    ["with one bit flipped", `${h}.${p}.${last(s, (code) => code ^ 16)}`],
    [
      "made with SHA-512",
      `${h}.${p}.${sign("sha512", Buffer.from(`${h}.${p}`), signingKey.privateKey).toString("base64url")}`,
    ],
  ])("%s → signature_invalid", async (_, token) => {
    expect(await verdict(token)).toBe("signature_invalid");
  });
});

test("verify is always a promise, also for a token it remembers or refuses at sight", async () => {
  const verifier = createVerifier(base, { jwks: { keySet } });
  const token = mint();
  await verifier.verify(token);
  expect(verifier.verify(token)).toBeInstanceOf(Promise);
  const refused = verifier.verify("x");
  expect(refused).toBeInstanceOf(Promise);
  await expect(refused).rejects.toMatchObject({ code: "token_malformed" });
});

test("a dead endpoint is 503 and not 401, and says when to try again", async () => {
  const backend = await startBackend();
  backend.answer = (_req, res) => res.writeHead(500).end();
  const verifier = createVerifier(backend.baseUrl, { jwks: {} });
  await expect(verifier.verify(mint())).rejects.toMatchObject({
    code: "keys_unavailable",
    status: 503,
    expose: true,
    headers: { "Retry-After": expect.stringMatching(/^[12]$/) as string },
  });
});
