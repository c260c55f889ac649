import { defineConfig } from "vitest/config";

/** `npm run test:slow` runs these, and `npm test` does not: they watch memory and locks for ten seconds each. */
const SLOW = "test/**/*.slow.test.ts";
const onlySlow = process.env["ONLY"] === "slow";

export default defineConfig({
  test: {
    testTimeout: 30_000,
    include: [onlySlow ? SLOW : "test/**/*.test.ts"],
    exclude: [
      ...(onlySlow ? [] : [SLOW]),
      "test/codex/**",
      "test/package/**",
      "test/prometheus/**",
      "test/recipes/**",
      "test/stores/**",
      "test/mcp/**",
      "test/runtimes/**",
      "test/site/**",
      "**/node_modules/**",
    ],
    // Files share a process, which spares most of the CPU time: a test puts back what it replaces, also when it fails.
    isolate: false,
    maxWorkers: 2,
    execArgv: ["--disable-warning=AgentIdentityWarning"], // tests of outages would print hundreds
  },
});
