import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    testTimeout: 30_000,
    include: ["test/**/*.test.ts"],
    exclude: [
      "test/codex/**",
      "test/package/**",
      "test/recipes/**",
      "test/stores/**",
      "test/mcp/**",
      "test/runtimes/**",
      "**/node_modules/**",
    ],
    // Files share a process, which spares most of the CPU time: a test puts back what it replaces, also when it fails.
    isolate: false,
    maxWorkers: 2,
    execArgv: ["--disable-warning=AgentIdentityWarning"], // tests of outages would print hundreds
  },
});
