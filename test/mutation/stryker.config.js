import { tmpdir } from "node:os";
import { join } from "node:path";

/** @type {import("@stryker-mutator/api/core").PartialStrykerOptions} */
export default {
  testRunner: "vitest",
  vitest: { configFile: "test/mutation/vitest.config.ts" },
  plugins: ["@stryker-mutator/vitest-runner"],
  coverageAnalysis: "perTest",
  ignoreStatic: true, // a mutant in a line that runs at import would need every test
  concurrency: 2,
  // Outside of the project, so that other tools do not come across the copy of it.
  tempDirName: join(tmpdir(), "agent-identity-auth-stryker"),
  ignorePatterns: [
    "bench",
    "docs/site",
    "examples",
    "dist",
    "test/{codex,environments,mcp,package,runtimes,site,soak,stores}",
  ],
  reporters: ["clear-text", "json"],
  jsonReporter: { fileName: "test/mutation/report.json" },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
};
