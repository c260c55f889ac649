/**
 * Every code block of a page compiles and runs. The pages that `docs.test.ts` runs block by block are left to it, and
 * `docs/stores.md` to `npm run test:stores`, which has the clients.
 */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createCodexHome } from "../support/homes.js";
import { startBackend } from "../support/servers.js";
import { answerOf, codeBlocks, isServer, OPERATING, PAGES, start, startServer } from "./code-blocks.js";

const readme = readFileSync("README.md", "utf8");
const RUN_ELSEWHERE = ["docs/migration.md", ...OPERATING, "docs/stores.md"];
const blocks = PAGES.filter((page) => !RUN_ELSEWHERE.includes(page)).flatMap((page) =>
  codeBlocks(page).map((code) => ({ page, code })),
);

test("a stranger reads the README in one go, and sees code on its first screen", () => {
  expect(Buffer.byteLength(readme)).toBeLessThanOrEqual(12 * 1024);
  expect(readme.split("\n").findIndex((line) => line.startsWith("```ts"))).toBeLessThan(30);
});

const servers = blocks.filter(({ code }) => isServer(code));
const scripts = blocks.filter(({ code }) => !isServer(code));

test.each(servers)("$page: type-checks and serves:\n$code", async ({ code }) => {
  const { url } = await startServer(code, { "tasks.example": "127.0.0.1" });
  const [method, path] = code.includes('app.post("/mcp"')
    ? ["POST", "/mcp"]
    : ["GET", code.includes("issuer.router") ? "/backend-api/whoami" : "/tasks"];
  const answer = await answerOf(`${url}${path}`, { method });
  expect(answer.status).toBe(401);
  expect(await answer.json()).toMatchObject({ error: { code: "credentials_missing" } });
});

test.each(scripts)("$page: type-checks and runs:\n$code", async ({ code }) => {
  const backend = await startBackend();
  const requested: (string | undefined)[] = [];
  backend.server.on("request", ({ url }) => requested.push(url));
  const { codexHome } = createCodexHome();
  const child = await start(code, { "http://127.0.0.1:8080": backend.url, "/var/lib/agent": codexHome });
  expect(await once(child, "exit")).toEqual([0, null]);
  if (code.includes("127.0.0.1:8080")) expect(requested).toContain("/backend-api/tasks");
});
