/**
 * The report of the public types, one file in `api/` for each entry point. `npm run check:api` fails if a type has changed, and
 * `npm run api:accept` writes the files, for a change that is meant. Both read what `npm run build` made.
 */

import { CompilerState, Extractor, ExtractorConfig } from "@microsoft/api-extractor";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const root = join(import.meta.dirname, "..");
const accept = process.argv.includes("--accept");
const reportFolder = join(root, "api");
mkdirSync(reportFolder, { recursive: true });
const temporary = mkdtempSync(join(tmpdir(), "agent-identity-auth-api-"));
process.once("exit", () => {
  rmSync(temporary, { recursive: true });
});

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  exports: Record<string, { types?: string }>;
};
const configs = Object.values(manifest.exports).flatMap(({ types }) => (types === undefined ? [] : [configOf(types)]));
const [first] = configs;
if (first === undefined) throw new Error("package.json has no entry points");
const compilerState = CompilerState.create(first, {
  additionalEntryPoints: configs.map(({ mainEntryPointFilePath }) => mainEntryPointFilePath),
});

const changed = configs.filter((config) => {
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: accept,
    compilerState,
    // The linter and TypeDoc find what is wrong with a comment.
    messageCallback: (message) => (message.handled = true),
  });
  return apiReportChanged;
});
const names = changed.map(({ mainEntryPointFilePath: path }) => `api/${basename(path, ".d.ts")}.api.md`).join(", ");
if (accept) console.log(names === "" ? "nothing has changed" : `written: ${names}`);
else if (names !== "") {
  console.error(
    `The public types have changed: ${names}. If that is meant, run npm run api:accept and commit the files.`,
  );
  process.exitCode = 1;
}

/** @param types the declarations of an entry point, as `package.json` names them */
function configOf(types: string): ExtractorConfig {
  return ExtractorConfig.prepare({
    packageJsonFullPath: join(root, "package.json"),
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, types),
      apiReport: {
        enabled: true,
        reportFileName: types.replace("./dist/", "").replace(".d.ts", ""),
        reportFolder,
        reportTempFolder: temporary,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      compiler: {
        overrideTsconfig: {
          compilerOptions: { module: "nodenext", target: "es2023", types: ["node"], strict: true, skipLibCheck: true },
          include: [join(root, "dist/*.d.ts")],
        },
      },
    },
  });
}
