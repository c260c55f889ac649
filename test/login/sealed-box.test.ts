import { generateKeyPairSync } from "node:crypto";
import sodium from "libsodium-wrappers";
import { expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { openSealedBox } from "../../src/login/sealed-box.js";

await sodium.ready;

/** The key as the backend sees it (public, in X25519 form) and as the agent holds it (the seed). */
function createAgentKey() {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { d = "", x = "" } = exportJwk(privateKey);
  const recipient = sodium.crypto_sign_ed25519_pk_to_curve25519(Buffer.from(x, "base64url"));
  return { seed: Buffer.from(d, "base64url"), recipient };
}

test.each([0, 1, 31, 64, 1000])("opens what libsodium sealed: %i bytes", (length) => {
  const { seed, recipient } = createAgentKey();
  const message = sodium.randombytes_buf(length);
  expect(Buffer.from(openSealedBox(sodium.crypto_box_seal(message, recipient), seed))).toEqual(Buffer.from(message));
});

test("opens nothing that was tampered with, cut short, or sealed for somebody else", () => {
  const { seed, recipient } = createAgentKey();
  const sealed = sodium.crypto_box_seal("task-1", recipient);
  expect(Buffer.from(openSealedBox(sealed, seed)).toString()).toBe("task-1");
  for (let i = 0; i < sealed.length; i++) {
    const tampered = Uint8Array.from(sealed, (byte, at) => (at === i ? byte ^ 1 : byte));
    expect(() => openSealedBox(tampered, seed), `byte ${String(i)}`).toThrow();
    expect(() => openSealedBox(sealed.subarray(0, i), seed), `cut to ${String(i)}`).toThrow();
  }
  expect(() => openSealedBox(sealed, createAgentKey().seed)).toThrow();
  expect(() => openSealedBox(new Uint8Array(80), seed)).toThrow();
});
