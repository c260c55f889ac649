/** Exports keys as soon as they are generated: how `jwk.slow.test.ts` sees that this comes to an end. */

import { generateKeyPairSync } from "node:crypto";
import { exportJwk } from "../../src/protocol/jwk.js";

for (let i = 0; i < 1_500; i++) {
  const { publicKey } = generateKeyPairSync("ed25519");
  for (let j = 0; j < 20; j++) exportJwk(publicKey);
}
