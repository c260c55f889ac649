import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

/** One row of `npm run test:environments`, which needs no package of its own: with it, forged tokens came through once. */
test("the verdicts are the same where the global Promise has been replaced", async () => {
  const { stdout } = await promisify(execFile)("npx", [
    "tsx",
    "test/environments/run.ts",
    "--only",
    "Promise: subclass, before",
  ]);
  expect(stdout).toMatch(/^1 passed, 0 failed$/m);
});
