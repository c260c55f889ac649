/** Each error code is explained, and what is said of peers was measured. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

test("why-refused.md has a section for each error code, which says what to do", () => {
  const codes = tableOf("docs/errors.md").flatMap(([code = ""]) => /^\[`(\w+)`\]/.exec(code)?.[1] ?? []);
  const sections = readFileSync("docs/why-refused.md", "utf8").split(/^### /m).slice(1);
  expect(codes.length).toBeGreaterThan(15);
  expect(sections.map((section) => /^`(\w+)`$/m.exec(section)?.[1]).sort()).toEqual(codes.sort());
  for (const section of sections) expect(section).toContain("- **Do**: ");
});

test.each([
  ["docs/comparison.md", 10],
  ["README.md", 6],
])("what %s says of peers is what the run of the faults found", (page, atLeast) => {
  const measured = tableOf("bench/FAULTS.md").map((row) => row.map((cell) => cell.replaceAll(/ \[\^\d+\]/g, "")));
  const names = new Set(measured.map(([name]) => name));
  const said = tableOf(page).filter(([name]) => names.has(name));
  expect(said.length).toBeGreaterThanOrEqual(atLeast);
  for (const row of said) expect(measured.map((cells) => cells.slice(0, row.length))).toContainEqual(row);
});

/** The rows of all tables of a page. */
function tableOf(page: string): string[][] {
  return [...readFileSync(page, "utf8").matchAll(/^\|( [^ -].*)\|$/gm)].map(([, cells = ""]) =>
    cells.split("|").map((cell) => cell.trim()),
  );
}
