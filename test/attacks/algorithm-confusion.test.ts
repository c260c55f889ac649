import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { claims, createSigningKey, mint, signingKey } from "../support/agents.js";
import { ecdsa, eddsa, forge, hmac, pss, rsa, type Signer } from "./forged-token.js";
import { PUBLIC_SECRETS } from "./public-secrets.js";
import { bearer, startTarget } from "./target.js";

const publicKey = createPublicKey(signingKey.privateKey);
describe("the public key as an HMAC secret", () => {
  test.each(Object.entries(PUBLIC_SECRETS))("%s", async (_, secret) => {
    const target = await startTarget();
    for (const bits of [256, 384, 512]) {
      const signer = hmac(`sha${bits}`, secret);
      const honest = forge({ alg: `HS${bits}`, kid: "key-1" }, claims(), signer);
      expect(await target.verdict(bearer(honest))).toBe("algorithm_not_allowed");
      const lying = forge({ alg: "RS256", kid: "key-1" }, claims(), signer);
      expect(await target.verdict(bearer(lying))).toBe("signature_invalid");
    }
  });

  test("a secret that the key set itself publishes is no key either", async () => {
    const secret = Buffer.alloc(32, 7);
    const oct = { kty: "oct", k: secret.toString("base64url"), kid: "key-1" };
    const spare = createSigningKey("spare").jwk;
    for (const keys of [
      [oct, spare],
      [{ ...oct, alg: "HS256", use: "sig" }, spare],
      [{ ...oct, alg: "RS256" }, spare],
    ]) {
      const target = await startTarget(keys);
      const signer = hmac("sha256", secret);
      const honest = forge({ alg: "HS256", kid: "key-1" }, claims(), signer);
      expect(await target.verdict(bearer(honest))).toBe("algorithm_not_allowed");
      const lying = forge({ alg: "RS256", kid: "key-1" }, claims(), signer);
      expect(await target.verdict(bearer(lying))).toBe("key_untrusted");
    }
  });
});

describe("no signature", () => {
  const spellings = [
    "none",
    "None",
    "NONE",
    "nOnE",
    " none",
    "none ",
    "none\u0000",
    "\u0000none",
    "",
    "null",
    "undefined",
  ];
  test.each(spellings)("alg %j", async (alg) => {
    const target = await startTarget();
    const unsigned = forge({ alg, kid: "key-1" }, claims(), () => Buffer.alloc(0));
    expect(await target.verdict(bearer(unsigned))).toBe("token_malformed");
    expect(await target.verdict(bearer(unsigned.slice(0, -1)))).toBe("token_malformed");
    expect(await target.verdict(bearer(`${unsigned}AA`))).toBe("algorithm_not_allowed");
    expect(await target.verdict(bearer(forge({ alg, kid: "key-1" }, claims())))).toBe("algorithm_not_allowed");
  });

  test("RS256 without a signature", async () => {
    const target = await startTarget();
    const unsigned = forge({ alg: "RS256", kid: "key-1" }, claims(), () => Buffer.alloc(0));
    expect(await target.verdict(bearer(unsigned))).toBe("token_malformed");
    expect(await target.verdict(bearer(unsigned.slice(0, -1)))).toBe("token_malformed");
  });
});

const pair = {
  p256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  p384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
  p521: generateKeyPairSync("ec", { namedCurve: "P-521" }),
  secp256k1: generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
  ed25519: generateKeyPairSync("ed25519"),
  ed448: generateKeyPairSync("ed448"),
};
const jwkOf = (key: KeyObject) => ({ ...exportJwk(key), kid: "key-1", use: "sig" });
const rsaJwk = jwkOf(publicKey);

/** Tokens whose signature is right, with a key that the backend publishes for them. */
const HONEST: [alg: string, jwk: object, signer: Signer, ifItSaysRs256: "signature_invalid" | "key_untrusted"][] = [
  ["RS384", rsaJwk, rsa("sha384"), "signature_invalid"],
  ["RS512", rsaJwk, rsa("sha512"), "signature_invalid"],
  ["RS1", rsaJwk, rsa("sha1"), "signature_invalid"],
  ["PS256", rsaJwk, pss("sha256", 32), "signature_invalid"],
  ["PS384", rsaJwk, pss("sha384", 48), "signature_invalid"],
  ["PS512", rsaJwk, pss("sha512", 64), "signature_invalid"],
  ["PS256", rsaJwk, pss("sha256", 0), "signature_invalid"],
  ["RS384", { ...rsaJwk, alg: "RS384" }, rsa("sha384"), "key_untrusted"],
  ["PS256", { ...rsaJwk, alg: "PS256" }, pss("sha256", 32), "key_untrusted"],
  ["ES256", jwkOf(pair.p256.publicKey), ecdsa("sha256", pair.p256.privateKey), "key_untrusted"],
  ["ES384", jwkOf(pair.p384.publicKey), ecdsa("sha384", pair.p384.privateKey), "key_untrusted"],
  ["ES512", jwkOf(pair.p521.publicKey), ecdsa("sha512", pair.p521.privateKey), "key_untrusted"],
  ["ES256K", jwkOf(pair.secp256k1.publicKey), ecdsa("sha256", pair.secp256k1.privateKey), "key_untrusted"],
  ["EdDSA", jwkOf(pair.ed25519.publicKey), eddsa(pair.ed25519.privateKey), "key_untrusted"],
  ["Ed25519", jwkOf(pair.ed25519.publicKey), eddsa(pair.ed25519.privateKey), "key_untrusted"],
  ["EdDSA", jwkOf(pair.ed448.publicKey), eddsa(pair.ed448.privateKey), "key_untrusted"],
];

describe("another algorithm, with a key for it in the set", () => {
  const spare = createSigningKey("spare");
  test.each(HONEST)("%s", async (alg, jwk, signer, ifItSaysRs256) => {
    const target = await startTarget([jwk, spare.jwk]);
    expect(await target.verdict(bearer(mint({}, spare)))).toBe("accepted");
    const honest = forge({ alg, kid: "key-1" }, claims(), signer);
    expect(await target.verdict(bearer(honest))).toBe("algorithm_not_allowed");
    const lying = forge({ alg: "RS256", kid: "key-1" }, claims(), signer);
    expect(await target.verdict(bearer(lying))).toBe(ifItSaysRs256);
    // Nor does an algorithm of that key become one of another key.
    const crossed = forge({ alg, kid: "spare" }, claims(), rsa("sha256", spare.privateKey));
    expect(await target.verdict(bearer(crossed))).toBe("algorithm_not_allowed");
  });
});

describe("RS256 in other words, signed with the right key", () => {
  const header = (alg: string) => `{"alg":${alg},"kid":"key-1"}`;
  test.each([
    ["lower case", header('"rs256"')],
    ["mixed case", header('"Rs256"')],
    ["a space before", header('" RS256"')],
    ["a space after", header('"RS256 "')],
    ["NUL after", header('"RS256\\u0000"')],
    ["a zero-width space", header('"RS\\u200b256"')],
    ["full-width letters", header('"\uff32\uff33\uff12\uff15\uff16"')],
    ["a Cyrillic letter", header('"R\u0405256"')],
    ["a list of names", header('"RS256,HS256"')],
    ["its long name", header('"RSASSA-PKCS1-v1_5"')],
    ["its name in OpenSSL", header('"RSA-SHA256"')],
    ["an array", header('["RS256"]')],
    ["an array of two", header('["RS256","none"]')],
    ["an object", header('{"RS256":true}')],
    ["an object with toString", header('{"toString":"RS256","valueOf":"RS256"}')],
    ["a number", header("256")],
    ["null", header("null")],
    ["true", header("true")],
    ["absent", '{"kid":"key-1"}'],
    ["only inherited", '{"__proto__":{"alg":"RS256"},"kid":"key-1"}'],
    ["under another name", '{"Alg":"RS256","ALG":"RS256","kid":"key-1"}'],
    ["a name of Object.prototype", header('"constructor"')],
  ])("%s", async (_, text) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(text, claims())))).toBe("algorithm_not_allowed");
  });

  test("escapes that JSON undoes are the same words", async () => {
    const target = await startTarget();
    const token = forge('{"\\u0061lg":"\\u0052S256","kid":"key-1"}', claims());
    expect(await target.verdict(bearer(token))).toBe("accepted");
  });
});
