/**
 * One process of a fleet whose verifiers share a key set in Redis. Plain JavaScript on `dist`, so that 16 of them are light. Its
 * parent sends the tokens, by name; this process verifies each of them again and again, and reports the verdicts.
 */

import { setTimeout as sleep } from "node:timers/promises";
import KeyvRedis from "@keyv/redis";
import { Keyv } from "keyv";
import { createClient } from "redis";
import { createVerifier } from "../../dist/index.js";
import { redisStore } from "../../dist/stores.js";

/** ms between two reports. */
const REPORT_EVERY = 200;

/** @type {import("./verifier-fleet.test.ts").MemberOptions} */
const { baseUrl, redisUrl, client, listens, every, clockAhead, jwks } = JSON.parse(process.argv[2] ?? "");

const trueTime = Date.now;
Date.now = () => trueTime() + clockAhead;

const ignore = () => undefined;
const store = client === "keyv" ? new Keyv({ store: new KeyvRedis(redisUrl) }) : connect();
if (client === "keyv" && listens) store.on("error", ignore);

function connect() {
  const redis = createClient({ url: redisUrl, disableOfflineQueue: true });
  if (listens) redis.on("error", ignore);
  redis.connect().catch(ignore); // not awaited: the verifier starts without Redis as well
  return redisStore(redis);
}

const verifier = createVerifier(baseUrl, { jwks: { ...jwks, store }, tokenCache: false });
let tokens = {};
let verdicts = [];

process.on("message", (sent) => {
  tokens = sent;
});
process.on("disconnect", () => process.exit());
process.send("ready");

async function verify(name) {
  const from = trueTime();
  const outcome = await verifier.verify(tokens[name]).then(
    () => "accepted",
    (error) => error.code ?? String(error),
  );
  verdicts.push({ name, outcome, from, to: trueTime() });
}

for (let reportedAt = trueTime(); ; await sleep(every)) {
  for (const name of Object.keys(tokens)) void verify(name);
  if (trueTime() - reportedAt < REPORT_EVERY) continue;
  reportedAt = trueTime();
  process.send(verdicts);
  verdicts = [];
}
