/** The table of refusals has every error code, and what is said of peers was measured. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

test("why-refused.md has one full row for each error code", () => {
  const codes = tableOf("docs/errors.md").flatMap(([code = ""]) => /^\[`(\w+)`\]/.exec(code)?.[1] ?? []);
  const rows = tableOf("docs/why-refused.md").filter(([code = ""]) => /^`\w+`$/.test(code));
  expect(codes.length).toBeGreaterThan(15);
  expect(rows.map(([code]) => code).sort()).toEqual(codes.map((code) => `\`${code}\``).sort());
  for (const row of rows) {
    expect(row).toHaveLength(5);
    expect(row).not.toContain("");
  }
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
