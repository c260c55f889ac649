/** Opens a libsodium sealed box (`crypto_box_seal`) that is addressed to the X25519 form of an Ed25519 key. */

import { hash } from "node:crypto";
import blakejs from "blakejs";
import nacl from "tweetnacl";

const { publicKeyLength, secretKeyLength, nonceLength } = nacl.box;

/**
 * @param seed of the Ed25519 key: its X25519 secret is the first half of the seed's SHA-512
 * @throws if the box is for another key, or somebody has changed it
 */
export function openSealedBox(sealed: Uint8Array, seed: Uint8Array): Uint8Array {
  const secretKey = hash("sha512", seed, "buffer").subarray(0, secretKeyLength);
  const { publicKey } = nacl.box.keyPair.fromSecretKey(secretKey);
  const ephemeralKey = sealed.subarray(0, publicKeyLength);
  const nonce = blakejs.blake2b(Buffer.concat([ephemeralKey, publicKey]), undefined, nonceLength);
  const opened = nacl.box.open(sealed.subarray(publicKeyLength), nonce, ephemeralKey, secretKey);
  if (opened === null) throw new Error("this box is not for this key");
  return opened;
}
