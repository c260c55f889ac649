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

// In a process of its own, since one that stands still cannot fail a test. With KeyObject's own export, and a young
// generation this small, one on Node 20 does.
test("a key that was generated just now, whenever garbage is collected", { timeout: 30_000 }, async () => {
  const script = `
    import { generateKeyPairSync } from "node:crypto";
    import { exportJwk } from ${JSON.stringify(new URL("../../dist/protocol/jwk.js", import.meta.url).href)};
    for (let i = 0; i < 300; i++) {
      const { privateKey } = generateKeyPairSync("ed25519");
      for (let j = 0; j < 20; j++) exportJwk(privateKey);
    }
    process.stdout.write("done");`;
  const node = [process.execPath, ["--max-semi-space-size=1", "--input-type=module", "--eval", script]] as const;
  const { stdout } = await promisify(execFile)(...node, { timeout: 20_000 });
  expect(stdout).toBe("done");
});
