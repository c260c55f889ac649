import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** The one direction in which modules may depend on each other: protocol ← verify ← login, issuer ← faces. */
const layer = (files, ...forbidden) => ({
  files,
  rules: {
    "no-restricted-imports": [
      "error",
      { patterns: [{ regex: `(${forbidden.join("|")})`, message: "protocol ← verify ← login, issuer ← faces" }] },
    ],
  },
});

const faces = String.raw`^\.\./[^/]+\.js$`;
const frameworks = "^(express|koa|hono)";

export default defineConfig(
  globalIgnores(["dist/", "docs/api/", "bench/node_modules/", "test/codex/node_modules/"]),
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["*.js", "scripts/*.js"] } } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-restricted-syntax": [
        "error",
        {
          selector: 'CallExpression[callee.property.name="export"] Property[key.name="format"][value.value="jwk"]',
          message: "exportJwk of src/protocol/jwk.ts: see there why",
        },
      ],
    },
  },
  layer(["src/protocol/**"], faces, frameworks, String.raw`^\.\./(verify|login|issuer)/`),
  layer(["src/verify/**"], faces, frameworks, String.raw`^\.\./(login|issuer)/`),
  layer(["src/login/**"], faces, frameworks, String.raw`^\.\./issuer/`),
  layer(["src/issuer/**"], faces, frameworks, String.raw`^\.\./login/`),
  {
    files: ["**/*.js"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { URL: "readonly", process: "readonly", console: "readonly" } },
  },
);
