import { createHash, generatePrimeSync } from "node:crypto";

export interface RsaPublicJwk {
  kty: string;
  n: string;
  e: string;
  [member: string]: unknown;
}

export interface SigningKey {
  readonly jwk: RsaPublicJwk;
  /** RSASSA-PKCS1-v1_5 with SHA-256. */
  readonly sign: (message: string) => Buffer;
}

/** `DigestInfo` of SHA-256 up to the digest (RFC 8017 §9.2). */
const SHA256_DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");

/** Large moduli are made of many primes of this size: two large ones would take minutes to find. */
const LARGEST_PRIME_BITS = 1024;

/** RSA by hand, for moduli and exponents that no key generator gives. A verifier sees nothing odd but `n` and `e`. */
export function makeRsaKey(bits: number, e = 65537n): SigningKey {
  const primes = findPrimes(bits, e);
  const n = primes.reduce((product, prime) => product * prime, 1n);
  return {
    jwk: { kty: "RSA", n: toBase64url(n), e: toBase64url(e) },
    sign(message) {
      const length = Math.ceil(bits / 8);
      const signature = takeRoot(fromBytes(pkcs1Encode(message, length)), primes, e);
      return toBytes(signature, length);
    },
  };
}

export function toBase64url(value: bigint): string {
  return toBytes(value).toString("base64url");
}

function findPrimes(bits: number, e: bigint): bigint[] {
  const count = Math.max(2, Math.ceil(bits / LARGEST_PRIME_BITS));
  for (;;) {
    const primes: bigint[] = [];
    let product = 1n;
    while (primes.length < count) {
      const bitsLeft = primes.length === 0 ? bits : bits - bitLength(product);
      const prime = generatePrimeSync(Math.floor(bitsLeft / (count - primes.length)), { bigint: true });
      if (primes.includes(prime) || greatestCommonDivisor(prime - 1n, e) !== 1n) continue;
      primes.push(prime);
      product *= prime;
    }
    if (bitLength(product) === bits) return primes;
  }
}

function pkcs1Encode(message: string, length: number): Buffer {
  const tail = Buffer.concat([SHA256_DIGEST_INFO, createHash("sha256").update(message).digest()]);
  const padding = Buffer.alloc(length - tail.length - 3, 0xff);
  return Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), tail]);
}

/** The e-th root of `value` modulo the product of `primes` (Garner's form of the Chinese remainder theorem). */
function takeRoot(value: bigint, primes: readonly bigint[], e: bigint): bigint {
  let root = 0n;
  let modulus = 1n;
  for (const prime of primes) {
    const residue = power(value % prime, inverse(e, prime - 1n), prime);
    const step = mod((residue - root) * inverse(modulus, prime), prime);
    root += step * modulus;
    modulus *= prime;
  }
  return root;
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === "1") result = (result * base) % modulus;
  }
  return result;
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [mod(value, modulus), modulus, 1n, 0n];
  while (b !== 0n) {
    const quotient = a / b;
    [a, b, x, y] = [b, a - quotient * b, y, x - quotient * y];
  }
  return mod(x, modulus);
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestCommonDivisor(b, a % b);
}

function mod(value: bigint, modulus: bigint): bigint {
  return ((value % modulus) + modulus) % modulus;
}

function bitLength(value: bigint): number {
  return value.toString(2).length;
}

function fromBytes(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString("hex")}`);
}

function toBytes(value: bigint, length = Math.ceil(bitLength(value) / 8)): Buffer {
  return Buffer.from(value.toString(16).padStart(length * 2, "0"), "hex");
}
