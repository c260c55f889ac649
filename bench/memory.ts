/** What the verified-token cache holds, and whether a flood of distinct tokens makes it hold more. */

import { setTimeout as delay } from "node:timers/promises";
import { createVerifier } from "../dist/index.js";
import { answerParent } from "./processes.js";
import { HOT_TOKENS, streamTokens, WARM_UP_TOKENS } from "./tokens.js";

export interface MemoryQuestion {
  baseUrl: string;
  tokenFile: string;
  checkpoints: number[];
}

/** Bytes held after so many distinct tokens, over what was held before the first. */
export interface MemorySample {
  tokens: number;
  bytes: number;
}

answerParent(async ({ baseUrl, tokenFile, checkpoints }: MemoryQuestion): Promise<MemorySample[]> => {
  // Everything but the cache has to be there before: compiled code, the key set, jose's key.
  const uncached = createVerifier(baseUrl, { tokenCache: false });
  for await (const token of streamTokens(tokenFile, 0, HOT_TOKENS + WARM_UP_TOKENS)) await uncached.verify(token);

  const before = await heldBytes();
  const verifier = createVerifier(baseUrl);
  const samples: MemorySample[] = [];
  let tokens = 0;
  for await (const token of streamTokens(tokenFile, 0, Math.max(...checkpoints))) {
    await verifier.verify(token);
    if (checkpoints.includes(++tokens)) samples.push({ tokens, bytes: (await heldBytes()) - before });
  }
  return samples;
});

async function heldBytes(): Promise<number> {
  if (!globalThis.gc) throw new Error("this process needs --expose-gc");
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await delay(20); // what finalizers let go of goes with the next collection
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
