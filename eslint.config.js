import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** The one direction in which modules may depend on each other; entry points come last, and nothing imports them. */
const order =
  "runtime ← protocol ← verify (outcome ← keys ← tokens, assertions ← http) ← middleware, login, issuer, stores ← testing";

/** @param folders whose modules the modules of `folder` may import, beside their own */
const layer = (folder, ...folders) => ({
  files: [`src/${folder}/**`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: [
          { regex: String.raw`^(\.\./)+(?!\.\./|(${folders.join("|")})/)`, message: order },
          { regex: "^(express|koa|hono|fastify)", message: "frameworks are for entry points" },
        ],
      },
    ],
  },
});

/** Where the package runs, other code may have replaced these: no decision may turn on whose they are. */
const captured = ["Promise", "setTimeout", "clearTimeout", "setImmediate", "queueMicrotask", "performance"];
const ownClasses = "Refusal|LoginError|RemoteJwks|StaticJwks";
const joseClasses = "JOSEError";

const exportOfJwk = {
  selector: 'CallExpression[callee.property.name="export"] Property[key.name="format"][value.value="jwk"]',
  message: "exportJwk of src/protocol/jwk.ts: see there why",
};

export default defineConfig(
  globalIgnores([
    "dist/",
    "docs/site/.vitepress/.temp/",
    "docs/site/.vitepress/cache/",
    "docs/site/.vitepress/dist/",
    "docs/site/node_modules/",
    "bench/node_modules/",
    "examples/nestjs/", // as test/mcp/: test:recipes builds it
    "examples/next/",
    "test/codex/node_modules/",
    "test/environments/node_modules/",
    "test/package/.block-*/",
    "test/mcp/", // its packages are not installed with the project; it checks its own types
    "test/mutation/node_modules/",
    "test/runtimes/node_modules/",
    "test/site/", // as test/mcp/
    "test/stores/node_modules/",
  ]),
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["*.js", "scripts/*.js"] } } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-restricted-syntax": ["error", exportOfJwk],
    },
  },
  {
    files: ["src/**"],
    ignores: ["src/cli.ts", "src/cli/**"],
    rules: {
      "no-restricted-globals": [
        "error",
        ...captured.map((name) => ({ name, message: "take it from src/runtime/captured-globals.ts: see there why" })),
      ],
      "no-restricted-syntax": [
        "error",
        exportOfJwk,
        {
          selector: `BinaryExpression[operator="instanceof"]:not([right.name=/^(${ownClasses}|${joseClasses})$/])`,
          message: "another realm or a bundle has classes of its own: ask for what is needed of the value",
        },
        {
          selector: `MemberExpression[object.name="globalThis"][property.name=/^(${captured.join("|")})$/]`,
          message: "take it from src/runtime/captured-globals.ts: see there why",
        },
      ],
    },
  },
  layer("runtime"),
  layer("protocol", "runtime"),
  layer("verify/outcome", "runtime", "protocol"),
  layer("verify/keys", "runtime", "protocol", "outcome"),
  layer("verify/tokens", "runtime", "protocol", "outcome", "keys"),
  layer("verify/assertions", "runtime", "protocol", "outcome", "keys"),
  layer("verify/http", "runtime", "protocol", "outcome", "keys", "tokens", "assertions"),
  layer("middleware", "runtime", "protocol", "verify"),
  layer("login", "runtime", "protocol", "verify"),
  layer("issuer", "runtime", "protocol", "verify"),
  layer("stores", "runtime", "protocol"),
  layer("mcp", "runtime", "protocol", "verify"),
  layer("testing", "runtime", "protocol", "verify", "issuer"),
  {
    files: ["**/*.{js,cjs,mjs}"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { URL: "readonly", process: "readonly", console: "readonly" } },
  },
  {
    files: ["test/runtimes/*.js"],
    languageOptions: { globals: { Bun: "readonly", Deno: "readonly", Response: "readonly" } },
  },
  {
    files: ["bench/**"],
    languageOptions: {
      globals: Object.fromEntries(
        ["Buffer", "clearTimeout", "fetch", "performance", "setTimeout"].map((name) => [name, "readonly"]),
      ),
    },
  },
);
