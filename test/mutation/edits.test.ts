import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EDITS } from "./edits.js";

test.each(EDITS)("the source has each text of the edit once: $rule", ({ changes }) => {
  for (const [file, find] of changes) expect(readFileSync(`src/${file}`, "utf8").split(find), find).toHaveLength(2);
});
