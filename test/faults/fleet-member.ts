/** A process of a fleet, started by a test: verifies one token with the key set that the fleet shares. */

import KeyvRedis from "@keyv/redis";
import { Keyv } from "keyv";
import { createVerifier } from "../../src/index.js";

const [baseUrl = "", redisUrl = "", token = ""] = process.argv.slice(2);
const store = new Keyv({ store: new KeyvRedis(redisUrl) });
const verifier = createVerifier(baseUrl, { jwks: { store } });
const { agentRuntimeId } = await verifier.verify(token);
console.log(JSON.stringify({ agentRuntimeId, kids: verifier.jwks.status().kids }));
// What it may have written is on its way: the connection ends after it.
await store.disconnect();
