import { execFile } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";

test.each([
  ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 })],
  ["Ed25519", generateKeyPairSync("ed25519")],
])("%s: a JWK is the same key", (_name, { publicKey, privateKey }) => {
  const publicJwk = exportJwk(publicKey);
  const privateJwk = exportJwk(privateKey);
  expect(createPublicKey({ key: publicJwk, format: "jwk" }).equals(publicKey)).toBe(true);
  expect(createPrivateKey({ key: privateJwk, format: "jwk" }).equals(privateKey)).toBe(true);
  expect(publicJwk).not.toHaveProperty("d");
  expect(privateJwk).toMatchObject({ ...publicJwk, d: expect.any(String) as string });
});

// In a process of its own, since one that stands still cannot fail a test: with KeyObject's own export, and a young
// generation this small, one on Node 20 does.
test("a key that was generated just now, whenever garbage is collected", { timeout: 30_000 }, async () => {
  const args = ["--max-semi-space-size=1", "--import", "tsx", "test/protocol/export-many.ts"];
  await promisify(execFile)(process.execPath, args, { timeout: 20_000 });
});
