/** The README's tables name every error code, with its status, and every option: no more and no fewer. The comparison is measured. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { agentIdentityAuth } from "../../src/index.js";

const readme = readFileSync("README.md", "utf8");

/** Each code of the source, with its status. */
function failures(): [code: string, status: string][] {
  const table =
    readFileSync("src/verify/outcome/errors.ts", "utf8").split("const FAILURES = {")[1]?.split("} as const")[0] ?? "";
  return [...table.matchAll(/(\w+): \{\s*status: (\d+)/g)].map(([, code = "", status = ""]) => [code, status]);
}

/** The cells of a section's rows that begin with a name in backquotes. */
function rows(heading: string): string[][] {
  const section = readme.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return [...section.matchAll(/^\| `([\w.]+)` *\|(.*)\|$/gm)].map(([, name = "", rest = ""]) => [
    name,
    ...rest.split("|").map((cell) => cell.trim()),
  ]);
}

test("every error code is there, with its status", () => {
  expect(failures().length).toBeGreaterThan(15);
  expect(
    rows("Errors")
      .map(([code, status]) => `${code} ${status}`)
      .sort(),
  ).toEqual(
    failures()
      .map((failure) => failure.join(" "))
      .sort(),
  );
});

test("why-refused.md has one full row for each error code", () => {
  const page = readFileSync("docs/why-refused.md", "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \|(.*)\|$/gm)];
  expect(rows.map(([, code]) => code).sort()).toEqual(
    failures()
      .map(([code]) => code)
      .sort(),
  );
  for (const [row, , cells = ""] of rows) {
    expect(
      cells.split("|").map((cell) => cell.trim() !== ""),
      row,
    ).toEqual([true, true, true, true]);
  }
});

test("what is said of peers is what the run of the faults found", () => {
  const measured = tableRows(readFileSync("bench/FAULTS.md", "utf8").replaceAll(/ \[\^\d+\]/g, ""));
  const names = new Set(measured.map(([name]) => name));
  const said = tableRows(readFileSync("docs/comparison.md", "utf8")).filter(([name]) => names.has(name));
  expect(said.length).toBeGreaterThan(10);
  for (const row of said) expect(measured).toContainEqual(row);
});

function tableRows(markdown: string): string[][] {
  return [...markdown.matchAll(/^\|( [^ -].*)\|$/gm)].map(([, cells = ""]) =>
    cells.split("|").map((cell) => cell.trim()),
  );
}

test("every option is there", () => {
  const documented = rows("Options").map(([name = ""]) => name);
  const jwks = documented.filter((name) => name.startsWith("jwks.")).map((name) => name.slice("jwks.".length));
  expect(documented.filter((name) => !name.includes(".")).sort()).toEqual(optionsOf({ nonsense: 1 }));
  expect(jwks.sort()).toEqual(optionsOf({ jwks: { nonsense: 1 } }));
});

/** As the error for an option that there is not lists them. */
function optionsOf(options: object): string[] {
  let message = "";
  try {
    agentIdentityAuth("https://chatgpt.com", options);
  } catch (error) {
    message = (error as TypeError).message;
  }
  return (message.split("the options are ")[1] ?? "").split(", ").sort();
}
