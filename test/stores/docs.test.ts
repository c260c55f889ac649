/** The code blocks of docs/stores.md compile against the clients' own types, and reach real databases. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished, test } from "vitest";
import { unavailable } from "./engines.js";
import { missingFor, startServer, type ServerKind } from "../support/databases.js";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/stores.md"), "utf8");
const blocks = [...page.matchAll(/```ts\n([^]*?)```/g)].map(([, code = ""]) => code);

/** Type-checks it as a consumer would. @returns the module that holds it */
function check(code: string): string {
  const directory = mkdtempSync(join(import.meta.dirname, ".block-"));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  const file = join(directory, "block.ts");
  writeFileSync(file, code);
  const compiler = join(root, "node_modules/typescript7/bin/tsc");
  const options = "--ignoreConfig --noEmit --strict --module nodenext --target es2023 --types node --esModuleInterop";
  execFileSync(process.execPath, [compiler, ...options.split(" "), "--skipLibCheck", file], { stdio: "inherit" });
  return file;
}

/** What the server is on the page, and what else takes the place of the client there. */
const SERVERS: [ServerKind, string, Record<string, string>[]][] = [
  ["redis", "redis://127.0.0.1:6379", [{}, { '"redis"': '"redis5"' }]],
  ["postgres", "postgres://postgres@127.0.0.1:5432/postgres", [{}]],
  ["file", "/var/lib/agent", [{}]],
];

const isCompiled = !unavailable.some((reason) => reason.startsWith("better-sqlite3"));

for (const [kind, url, variants] of SERVERS) {
  for (const variant of variants) {
    const isMissing = missingFor(kind) !== undefined || (kind === "file" && !isCompiled);
    test.skipIf(isMissing)(`${kind} ${Object.values(variant).join()}`, async () => {
      const server = await startServer(kind);
      onTestFinished(() => server.stop());
      const replacements = {
        [url]: server.url,
        ...variant,
        '"agent-identity-auth/': '"../../../dist/',
        '/issuer"': '/issuer.js"',
        '/stores"': '/stores.js"',
      };
      const [block = ""] = blocks.filter((code) => code.includes(url));
      const code = Object.entries(replacements).reduce((text, [from, to]) => text.replaceAll(from, to), block);
      const file = check(`${code}process.exit((await issuer.jwks()).keys.length - 1);\n`);
      execFileSync(process.execPath, ["--import", "tsx", file], { stdio: "inherit" });
    });
  }
}

test("the types of every other client fit", () => {
  check(`
    import { DatabaseSync } from "node:sqlite";
    import * as ioredis5 from "ioredis5";
    import * as ioredis from "ioredis";
    import { createClientPool, createCluster } from "redis";
    import * as redis5 from "redis5";
    import { redisStore, sqliteStore } from "../../../dist/stores.js";
    export const stores = (url: string) => [
      redisStore(new ioredis.Redis(url)),
      redisStore(new ioredis.Cluster([url])),
      redisStore(new ioredis5.Redis(url)),
      redisStore(new ioredis5.Cluster([url])),
      redisStore(createClientPool({ url })),
      redisStore(createCluster({ rootNodes: [{ url }] })),
      redisStore(redis5.createCluster({ rootNodes: [{ url }] })),
      sqliteStore(new DatabaseSync(url)),
    ];
    // @ts-expect-error -- a client of another database
    export const wrong = () => sqliteStore(new ioredis.Redis());
  `);
});
