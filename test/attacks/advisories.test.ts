/**
 * The classes behind published advisories of JWT, JWS and JWKS packages. Each row is an attack that such a package let
 * in; the number says where the class is described. None of them is an advisory of this package.
 */

import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { CompactEncrypt } from "jose";
import { describe, expect, test } from "vitest";
import { claims, createSigningKey, mint, signingKey } from "../support/agents.js";
import { base64url, forge, hmac, join, rsa, type Signer } from "./forged-token.js";
import { PUBLIC_SECRETS } from "./public-secrets.js";
import { padded, sealed, sha256, SHA256_DIGEST_INFO } from "./rsa-block.js";
import { bearer, startTarget, type Verdict } from "./target.js";

const publicKey = createPublicKey(signingKey.privateKey);
const attacker = createSigningKey("attacker");
const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ellipticJwk = { ...elliptic.publicKey.export({ format: "jwk" }), kid: "ec-1", use: "sig" };
const keys = [signingKey.jwk, ellipticJwk];

const header = { alg: "RS256", kid: "key-1" };
const good = mint();
const [headerPart = "", payloadPart = "", signaturePart = ""] = good.split(".");
const signature = Buffer.from(signaturePart, "base64url");
/** The claims that an attacker would like to have. */
const wanted = () => claims({ account_id: "acct-2", agent_runtime_id: "admin" });
const withSecret = (bits: 256 | 384 | 512, secret: string | Buffer, kid = "key-1") =>
  forge({ alg: `HS${bits}`, kid }, wanted(), hmac(`sha${bits}`, secret));
const encrypt = (text: string, members: object, key: KeyObject | Uint8Array) =>
  new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM", ...members })
    .setKeyManagementParameters({ p2c: 1 })
    .encrypt(key);
/** A block whose padding is short, with `behind` after the digest. */
const shortPadding = (behind: (room: number) => Buffer): Signer =>
  sealed((message) => {
    const start = Buffer.concat([Buffer.from("0001ffffffffffffffff00", "hex"), SHA256_DIGEST_INFO, sha256(message)]);
    return Buffer.concat([start, behind(256 - start.length)]);
  });

type Row = [cve: string, where: string, attack: string, token: () => string | Promise<string>, code: Verdict];

const SIGNED_WITH_WHAT_IS_PUBLIC: Row[] = [
  [
    "CVE-2015-9235",
    "jsonwebtoken",
    "HS256, with the public key",
    () => withSecret(256, PUBLIC_SECRETS["SPKI PEM"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2016-10555",
    "jwt-simple",
    "the header's algorithm is taken",
    () => withSecret(512, PUBLIC_SECRETS["SPKI PEM"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2016-5431",
    "gree/jose",
    "HS256, with the public key",
    () => withSecret(256, PUBLIC_SECRETS["SPKI DER"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2017-11424",
    "PyJWT",
    "HS256, with a PEM of another name",
    () => withSecret(256, PUBLIC_SECRETS["PKCS#1 PEM"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2020-15084",
    "express-jwt",
    "algorithms are not enforced, with a JWKS",
    () => withSecret(256, PUBLIC_SECRETS["the JWK as it is served"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2022-23541",
    "jsonwebtoken",
    "a key that is looked up by kid, as a secret",
    () => withSecret(384, PUBLIC_SECRETS["SPKI PEM"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2022-29217",
    "PyJWT",
    "HS256, with a key in OpenSSH's form",
    () => withSecret(256, PUBLIC_SECRETS.OpenSSH),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2023-48223",
    "fast-jwt",
    "HS256, with a PEM that a pattern misses",
    () => withSecret(256, PUBLIC_SECRETS["PKCS#1 PEM without the final newline"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2023-48238",
    "json-web-token",
    "the header's algorithm is taken",
    () => withSecret(256, PUBLIC_SECRETS["SPKI PEM without the final newline"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2024-33663",
    "python-jose",
    "HS256, with an elliptic key in another form",
    () => withSecret(256, elliptic.publicKey.export({ format: "der", type: "spki" }), "ec-1"),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2024-37568",
    "Authlib",
    "HS256, with any public key",
    () => withSecret(256, elliptic.publicKey.export({ format: "pem", type: "spki" }), "ec-1"),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2024-54150",
    "cjwt",
    "HS256, with the public key",
    () => withSecret(256, PUBLIC_SECRETS["SPKI PEM"]),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2026-34950",
    "fast-jwt",
    "HS256, with white space before the PEM",
    () => withSecret(256, PUBLIC_SECRETS["SPKI PEM with a line before it"]),
    "algorithm_not_allowed",
  ],
];

const NOT_SIGNED: Row[] = [
  [
    "CVE-2015-2951",
    "JWT.php",
    "alg none",
    () => forge({ alg: "none" }, wanted(), () => Buffer.alloc(0)),
    "token_malformed",
  ],
  [
    "CVE-2020-15957",
    "dp3t-sdk-backend",
    "alg none, where a key is configured",
    () => forge({ alg: "none", kid: "key-1" }, wanted(), () => Buffer.alloc(0)),
    "token_malformed",
  ],
  [
    "CVE-2022-23540",
    "jsonwebtoken",
    "alg none, where no key is found",
    () => forge({ alg: "none", kid: "unknown" }, wanted(), () => Buffer.alloc(1)),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2020-28042",
    "ServiceStack",
    "an empty signature is compared to its length",
    () => `${headerPart}.${payloadPart}.`,
    "token_malformed",
  ],
  [
    "CVE-2020-28042",
    "ServiceStack",
    "the beginning of a signature",
    () => `${headerPart}.${payloadPart}.${base64url(signature.subarray(0, 3))}`,
    "signature_invalid",
  ],
  [
    "CVE-2022-21449",
    "Java",
    "an ECDSA signature of zeros",
    () => forge({ alg: "ES256", kid: "ec-1" }, wanted(), () => Buffer.alloc(64)),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2022-21449",
    "Java",
    "zeros, as RS256",
    () => forge(header, wanted(), () => Buffer.alloc(256)),
    "signature_invalid",
  ],
  [
    "CVE-2026-29000",
    "pac4j-jwt",
    "an unsigned token, encrypted to the public key",
    () =>
      encrypt(
        forge({ alg: "none" }, wanted(), () => Buffer.alloc(0)),
        { cty: "JWT", kid: "key-1" },
        publicKey,
      ),
    "token_malformed",
  ],
];

const SIGNED_BY_THE_ATTACKER: Row[] = [
  [
    "CVE-2018-0114",
    "node-jose",
    "the key is in the header",
    () => forge({ ...header, jwk: attacker.jwk }, wanted(), rsa("sha256", attacker.privateKey)),
    "signature_invalid",
  ],
  [
    "CVE-2026-34240",
    "jose (Dart)",
    "the key is in the header, under no known kid",
    () => forge({ alg: "RS256", kid: "attacker", jwk: attacker.jwk }, wanted(), rsa("sha256", attacker.privateKey)),
    "key_untrusted",
  ],
  [
    "CVE-2022-23539",
    "jsonwebtoken",
    "a key of another type",
    () => forge({ alg: "RS256", kid: "ec-1" }, wanted(), rsa("sha256", attacker.privateKey)),
    "key_untrusted",
  ],
  [
    "CVE-2022-39227",
    "python-jwt",
    "a JSON serialization in the shape of a compact one",
    () =>
      `{"  ${headerPart}.${base64url(JSON.stringify(wanted()))}.":"","protected":"${headerPart}","payload":"${payloadPart}","signature":"${signaturePart}"}`,
    "request_malformed",
  ],
  [
    "CVE-2016-9122",
    "go-jose",
    "two signatures, of which one is good",
    () =>
      JSON.stringify({
        payload: base64url(JSON.stringify(wanted())),
        signatures: [
          { protected: base64url('{"alg":"none"}'), signature: "" },
          { protected: headerPart, signature: signaturePart },
        ],
      }),
    "request_malformed",
  ],
  [
    "CVE-2026-35039",
    "fast-jwt",
    "claims that collide with a remembered token's",
    () => join(headerPart, base64url(JSON.stringify(wanted())), rsa("sha256", attacker.privateKey)),
    "signature_invalid",
  ],
];

const SIGNED_BADLY: Row[] = [
  [
    "CVE-2022-25898",
    "jsrsasign",
    "characters that are skipped in a signature",
    () => `${headerPart}.${payloadPart}.${signaturePart.slice(0, 9)}\\1${signaturePart.slice(9)}`,
    "request_malformed",
  ],
  [
    "CVE-2022-25898",
    "jsrsasign",
    "characters that the grammar has, and base64url has not",
    () => `${headerPart}.${payloadPart}.${signaturePart}~`,
    "token_malformed",
  ],
  [
    "CVE-2006-4339",
    "OpenSSL",
    "garbage after the digest",
    () =>
      forge(
        header,
        wanted(),
        shortPadding((room) => Buffer.alloc(room, 0x5a)),
      ),
    "signature_invalid",
  ],
  [
    "CVE-2021-30246",
    "jsrsasign",
    "padding of another length",
    () =>
      forge(
        header,
        wanted(),
        shortPadding((room) => Buffer.alloc(room)),
      ),
    "signature_invalid",
  ],
  [
    "CVE-2022-24771",
    "node-forge",
    "garbage in the parameters of the digest",
    () =>
      forge(
        header,
        wanted(),
        sealed((message) =>
          padded(
            Buffer.concat([
              Buffer.from("303b30170609608648016503040201" + "040a" + "5a".repeat(10) + "0420", "hex"),
              sha256(message),
            ]),
          ),
        ),
      ),
    "signature_invalid",
  ],
  [
    "CVE-2022-24772",
    "node-forge",
    "garbage behind the digest",
    () =>
      forge(
        header,
        wanted(),
        sealed((message) => padded(Buffer.concat([SHA256_DIGEST_INFO, sha256(message), Buffer.alloc(8, 0x5a)]))),
      ),
    "signature_invalid",
  ],
];

const SIGNED_WELL: Row[] = [
  ["CVE-2020-26160", "jwt-go", "an empty list of audiences", () => mint({ aud: [] }), "audience_invalid"],
  ["CVE-2020-26160", "jwt-go", "a list of audiences", () => mint({ aud: ["codex-app-server"] }), "audience_invalid"],
  ["CVE-2024-5798", "Vault", "no audience", () => mint({ aud: undefined }), "audience_invalid"],
  [
    "CVE-2025-30144",
    "fast-jwt",
    "a list of issuers",
    () => mint({ iss: ["https://evil.example", claims().iss] }),
    "issuer_invalid",
  ],
  [
    "CVE-2025-59420",
    "Authlib",
    "a critical extension that nobody knows",
    () => forge({ ...header, crit: ["bork"], bork: true }, claims()),
    "token_malformed",
  ],
  [
    "CVE-2026-32597",
    "PyJWT",
    "a critical extension that binds the token to a key",
    () => forge({ ...header, crit: ["cnf"], cnf: { jkt: "x" } }, claims()),
    "token_malformed",
  ],
];

const COSTLY: Row[] = [
  [
    "CVE-2022-36083",
    "jose",
    "two billion rounds of PBKDF2",
    async () =>
      (await encrypt("x", { alg: "PBES2-HS256+A128KW" }, Buffer.from("secret"))).replace(
        /^[^.]+/,
        base64url(
          JSON.stringify({ alg: "PBES2-HS256+A128KW", enc: "A256GCM", p2c: 2_147_483_647, p2s: "AAAAAAAAAAA" }),
        ),
      ),
    "token_malformed",
  ],
  [
    "CVE-2022-36083",
    "jose",
    "the same, in three parts",
    () => forge({ alg: "PBES2-HS256+A128KW", enc: "A256GCM", p2c: 2_147_483_647, p2s: "AAAAAAAAAAA" }, wanted()),
    "algorithm_not_allowed",
  ],
  [
    "CVE-2024-28176",
    "jose",
    "a plaintext that is compressed",
    async () =>
      (await encrypt("x", {}, publicKey)).replace(
        /^[^.]+/,
        base64url(JSON.stringify({ alg: "RSA-OAEP-256", enc: "A256GCM", zip: "DEF" })),
      ),
    "token_malformed",
  ],
  ["CVE-2025-27144", "go-jose", "very many dots", () => ".".repeat(15_000), "token_malformed"],
  [
    "CVE-2025-30204",
    "golang-jwt",
    "very many dots, after a good token",
    () => good + ".".repeat(14_000),
    "token_malformed",
  ],
];

describe.each([
  ["signed with what is public", SIGNED_WITH_WHAT_IS_PUBLIC],
  ["not signed", NOT_SIGNED],
  ["signed by the attacker", SIGNED_BY_THE_ATTACKER],
  ["signed badly", SIGNED_BADLY],
  ["signed well, and not for here", SIGNED_WELL],
  ["costly to look at", COSTLY],
])("%s", (_, rows) => {
  test.each(rows)("%s (%s): %s", async (_cve, _where, _attack, token, code) => {
    const target = await startTarget(keys);
    // With a good token remembered, which is when a cache could give something away.
    expect(await target.verdict(bearer(good))).toBe("accepted");
    const attack = await token();
    for (let i = 0; i < 2; i++) expect(await target.verdict(bearer(attack))).toBe(code);
  });
});
