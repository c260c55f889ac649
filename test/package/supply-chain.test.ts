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
const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies: Record<string, string> };

/** What a plain install brings along. */
const installed = Object.entries(packages).filter(
  ([path, { dev, devOptional, peer }]) => path !== "" && !dev && !devOptional && !peer,
);

test("these packages are installed with this one, and no others", () => {
  expect(installed.map(([path]) => path.replace(/^.*node_modules\//, "")).sort()).toEqual([
    "@noble/ciphers",
    "@noble/curves",
    "@noble/hashes",
    "depd",
    "http-errors",
    "inherits",
    "jose",
    "lru-cache",
    "setprototypeof",
    "signal-exit",
    "statuses",
    "toidentifier",
    "write-file-atomic",
  ]);
});

test("none of them runs a script when it is installed", () => {
  expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
});

test("SECURITY.md says of each dependency why it is there", () => {
  const listed = [...readFileSync("SECURITY.md", "utf8").matchAll(/^\| `([^`]+)` +\| [^|]*\w/gm)].map(
    ([, name]) => name,
  );
  expect(listed.sort()).toEqual(Object.keys(dependencies).sort());
});
