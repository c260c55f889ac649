/* global test, jest */
// For Jest and vitest alike: the servers run inside a test, until the parent ends the process.
import { main } from "./main.js";

test("the servers run", async () => {
  if (typeof jest !== "undefined") globalThis.jest = jest; // Jest gives it to each module, and not to packages
  await main();
  await new Promise(() => undefined);
}, 120_000);
