/**
 * The classes behind published advisories of JWT, JWS and JWKS packages: in each row an attack that the package let in.
 * None of them is an advisory of this package.
 */

import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { CompactEncrypt } from "jose";
import { describe, expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { claims, mint, signingKey, stranger } from "../support/agents.js";
import { base64url, forge, hmac, rsa, type Signer } from "./forged-token.js";
import { padded, sealed, sha256, SHA256_DIGEST_INFO } from "./rsa-block.js";
import { verdictOf, verifierOf, type Verdict } from "./target.js";

const publicKey = createPublicKey(signingKey.privateKey);
const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
const verifier = verifierOf([signingKey.jwk, { ...exportJwk(elliptic), kid: "ec-1", use: "sig" }]);

const header = { alg: "RS256", kid: "key-1" };
const good = mint();
const [head = "", payload = "", signature = ""] = good.split(".");
/** The claims that an attacker would like to have. */
const wanted = claims({ account_id: "acct-2", agent_runtime_id: "admin" });
const wantedPart = base64url(JSON.stringify(wanted));

/** HMAC, with the public key of another type as the secret; those with the RSA key are in header-members.test.ts. */
const hsElliptic = (format: { format: "der" | "pem"; type: "spki" }) =>
  forge(
    { alg: "HS256", kid: "ec-1" },
    wanted,
    hmac("sha256", elliptic.export(format as { format: "der"; type: "spki" })),
  );
/** With a signature of so many zeros. */
const zeros = (members: object, length: number) => forge(members, wanted, () => Buffer.alloc(length));
/** Signed by the attacker. */
const theirs = (members: object) => forge(members, wanted, rsa("sha256", stranger.privateKey));
/** Signed by the backend, with a block that is put together wrongly. */
const block = (build: Signer) => forge(header, wanted, sealed(build));
/** Signed by the backend, with an extension that has to be understood. */
const critical = (name: string) => forge({ ...header, crit: [name], [name]: {} }, claims());
const encrypted = (text: string, members: object, claimed?: object): Promise<string> =>
  new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: "RSA-OAEP-256", enc: "A256GCM", ...members })
    .encrypt(publicKey)
    .then((jwe) => (claimed ? jwe.replace(/^[^.]+/, base64url(JSON.stringify(claimed))) : jwe));

/** Eight bytes of padding, the digest, and then only this. */
const shortPadding =
  (fill: number): Signer =>
  (message) => {
    const start = [Buffer.from("0001ffffffffffffffff00", "hex"), SHA256_DIGEST_INFO, sha256(message)];
    return Buffer.concat([...start, Buffer.alloc(256, fill)]).subarray(0, 256);
  };
/** A digest's parameters that hold ten bytes of garbage. */
const LONG_DIGEST_INFO = Buffer.from(`303b30170609608648016503040201040a${"5a".repeat(10)}0420`, "hex");
const longParameters: Signer = (message) => padded(Buffer.concat([LONG_DIGEST_INFO, sha256(message)]));
const behindDigest: Signer = (message) =>
  padded(Buffer.concat([SHA256_DIGEST_INFO, sha256(message), Buffer.alloc(8, 0x5a)]));

const none = { alg: "none", kid: "key-1" };
const unsigned = forge({ alg: "none" }, wanted, () => Buffer.alloc(0));
const pbes2 = { alg: "PBES2-HS256+A128KW", enc: "A256GCM", p2c: 2_147_483_647, p2s: "AAAAAAAAAAA" };
const json = `{"  ${head}.${wantedPart}.":"","protected":"${head}","payload":"${payload}","signature":"${signature}"}`;
const signatures = [
  { protected: base64url('{"alg":"none"}'), signature: "" },
  { protected: head, signature },
];

type Row = [cve: string, where: string, attack: string, token: string | Promise<string>, code?: Verdict];

/** By class: the usual verdict, and the rows; a row may have another verdict. */
const CLASSES: [name: string, usual: Verdict, rows: Row[]][] = [
  [
    "an HMAC with what is public",
    "algorithm_not_allowed",
    [
      ["CVE-2024-33663", "python-jose", "an elliptic key", hsElliptic({ format: "der", type: "spki" })],
      ["CVE-2024-37568", "Authlib", "any public key", hsElliptic({ format: "pem", type: "spki" })],
    ],
  ],
  [
    "no signature",
    "token_malformed",
    [
      ["CVE-2015-2951", "JWT.php", "alg none", unsigned],
      ["CVE-2020-15957", "dp3t-sdk-backend", "alg none, a known kid", zeros(none, 0)],
      ["CVE-2020-28042", "ServiceStack", "compared up to its length", `${head}.${payload}.`],
      [
        "CVE-2020-28042",
        "ServiceStack",
        "its first bytes",
        `${head}.${payload}.${signature.slice(0, 4)}`,
        "signature_invalid",
      ],
      ["CVE-2022-21449", "Java", "zeros, as ES256", zeros({ alg: "ES256", kid: "ec-1" }, 64), "algorithm_not_allowed"],
      ["CVE-2022-21449", "Java", "zeros, as RS256", zeros(header, 256), "signature_invalid"],
      ["CVE-2022-23540", "jsonwebtoken", "alg none, no key", zeros({ ...none, kid: "x" }, 1), "algorithm_not_allowed"],
      ["CVE-2026-29000", "pac4j-jwt", "alg none, encrypted", encrypted(unsigned, { cty: "JWT" })],
    ],
  ],
  [
    "a signature of somebody else",
    "signature_invalid",
    [
      [
        "CVE-2016-9122",
        "go-jose",
        "a good one beside it",
        JSON.stringify({ payload: wantedPart, signatures }),
        "token_malformed",
      ],
      ["CVE-2018-0114", "node-jose", "the key in the header", theirs({ ...header, jwk: stranger.jwk })],
      ["CVE-2022-23539", "jsonwebtoken", "a key of another type", theirs({ ...header, kid: "ec-1" }), "key_untrusted"],
      ["CVE-2022-39227", "python-jwt", "JSON that reads as compact", json, "token_malformed"],
      [
        "CVE-2026-34240",
        "jose (Dart)",
        "the key in the header",
        theirs({ ...header, kid: "x", jwk: stranger.jwk }),
        "key_untrusted",
      ],
      ["CVE-2026-35039", "fast-jwt", "claims that collide in a cache", theirs(header)],
    ],
  ],
  [
    "a signature in another form",
    "signature_invalid",
    [
      ["CVE-2006-4339", "OpenSSL", "short padding, garbage behind", block(shortPadding(0x5a))],
      ["CVE-2021-30246", "jsrsasign", "short padding, zeros behind", block(shortPadding(0))],
      ["CVE-2022-24771", "node-forge", "garbage as parameters", block(longParameters)],
      ["CVE-2022-24772", "node-forge", "garbage behind the digest", block(behindDigest)],
      [
        "CVE-2022-25898",
        "jsrsasign",
        "characters that are skipped",
        `${head}.${payload}.${signature.slice(0, 9)}\\1${signature.slice(9)}`,
        "token_malformed",
      ],
      ["CVE-2022-25898", "jsrsasign", "one of the header's grammar", `${good}~`, "token_malformed"],
    ],
  ],
  [
    "a good signature, of what is not for here",
    "audience_invalid",
    [
      ["CVE-2020-26160", "jwt-go", "no audience in a list", mint({ aud: [] })],
      ["CVE-2020-26160", "jwt-go", "a list of audiences", mint({ aud: [wanted.aud] })],
      ["CVE-2024-5798", "Vault", "no audience", mint({ aud: undefined })],
      [
        "CVE-2025-30144",
        "fast-jwt",
        "a list of issuers",
        mint({ iss: ["https://evil.example", wanted.iss] }),
        "issuer_invalid",
      ],
      ["CVE-2025-59420", "Authlib", "crit, unknown", critical("x"), "token_malformed"],
      ["CVE-2026-32597", "PyJWT", "crit, binding", critical("cnf"), "token_malformed"],
    ],
  ],
  [
    "what is costly to look at",
    "token_malformed",
    [
      ["CVE-2022-36083", "jose", "rounds of PBKDF2", encrypted("x", {}, pbes2)],
      ["CVE-2022-36083", "jose", "rounds of PBKDF2, in three parts", forge(pbes2, wanted), "algorithm_not_allowed"],
      [
        "CVE-2024-28176",
        "jose",
        "a compressed text",
        encrypted("x", {}, { alg: "RSA-OAEP-256", enc: "A256GCM", zip: "DEF" }),
      ],
      ["CVE-2025-27144", "go-jose", "very many dots", ".".repeat(15_000)],
      ["CVE-2025-30204", "golang-jwt", "very many dots, behind", good + ".".repeat(14_000)],
    ],
  ],
];

describe.each(CLASSES)("%s", (_, usual, rows) => {
  test.each(rows)("%s (%s): %s", async (_cve, _where, _attack, token, code = usual) => {
    // With a good token remembered, which is when a cache could give something away.
    expect(await verdictOf(good, verifier)).toBe("accepted");
    expect(await verdictOf(await token, verifier)).toBe(code);
  });
});
