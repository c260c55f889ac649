/** RSA signatures that are nobody's, or whose padding is put together wrongly (RFC 8017 §8.2.2). */

import { createHash, generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { claims, mint, secondKey, signingKey, stranger } from "../support/agents.js";
import { bearer } from "../support/request-table.js";
import { forge, rsa, type Signer } from "./forged-token.js";
import { BLOCK_LENGTH, open, padded, rightBlock, sealed, sha256, SHA256_DIGEST_INFO } from "./rsa-block.js";
import { startTarget, verdictOf, verifierOf } from "./target.js";

const header = { alg: "RS256", kid: "key-1" };
const hex = (text: string) => Buffer.from(text, "hex");
const modulus = Buffer.from(String(signingKey.jwk["n"]), "base64url");
const number = (bytes: Buffer) => BigInt(`0x${bytes.toString("hex")}`);
const bytes = (value: bigint, length = BLOCK_LENGTH) => hex(value.toString(16).padStart(2 * length, "0"));
const right = rsa("sha256");
const n = number(modulus);

const NUMBERS: [string, Signer][] = [
  ...[0n, 1n, 2n].map((value): [string, Signer] => [String(value), () => bytes(value)]),
  ["the modulus less 1", () => bytes(n - 1n)],
  ["the modulus", () => modulus],
  ["the modulus and 1", () => bytes(n + 1n)],
  ["all ones", () => Buffer.alloc(BLOCK_LENGTH, 0xff)],
  ["of another message", () => right(Buffer.from("x"))],
  ["the negative of the right one", (message) => bytes(n - number(right(message)))],
  ["the right one and the modulus", (message) => bytes(number(right(message)) + n, BLOCK_LENGTH + 1)],
  ["the right one, the other way round", (message) => right(message).reverse()],
  ["zeros as an ECDSA signature has them", () => Buffer.alloc(64)],
  ["zeros in DER", () => hex("3006020100020100")],
  ["one zero", () => Buffer.alloc(1)],
  ["the digest", sha256],
  ["the block that ought to be in it", rightBlock],
  ["that of a stranger", rsa("sha256", stranger.privateKey)],
];
test.each(NUMBERS)("a number that is nobody's signature: %s", async (_, signer) => {
  expect(await verdictOf(forge(header, claims(), signer))).toBe("signature_invalid");
});

/** What stands in a block after its padding. */
const tail =
  (digestInfo: string, digest: (message: Buffer) => Buffer = sha256, behind = ""): Signer =>
  (message) =>
    Buffer.concat([hex(digestInfo), digest(message), hex(behind)]);
const digestOf = (name: string) => (message: Buffer) => createHash(name).update(message).digest();
const RIGHT = SHA256_DIGEST_INFO.toString("hex");

/** A block with fewer bytes of padding, and something after the digest instead. */
const withGarbage =
  (paddingLength: number, garbage: number): Signer =>
  (message) => {
    const start = Buffer.concat([hex("0001"), Buffer.alloc(paddingLength, 0xff), hex("00"), tail(RIGHT)(message)]);
    return Buffer.concat([start, Buffer.alloc(BLOCK_LENGTH - start.length, garbage)]);
  };
const changed =
  (at: number, to: number): Signer =>
  (message) => {
    const block = rightBlock(message);
    block[at] = to;
    return block;
  };
const TAILS: [string, Signer][] = [
  ["without NULL", tail("302f300b06096086480165030402010420")],
  ["with a length in BER", tail("308131300d060960864801650304020105000420")],
  ["with an indefinite length", tail("3080300d060960864801650304020105000420", sha256, "0000")],
  ["with NULL in BER", tail("3032300e06096086480165030402010581000420")],
  ["with a string that is constructed", tail("3033300d0609608648016503040201050024220420")],
  ["with garbage for parameters", tail(`303b30170609608648016503040201040a${"00".repeat(10)}0420`)],
  ["with garbage within", tail("3035300d060960864801650304020105000420", sha256, "deadbeef")],
  ["with garbage behind", tail(RIGHT, sha256, "deadbeef")],
  ["with zeros behind", tail(RIGHT, sha256, "00".repeat(8))],
  ["with the digest alone", sha256],
  ["with a digest that is cut", tail(RIGHT, (message) => sha256(message).subarray(0, -1))],
  ["with the digest of SHA-1", tail("3021300906052b0e03021a05000414", digestOf("sha1"))],
  ["with the digest of SHA-512", tail("3051300d060960864801650304020305000440", digestOf("sha512"))],
  ["with SHA-1 that says SHA-256", tail("3025300d060960864801650304020105000414", digestOf("sha1"))],
  ["with SHA-256 that says SHA-512", tail("3031300d060960864801650304020305000420")],
  ["with SHA-256 that says SHA-512/256", tail("3031300d060960864801650304020605000420")],
  ["with the digest of a digest", tail(RIGHT, (message) => sha256(sha256(message)))],
  ["with the message itself", tail(RIGHT, (message) => message.subarray(0, 32))],
];

/** Signed with the backend's own key, which is more than an attacker can do: only the one right block counts. */
test.each<[string, Signer]>([
  ...TAILS.map(([name, behind]): [string, Signer] => [name, (message) => padded(behind(message))]),
  ["with 8 bytes of padding, and zeros behind", withGarbage(8, 0)],
  ["with 8 bytes of padding, and ones behind", withGarbage(8, 0xff)],
  ["with 1 byte of padding", withGarbage(1, 0)],
  ["with no padding", withGarbage(0, 0)],
  ["of type 0", changed(1, 0)],
  ["of type 2", changed(1, 2)],
  ["that begins with 1", changed(0, 1)],
  ["with a zero in its padding", changed(100, 0)],
  ["with FE in its padding", changed(100, 0xfe)],
  ["with FE at the beginning of its padding", changed(2, 0xfe)],
  ["whose padding does not end in zero", changed(BLOCK_LENGTH - 52, 1)],
  ["of nothing but padding", () => Buffer.concat([hex("0001"), Buffer.alloc(BLOCK_LENGTH - 2, 0xff)])],
])("a block that is put together wrongly: %s", async (_, block) => {
  expect(await verdictOf(forge(header, claims(), sealed(block)))).toBe("signature_invalid");
});

test("the right block, put together in the same way, is accepted; over HTTP too, and a wrong one refused", async () => {
  const target = await startTarget();
  expect(await target.verdict(bearer(forge(header, claims(), sealed(rightBlock))))).toBe("accepted");
  expect(await target.verdict(bearer(forge(header, claims(), sealed(withGarbage(8, 0)))))).toBe("signature_invalid");
});

function cubeRoot(value: bigint): bigint {
  let low = 0n;
  let high = 1n << 1024n;
  while (low < high) {
    const middle = (low + high) >> 1n;
    if (middle ** 3n < value) low = middle + 1n;
    else high = middle;
  }
  return low;
}

test("an exponent of 3: a cube that begins like a signed block is no signature (Bleichenbacher 2006)", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 });
  const verifier = verifierOf([{ ...exportJwk(publicKey), kid: "key-1" }]);
  const begins = (message: Buffer) =>
    Buffer.concat([hex("0001"), Buffer.alloc(8, 0xff), hex("00"), SHA256_DIGEST_INFO, sha256(message)]);
  // The least cube above it differs only far behind.
  const forged: Signer = (message) => {
    const start = begins(message);
    return bytes(cubeRoot(number(Buffer.concat([start, Buffer.alloc(BLOCK_LENGTH - start.length)]))));
  };
  const probe = Buffer.from("a message that is never signed");
  expect(open(forged(probe), publicKey)?.subarray(0, 62)).toEqual(begins(probe));
  expect(await verdictOf(forge(header, claims(), forged), verifier)).toBe("signature_invalid");
  expect(await verdictOf(forge(header, claims(), rsa("sha256", privateKey)), verifier)).toBe("accepted");
});

test("an exponent of 1: the block is its own signature, and the key is not trusted", async () => {
  const verifier = verifierOf([{ ...signingKey.jwk, e: "AQ" }, secondKey.jwk]);
  expect(await verdictOf(forge(header, claims(), rightBlock), verifier)).toBe("key_untrusted");
});

test("each bit of a signature counts", async () => {
  const [head = "", payload = "", signature = ""] = mint().split(".");
  const verifier = verifierOf();
  for (let bit = 0; bit < BLOCK_LENGTH * 8; bit += 13) {
    const flipped = Buffer.from(signature, "base64url");
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const promise = verifier.verify(`${head}.${payload}.${flipped.toString("base64url")}`);
    await expect(promise, String(bit)).rejects.toMatchObject({ code: "signature_invalid" });
  }
});
