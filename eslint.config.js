import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** The one direction in which modules may depend on each other: protocol ← verify ← login, issuer ← faces. */
const layer = (files, ...forbidden) => ({
  files,
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: [
          { regex: `(${forbidden.join("|")})`, message: "protocol ← verify ← middleware, login, issuer ← faces" },
        ],
      },
    ],
  },
});

/** Where the package runs, other code may have replaced these: no decision may turn on whose they are. */
const captured = ["Promise", "setTimeout", "clearTimeout", "setImmediate", "queueMicrotask", "performance"];
const ownClasses = "Refusal|LoginError|RemoteKeys|StaticKeys";
const joseClasses = "JOSEError";

const faces = String.raw`^\.\./[^/]+\.js$`;
const frameworks = "^(express|koa|hono)";

const exportOfJwk = {
  selector: 'CallExpression[callee.property.name="export"] Property[key.name="format"][value.value="jwk"]',
  message: "exportJwk of src/protocol/jwk.ts: see there why",
};

export default defineConfig(
  globalIgnores([
    "dist/",
    "docs/api/",
    "bench/node_modules/",
    "test/codex/node_modules/",
    "test/environments/node_modules/",
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
        ...captured.map((name) => ({ name, message: "take it from src/protocol/captured-globals.ts: see there why" })),
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
          message: "take it from src/protocol/captured-globals.ts: see there why",
        },
      ],
    },
  },
  layer(["src/protocol/**"], faces, frameworks, String.raw`^\.\./(verify|middleware|login|issuer)/`),
  layer(["src/verify/**"], faces, frameworks, String.raw`^\.\./(middleware|login|issuer)/`),
  layer(["src/middleware/**"], faces, frameworks, String.raw`^\.\./(login|issuer)/`),
  layer(["src/login/**"], faces, frameworks, String.raw`^\.\./issuer/`),
  layer(["src/issuer/**"], faces, frameworks, String.raw`^\.\./login/`),
  {
    files: ["**/*.{js,cjs,mjs}"],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { URL: "readonly", process: "readonly", console: "readonly" } },
  },
);
