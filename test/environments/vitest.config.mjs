import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globals: true,
    include: ["children/in-runner.test.js"],
    teardownTimeout: 1_000,
    // It is a browser otherwise: the JWKS would have to allow this origin.
    environmentOptions: { happyDOM: { settings: { fetch: { disableSameOriginPolicy: true } } } },
  },
});
