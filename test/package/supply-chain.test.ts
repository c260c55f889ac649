import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface LockEntry {
  dev?: boolean;
  devOptional?: boolean;
  peer?: boolean;
  optional?: boolean;
  hasInstallScript?: boolean;
}

const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as { packages: Record<string, LockEntry> };
const { dependencies, allowScripts } = JSON.parse(readFileSync("package.json", "utf8")) as {
  dependencies: Record<string, string>;
  allowScripts: Record<string, boolean>;
};

/** What a plain install brings along. */
const installed = Object.entries(packages).filter(
  ([path, { dev, devOptional, peer }]) => path !== "" && !dev && !devOptional && !peer,
);

test("these packages are installed with this one, and no others", () => {
  expect(installed.map(([path]) => path.replace(/^.*node_modules\//, "")).sort()).toEqual([
    "blakejs",
    "depd",
    "fastify-plugin",
    "http-errors",
    "inherits",
    "jose",
    "lru.min",
    "setprototypeof",
    "signal-exit",
    "statuses",
    "toidentifier",
    "tweetnacl",
    "write-file-atomic",
  ]);
});

test("none of them runs a script when it is installed", () => {
  expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
});

test("nor does a package that this one is developed with", () => {
  const withScript = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript);
  const allowed = withScript.filter(([path]) => allowScripts[path.replace(/^.*node_modules\//, "")] !== false);
  expect(allowed).toEqual([]);
});

test("SECURITY.md says of each dependency why it is there", () => {
  const listed = [...readFileSync("SECURITY.md", "utf8").matchAll(/^\| `([^`]+)` +\| [^|]*\w/gm)].map(
    ([, name]) => name,
  );
  expect(listed.sort()).toEqual(Object.keys(dependencies).sort());
});
