/** Opens a libsodium sealed box (`crypto_box_seal`) that is addressed to the X25519 form of an Ed25519 key. */

import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { blake2b } from "@noble/hashes/blake2.js";

const KEY_LENGTH = 32;
const NONCE_LENGTH = 24;

/**
 * @param seed of the Ed25519 key: its X25519 secret is the clamped first half of the seed's SHA-512
 * @throws if it is not addressed to this key, or was tampered with
 */
export function openSealedBox(sealed: Uint8Array, seed: Uint8Array): Uint8Array {
  const secretKey = ed25519.utils.toMontgomerySecret(seed);
  const ephemeralKey = sealed.subarray(0, KEY_LENGTH);
  const nonceInput = Buffer.concat([ephemeralKey, x25519.getPublicKey(secretKey)]);
  const nonce = blake2b(nonceInput, { dkLen: NONCE_LENGTH });
  const key = hsalsa20(x25519.getSharedSecret(secretKey, ephemeralKey));
  return xsalsa20poly1305(key, nonce).decrypt(sealed.subarray(KEY_LENGTH));
}

/** NaCl's `crypto_box_beforenm`: HSalsa20 of the shared secret with a nonce of zeros. */
function hsalsa20(sharedSecret: Uint8Array): Uint8Array {
  const key = new Uint32Array(KEY_LENGTH / 4);
  hsalsa(words(Buffer.from("expand 32-byte k")), words(sharedSecret), new Uint32Array(4), key);
  return new Uint8Array(key.buffer);
}

/** Little-endian words, on whatever machine. */
function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true));
}
