import { statSync } from "node:fs";
import { defineConfig, type Plugin } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import unit from "../../vitest.config.js";
import { EDITS } from "./edits.js";

/** From the cheapest tests to the dearest, because a mutant lives until the first test fails. */
const FOLDERS = ["protocol", "verify", "attacks", "adapters", "middleware", "faults"];
/** They measure memory and time, or make bundles. That takes seconds, and other tests notice the same mutants. */
const SLOW = ["**/*.slow", "verify/errors", "attacks/redos"];

class CheapestFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const cost = ({ moduleId }: TestSpecification) =>
      FOLDERS.findIndex((folder) => moduleId.includes(`/test/${folder}/`)) * 1e6 + statSync(moduleId).size;
    return Promise.resolve(files.toSorted((a, b) => cost(a) - cost(b)));
  }
}

const edit = EDITS.find(({ rule }) => rule === process.env["EDIT"]);
const edited: Plugin = {
  name: "edited",
  enforce: "pre",
  transform(code, id) {
    const changes = edit?.changes.filter(([file]) => id.endsWith(`/src/${file}`)) ?? [];
    return changes.reduce((text, [, find, replace]) => text.replace(find, () => replace), code);
  },
};

/** The unit tests of src/protocol and src/verify, with the edit that the environment variable EDIT names. */
export default defineConfig({
  plugins: [edited],
  test: {
    ...unit.test,
    include: FOLDERS.map((folder) => `test/${folder}/**/*.test.ts`),
    exclude: SLOW.map((name) => `test/${name}.test.ts`),
    sequence: { sequencer: CheapestFirst },
  },
});
