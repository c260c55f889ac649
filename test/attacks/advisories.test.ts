/**
 * The classes behind published advisories of JWT, JWS and JWKS packages: in each row an attack that the package let in.
 * None of them is an advisory of this package.
 */

import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { CompactEncrypt } from "jose";
import { describe, expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { claims, createSigningKey, mint, signingKey } from "../support/agents.js";
import { base64url, forge, hmac, rsa, type Signer } from "./forged-token.js";
import { PUBLIC_SECRETS } from "./public-secrets.js";
import { padded, sealed, sha256, SHA256_DIGEST_INFO } from "./rsa-block.js";
import { bearer, startTarget, type Verdict } from "./target.js";

const publicKey = createPublicKey(signingKey.privateKey);
const attacker = createSigningKey("attacker");
const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
const keys = [signingKey.jwk, { ...exportJwk(elliptic), kid: "ec-1", use: "sig" }];

const header = { alg: "RS256", kid: "key-1" };
const good = mint();
const [head = "", payload = "", signature = ""] = good.split(".");
/** The claims that an attacker would like to have. */
const wanted = claims({ account_id: "acct-2", agent_runtime_id: "admin" });
const wantedPart = base64url(JSON.stringify(wanted));

type Token = () => string | Promise<string>;

/** HMAC, with the public key in some form as the secret. */
const hs =
  (secret: keyof typeof PUBLIC_SECRETS, bits = 256): Token =>
  () =>
    forge({ alg: `HS${bits}`, kid: "key-1" }, wanted, hmac(`sha${bits}`, PUBLIC_SECRETS[secret]));
const hsElliptic =
  (secret: string | Buffer): Token =>
  () =>
    forge({ alg: "HS256", kid: "ec-1" }, wanted, hmac("sha256", secret));
/** With a signature of so many zeros. */
const zeros =
  (members: object, length: number): Token =>
  () =>
    forge(members, wanted, () => Buffer.alloc(length));
/** Signed by the attacker. */
const theirs =
  (members: object): Token =>
  () =>
    forge(members, wanted, rsa("sha256", attacker.privateKey));
/** Signed by the backend, with a block that is put together wrongly. */
const block =
  (build: (message: Buffer) => Buffer): Token =>
  () =>
    forge(header, wanted, sealed(build));
/** Signed by the attacker, with the key that the header holds. */
const withJwk = (kid: string): Token => theirs({ alg: "RS256", kid, jwk: attacker.jwk });
/** Signed by the backend, with an extension that has to be understood. */
const critical =
  (name: string): Token =>
  () =>
    forge({ ...header, crit: [name], [name]: {} }, claims());
/** A JWE; its header is replaced where `claimed` is given. */
const encrypted =
  (text: string, members: object, key: KeyObject | Uint8Array, claimed?: object): Token =>
  async () => {
    const jwe = await new CompactEncrypt(Buffer.from(text))
      .setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM", ...members })
      .encrypt(key);
    return claimed ? jwe.replace(/^[^.]+/, base64url(JSON.stringify(claimed))) : jwe;
  };

const afterDigest = (behind: Buffer): Signer => {
  return (message) => padded(Buffer.concat([SHA256_DIGEST_INFO, sha256(message), behind]));
};
/** Eight bytes of padding, the digest, and then only this. */
const shortPadding = (fill: number): Signer => {
  return (message) => {
    const start = [Buffer.from("0001ffffffffffffffff00", "hex"), SHA256_DIGEST_INFO, sha256(message)];
    return Buffer.concat([...start, Buffer.alloc(256, fill)]).subarray(0, 256);
  };
};
/** A digest's parameters that hold ten bytes of garbage. */
const LONG_DIGEST_INFO = Buffer.from(`303b30170609608648016503040201040a${"5a".repeat(10)}0420`, "hex");
const longParameters: Signer = (message) => padded(Buffer.concat([LONG_DIGEST_INFO, sha256(message)]));

const none = { alg: "none", kid: "key-1" };
const unsigned = forge({ alg: "none" }, wanted, () => Buffer.alloc(0));
const nested = encrypted(unsigned, { cty: "JWT" }, publicKey);
const garbage = Buffer.alloc(8, 0x5a);
const issuers = ["https://evil.example", wanted.iss];
const pbes2 = { alg: "PBES2-HS256+A128KW", enc: "A256GCM", p2c: 2_147_483_647, p2s: "AAAAAAAAAAA" };
const compressed = { alg: "RSA-OAEP-256", enc: "A256GCM", zip: "DEF" };
const json = `{"  ${head}.${wantedPart}.":"","protected":"${head}","payload":"${payload}","signature":"${signature}"}`;
const twoSignatures = JSON.stringify({
  payload: wantedPart,
  signatures: [
    { protected: base64url('{"alg":"none"}'), signature: "" },
    { protected: head, signature },
  ],
});
const skipped = `${head}.${payload}.${signature.slice(0, 9)}\\1${signature.slice(9)}`;
const beginning = `${head}.${payload}.${signature.slice(0, 4)}`;
const der = elliptic.export({ format: "der", type: "spki" });
const pem = elliptic.export({ format: "pem", type: "spki" });

type Row = [cve: string, where: string, attack: string, token: Token, code: Verdict];

const CLASSES: Record<string, Row[]> = {
  "an HMAC with what is public": [
    ["CVE-2015-9235", "jsonwebtoken", "the public key", hs("SPKI PEM"), "algorithm_not_allowed"],
    ["CVE-2016-5431", "gree/jose", "the public key", hs("SPKI DER"), "algorithm_not_allowed"],
    ["CVE-2016-10555", "jwt-simple", "as the header says", hs("SPKI PEM", 512), "algorithm_not_allowed"],
    ["CVE-2017-11424", "PyJWT", "a PEM of another name", hs("PKCS#1 PEM"), "algorithm_not_allowed"],
    ["CVE-2020-15084", "express-jwt", "a key of the set", hs("the JWK as it is served"), "algorithm_not_allowed"],
    ["CVE-2022-23541", "jsonwebtoken", "what the kid leads to", hs("SPKI PEM", 384), "algorithm_not_allowed"],
    ["CVE-2022-29217", "PyJWT", "a key of OpenSSH", hs("OpenSSH"), "algorithm_not_allowed"],
    ["CVE-2023-48223", "fast-jwt", "a PEM that no pattern finds", hs("PKCS#1 PEM"), "algorithm_not_allowed"],
    ["CVE-2023-48238", "json-web-token", "as the header says", hs("SPKI PEM"), "algorithm_not_allowed"],
    ["CVE-2024-33663", "python-jose", "an elliptic key", hsElliptic(der), "algorithm_not_allowed"],
    ["CVE-2024-37568", "Authlib", "any public key", hsElliptic(pem), "algorithm_not_allowed"],
    ["CVE-2024-54150", "cjwt", "the public key", hs("SPKI PEM"), "algorithm_not_allowed"],
    ["CVE-2026-34950", "fast-jwt", "space before a PEM", hs("SPKI PEM with a line before it"), "algorithm_not_allowed"],
  ],
  "no signature": [
    ["CVE-2015-2951", "JWT.php", "alg none", () => unsigned, "token_malformed"],
    ["CVE-2020-15957", "dp3t-sdk-backend", "alg none, a known kid", zeros(none, 0), "token_malformed"],
    ["CVE-2020-28042", "ServiceStack", "compared up to its length", () => `${head}.${payload}.`, "token_malformed"],
    ["CVE-2020-28042", "ServiceStack", "its first bytes", () => beginning, "signature_invalid"],
    ["CVE-2022-21449", "Java", "zeros, as ES256", zeros({ alg: "ES256", kid: "ec-1" }, 64), "algorithm_not_allowed"],
    ["CVE-2022-21449", "Java", "zeros, as RS256", zeros(header, 256), "signature_invalid"],
    ["CVE-2022-23540", "jsonwebtoken", "alg none, no key", zeros({ ...none, kid: "x" }, 1), "algorithm_not_allowed"],
    ["CVE-2026-29000", "pac4j-jwt", "alg none, encrypted", nested, "token_malformed"],
  ],
  "a signature of somebody else": [
    ["CVE-2016-9122", "go-jose", "a good one beside it", () => twoSignatures, "request_malformed"],
    ["CVE-2018-0114", "node-jose", "the key in the header", withJwk("key-1"), "signature_invalid"],
    ["CVE-2022-23539", "jsonwebtoken", "a key of another type", theirs({ ...header, kid: "ec-1" }), "key_untrusted"],
    ["CVE-2022-39227", "python-jwt", "JSON that reads as compact", () => json, "request_malformed"],
    ["CVE-2026-34240", "jose (Dart)", "the key in the header", withJwk("x"), "key_untrusted"],
    ["CVE-2026-35039", "fast-jwt", "claims that collide in a cache", theirs(header), "signature_invalid"],
  ],
  "a signature in another form": [
    ["CVE-2006-4339", "OpenSSL", "short padding, garbage behind", block(shortPadding(0x5a)), "signature_invalid"],
    ["CVE-2021-30246", "jsrsasign", "short padding, zeros behind", block(shortPadding(0)), "signature_invalid"],
    ["CVE-2022-24771", "node-forge", "garbage as parameters", block(longParameters), "signature_invalid"],
    ["CVE-2022-24772", "node-forge", "garbage behind the digest", block(afterDigest(garbage)), "signature_invalid"],
    ["CVE-2022-25898", "jsrsasign", "characters that are skipped", () => skipped, "request_malformed"],
    ["CVE-2022-25898", "jsrsasign", "one of the header's grammar", () => `${good}~`, "token_malformed"],
  ],
  "a good signature, of what is not for here": [
    ["CVE-2020-26160", "jwt-go", "no audience in a list", () => mint({ aud: [] }), "audience_invalid"],
    ["CVE-2020-26160", "jwt-go", "a list of audiences", () => mint({ aud: [wanted.aud] }), "audience_invalid"],
    ["CVE-2024-5798", "Vault", "no audience", () => mint({ aud: undefined }), "audience_invalid"],
    ["CVE-2025-30144", "fast-jwt", "a list of issuers", () => mint({ iss: issuers }), "issuer_invalid"],
    ["CVE-2025-59420", "Authlib", "crit, unknown", critical("x"), "token_malformed"],
    ["CVE-2026-32597", "PyJWT", "crit, binding", critical("cnf"), "token_malformed"],
  ],
  "what is costly to look at": [
    ["CVE-2022-36083", "jose", "rounds of PBKDF2", encrypted("x", {}, publicKey, pbes2), "token_malformed"],
    ["CVE-2022-36083", "jose", "rounds of PBKDF2, in three parts", () => forge(pbes2, wanted), "algorithm_not_allowed"],
    ["CVE-2024-28176", "jose", "a compressed text", encrypted("x", {}, publicKey, compressed), "token_malformed"],
    ["CVE-2025-27144", "go-jose", "very many dots", () => ".".repeat(15_000), "token_malformed"],
    ["CVE-2025-30204", "golang-jwt", "very many dots, behind", () => good + ".".repeat(14_000), "token_malformed"],
  ],
};

describe.each(Object.entries(CLASSES))("%s", (_, rows) => {
  test.each(rows)("%s (%s): %s", async (_cve, _where, _attack, token, code) => {
    const target = await startTarget(keys);
    // With a good token remembered, which is when a cache could give something away.
    expect(await target.verdict(bearer(good))).toBe("accepted");
    const attack = await token();
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(attack))).toBe(code);
  });
});
