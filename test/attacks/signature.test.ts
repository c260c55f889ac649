import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { claims, createSigningKey, mint, signingKey } from "../support/agents.js";
import { forge, rsa, type Signer } from "./forged-token.js";
import { BLOCK_LENGTH, open, padded, rightBlock, sealed, sha256, SHA256_DIGEST_INFO } from "./rsa-block.js";
import { bearer, startTarget } from "./target.js";

const header = { alg: "RS256", kid: "key-1" };
const hex = (text: string) => Buffer.from(text, "hex");
const modulus = Buffer.from(String(signingKey.jwk["n"]), "base64url");
const number = (bytes: Buffer) => BigInt(`0x${bytes.toString("hex")}`);
const bytes = (value: bigint, length = BLOCK_LENGTH) => hex(value.toString(16).padStart(2 * length, "0"));

describe("a number that is nobody's signature", () => {
  const n = number(modulus);
  const right = number(rsa("sha256")(Buffer.from("x")));
  test.each<[string, Signer]>([
    ["0", () => bytes(0n)],
    ["1", () => bytes(1n)],
    ["2", () => bytes(2n)],
    ["the modulus less 1", () => bytes(n - 1n)],
    ["the modulus", () => modulus],
    ["the modulus and 1", () => bytes(n + 1n)],
    ["all ones", () => Buffer.alloc(BLOCK_LENGTH, 0xff)],
    ["of another message", () => bytes(right)],
    ["the negative of the right one", (message) => bytes(n - number(rsa("sha256")(message)))],
    ["the right one and the modulus", (message) => bytes(number(rsa("sha256")(message)) + n, BLOCK_LENGTH + 1)],
    ["the right one, the other way round", (message) => rsa("sha256")(message).reverse()],
    ["zeros as an ECDSA signature has them", () => Buffer.alloc(64)],
    ["zeros in DER", () => hex("3006020100020100")],
    ["one zero", () => Buffer.alloc(1)],
    ["the digest", sha256],
    ["the block that ought to be in it", rightBlock],
    ["that of a stranger", rsa("sha256", createSigningKey("stranger").privateKey)],
    ["that of the agent, who has a key of its own", (message) => hex(sha256(message).toString("hex").repeat(2))],
  ])("%s", async (_, signer) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(header, claims(), signer)))).toBe("signature_invalid");
    expect(await target.verdict(bearer(mint()))).toBe("accepted");
  });
});

/** What stands in a block after its padding. */
const tail = (digestInfo: string, digest: (message: Buffer) => Buffer = sha256): Signer => {
  return (message) => Buffer.concat([hex(digestInfo), digest(message)]);
};
const digestOf = (name: string) => (message: Buffer) => createHash(name).update(message).digest();
const RIGHT = SHA256_DIGEST_INFO.toString("hex");

/** A block with fewer bytes of padding, and something after the digest instead. */
const withGarbage = (paddingLength: number, garbage: number): Signer => {
  return (message) => {
    const block = Buffer.alloc(BLOCK_LENGTH, garbage);
    const start = Buffer.concat([hex("0001"), Buffer.alloc(paddingLength, 0xff), hex("00"), tail(RIGHT)(message)]);
    start.copy(block);
    return block;
  };
};
const changed = (at: number, to: number): Signer => {
  return (message) => {
    const block = rightBlock(message);
    block[at] = to;
    return block;
  };
};

/** Signed with the backend's own key, which is more than an attacker can: only the one right block counts. */
describe("a block that is put together wrongly (RFC 8017 §8.2.2)", () => {
  test("the right one, put together so, is accepted", async () => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(header, claims(), sealed(rightBlock))))).toBe("accepted");
  });

  test.each<[string, Signer]>([
    ["without NULL", (message) => padded(tail("302f300b0609608648016503040201" + "0420")(message))],
    ["with a length in BER", (message) => padded(tail("308131300d060960864801650304020105000420")(message))],
    [
      "with an indefinite length",
      (message) =>
        padded(Buffer.concat([hex("3080300d06096086480165030402010500"), hex("0420"), sha256(message), hex("0000")])),
    ],
    ["with NULL in BER", (message) => padded(tail("3032300e06096086480165030402010581000420")(message))],
    [
      "with a string that is constructed",
      (message) => padded(tail("3033300d0609608648016503040201050024220420")(message)),
    ],
    [
      "with garbage for parameters",
      (message) => padded(tail("303b3017060960864801650304020104" + "0a" + "00".repeat(10) + "0420")(message)),
    ],
    [
      "with garbage within",
      (message) =>
        padded(Buffer.concat([hex("3035300d060960864801650304020105000420"), sha256(message), hex("deadbeef")])),
    ],
    ["with garbage behind", (message) => padded(Buffer.concat([tail(RIGHT)(message), hex("deadbeef")]))],
    ["with zeros behind", (message) => padded(Buffer.concat([tail(RIGHT)(message), Buffer.alloc(8)]))],
    ["with the digest alone", (message) => padded(sha256(message))],
    ["with a digest that is cut", (message) => padded(tail(RIGHT)(message).subarray(0, -1))],
    [
      "with the digest of SHA-1",
      (message) => padded(tail("3021300906052b0e03021a05000414", digestOf("sha1"))(message)),
    ],
    [
      "with the digest of SHA-512",
      (message) => padded(tail("3051300d060960864801650304020305000440", digestOf("sha512"))(message)),
    ],
    [
      "with SHA-1 that says SHA-256",
      (message) => padded(tail("3025300d060960864801650304020105000414", digestOf("sha1"))(message)),
    ],
    ["with SHA-256 that says SHA-512", (message) => padded(tail("3031300d060960864801650304020305000420")(message))],
    [
      "with SHA-256 that says SHA-512/256",
      (message) => padded(tail("3031300d060960864801650304020605000420")(message)),
    ],
    ["with the digest of a digest", (message) => padded(tail(RIGHT, (text) => sha256(sha256(text)))(message))],
    ["with the message itself", (message) => padded(Buffer.concat([SHA256_DIGEST_INFO, message.subarray(0, 32)]))],
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
    ["of zeros", () => Buffer.alloc(BLOCK_LENGTH)],
  ])("%s", async (_, block) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(header, claims(), sealed(block))))).toBe("signature_invalid");
  });
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

describe("small exponents", () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 });
  const jwkOf = (key: KeyObject) => ({ ...exportJwk(key), kid: "key-1" });

  test("an exponent of 3: a cube that begins like a signed block is none (Bleichenbacher 2006)", async () => {
    const target = await startTarget([jwkOf(publicKey)]);
    const begins = (message: Buffer) =>
      Buffer.concat([hex("0001"), Buffer.alloc(8, 0xff), hex("00"), SHA256_DIGEST_INFO, sha256(message)]);
    // The least cube above it differs only far behind.
    const forged: Signer = (message) => {
      const start = begins(message);
      return bytes(cubeRoot(number(Buffer.concat([start, Buffer.alloc(BLOCK_LENGTH - start.length)]))));
    };
    const probe = Buffer.from("a message that is never signed");
    expect(open(forged(probe), publicKey)?.subarray(0, 62)).toEqual(begins(probe));
    expect(await target.verdict(bearer(forge(header, claims(), forged)))).toBe("signature_invalid");
    expect(await target.verdict(bearer(forge(header, claims(), rsa("sha256", privateKey))))).toBe("accepted");
  });

  test("an exponent of 1: the block is its own signature, and the key is not trusted", async () => {
    const target = await startTarget([{ ...signingKey.jwk, e: "AQ" }, createSigningKey("spare").jwk]);
    expect(await target.verdict(bearer(forge(header, claims(), rightBlock)))).toBe("key_untrusted");
  });
});

test("each bit of a signature counts", async () => {
  const target = await startTarget();
  const token = mint();
  const [head = "", payload = "", signature = ""] = token.split(".");
  const right = Buffer.from(signature, "base64url");
  for (let bit = 0; bit < right.length * 8; bit += 13) {
    const flipped = Buffer.from(right);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const promise = target.agents.verifier.verify(`${head}.${payload}.${flipped.toString("base64url")}`);
    await expect(promise, String(bit)).rejects.toMatchObject({ code: "signature_invalid" });
  }
  expect(await target.verdict(bearer(token))).toBe("accepted");
});
