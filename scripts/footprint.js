/** `npm run footprint`: what each package brings along when it is installed: how many packages, how many KiB. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const peers = JSON.parse(readFileSync("bench/package.json", "utf8")).dependencies;

const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-footprint-"));
process.once("exit", () => rmSync(directory, { recursive: true }));
execFileSync("npm", ["pack", "--pack-destination", directory], { stdio: "ignore" });
const tarball = join(directory, readdirSync(directory)[0]);

/** @param {string[]} packages */
function measure(packages) {
  const prefix = mkdtempSync(join(directory, "install-"));
  execFileSync("npm", ["install", "--prefix", prefix, "--omit=peer", "--no-audit", "--no-fund", ...packages], {
    stdio: "ignore",
  });
  const { packages: installed } = JSON.parse(readFileSync(join(prefix, "package-lock.json"), "utf8"));
  const files = readdirSync(join(prefix, "node_modules"), { recursive: true, encoding: "utf8" });
  const bytes = files
    .filter((file) => !file.startsWith("."))
    .map((file) => statSync(join(prefix, "node_modules", file)))
    .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
  const scripts = Object.values(installed).filter((entry) => entry.hasInstallScript).length;
  return { packages: Object.keys(installed).length - 1, KiB: Math.round(bytes / 1024), "install scripts": scripts };
}

const at = (of) => (name) => `${name}@${of[name]}`;
const rows = [
  ["agent-identity-auth", [tarball]],
  ...Object.keys(dependencies).map((name) => [name, [at(dependencies)(name)]]),
  ["express-oauth2-jwt-bearer", [at(peers)("express-oauth2-jwt-bearer")]],
  ["express-jwt + jwks-rsa", ["express-jwt", "jwks-rsa"].map(at(peers))],
  ["aws-jwt-verify", [at(peers)("aws-jwt-verify")]],
  ["fast-jwt + get-jwks", ["fast-jwt", "get-jwks"].map(at(peers))],
];
console.table(Object.fromEntries(rows.map(([name, packages]) => [name, measure(packages)])));
