import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/recipes/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 300_000, // an install and a build
    fileParallelism: false,
  },
});
