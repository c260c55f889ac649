import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["*.test.ts"],
    testTimeout: 60_000,
    // At most two clients at a time.
    fileParallelism: false,
    maxConcurrency: 2,
    disableConsoleIntercept: true,
  },
});
