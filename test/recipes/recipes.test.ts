/** The examples of NestJS and Next.js, with the real frameworks, over HTTP. */

import { createIssuer, type Issuer } from "agent-identity-auth/issuer";
import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { bearer } from "../support/request-table.js";
import { listen, send, stop, type Answer } from "../support/servers.js";
import { installAndBuild, RECIPES, start, type Recipe } from "./recipes.js";

const CHALLENGES: Record<string, string> = {
  credentials_missing: 'Bearer realm="agent-identity"',
  key_untrusted:
    'Bearer realm="agent-identity", error="invalid_token", error_description="The token is signed with a key that is not trusted."',
  workspace_not_allowed:
    'Bearer realm="agent-identity", error="insufficient_scope", error_description="This workspace is not allowed here."',
};

const installed = new Set<string>();

describe.each(RECIPES)("$name", (recipe) => {
  beforeAll(async () => {
    if (installed.has(recipe.folder)) return;
    await installAndBuild(recipe);
    installed.add(recipe.folder);
  });

  test("lets agents in by their tokens, and answers all others with a challenge", async () => {
    const { url, issuer } = await startRecipe(recipe);
    const agent = await mint(issuer, "acct-demo");
    const admin = await mint(issuer, "acct-admin");
    const stranger = await mint(await createIssuer(), "acct-admin");

    expectJson(await send(`${url}/tasks`, bearer(agent.token)), { agent: agent.agentRuntimeId });
    expectJson(await send(`${url}/admin`, bearer(admin.token)), { admin: admin.agentRuntimeId });
    for (const path of ["/tasks", "/admin"]) {
      expectRefusal(await send(url + path), 401, "credentials_missing");
      expectRefusal(await send(url + path, bearer(stranger.token)), 401, "key_untrusted");
    }
    expectRefusal(await send(`${url}/admin`, bearer(agent.token)), 403, "workspace_not_allowed");
  });

  test("answers an outage with 503 and Retry-After", async () => {
    const backend = await listen(() => undefined);
    await stop(backend.server); // and its port refuses connections
    const url = await start(recipe, `${backend.url}/backend-api`);
    const { token } = await mint(await createIssuer(), "acct-admin");
    for (const path of ["/tasks", "/admin"]) {
      const answer = await send(url + path, bearer(token));
      expectRefusal(answer, 503, "keys_unavailable");
      expect(answer.headers["retry-after"]).toMatch(/^[1-9]\d*$/);
    }
  });

  test("fetches the keys again for a token of a new key", async () => {
    const { url, issuer, fetches } = await startRecipe(recipe);
    const old = await mint(issuer, "acct-demo");
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(`${url}/tasks`, bearer(old.token))));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(fetches()).toBe(1);

    await issuer.rotateKey({ delay: 0 });
    const { token, agentRuntimeId } = await mint(issuer, "acct-demo");
    expectJson(await send(`${url}/tasks`, bearer(token)), { agent: agentRuntimeId });
    expect(fetches()).toBe(2);
    expectJson(await send(`${url}/tasks`, bearer(old.token)), { agent: old.agentRuntimeId });
  });

  test("listens on loopback alone", async () => {
    const { url } = await startRecipe(recipe);
    await expect(send(url.replace("127.0.0.1", "127.0.0.2"))).rejects.toThrow("ECONNREFUSED");
  });

  test("has the dependencies of this package in its lock", () => {
    const lock = readJson(`examples/${recipe.folder}/package-lock.json`);
    // npm keeps what a lock says of a folder: to refresh it, npm uninstall agent-identity-auth, restore package.json, npm install.
    expect(lock.packages?.["node_modules/agent-identity-auth"]?.dependencies).toEqual(
      readJson("package.json").dependencies,
    );
  });
});

test("Next.js: proxy.js answers for all paths of its matcher", async () => {
  const { url, issuer } = await startRecipe(nextRecipe());
  const missing = `${url}/admin/missing`;
  expectRefusal(await send(missing), 401, "credentials_missing");
  expectRefusal(await send(missing, bearer((await mint(issuer, "acct-demo")).token)), 403, "workspace_not_allowed");
  expect((await send(missing, bearer((await mint(issuer, "acct-admin")).token))).status).toBe(404);

  // Next once skipped the check for callers that sent this header: CVE-2025-29927.
  for (const name of ["proxy", "middleware"]) {
    const subrequest = { "x-middleware-subrequest": Array.from({ length: 5 }, () => name).join(":") };
    expectRefusal(await send(missing, subrequest), 401, "credentials_missing");
  }
});

test("Next.js: the routes share one key set, and proxy.js has another", async () => {
  const { url, issuer, fetches } = await startRecipe(nextRecipe());
  const { token } = await mint(issuer, "acct-admin");
  const counts = [];
  for (const path of ["/admin/missing", "/admin", "/tasks"]) {
    await send(url + path, bearer(token));
    counts.push(fetches());
  }
  expect(counts).toEqual([1, 2, 2]);
});

test("the docs show the code of the examples", () => {
  const page = readFileSync("docs/frameworks.md", "utf8");
  const [, nest = "", next = ""] = /^## NestJS$([^]*?)^## Next\.js$([^]*?)^## /m.exec(page) ?? [];
  const blocks = (text: string) => [...text.matchAll(/```(?:js|typescript)\n([^]*?)```/g)].map(([, code = ""]) => code);
  const unindented = (code: string) => code.replace(/^ +/gm, "");
  const read = (folder: string, ...files: string[]) =>
    files.map((file) => readFileSync(`examples/${folder}/${file}`, "utf8")).join("");
  const examples: [string, string, number][] = [
    [nest, read("nestjs", "server.ts"), 1],
    [next, read("next", "app/tasks/route.js", "proxy.js"), 2],
  ];
  for (const [section, code, count] of examples) {
    expect(blocks(section)).toHaveLength(count);
    for (const block of blocks(section)) expect(unindented(code)).toContain(unindented(block));
  }
});

test("every file of an example is shorter than 40 lines", () => {
  const files = ["nestjs", "next"].flatMap((folder) =>
    readdirSync(`examples/${folder}`, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.[jt]s$/.test(name) && !/^(node_modules|dist|\.next)\//.test(name))
      .map((name) => `examples/${folder}/${name}`),
  );
  expect(files.length).toBeGreaterThan(6);
  expect(files.filter((file) => readFileSync(file, "utf8").trimEnd().split("\n").length >= 40)).toEqual([]);
});

function nextRecipe(): Recipe {
  const recipe = RECIPES.find(({ folder }) => folder === "next");
  if (recipe === undefined) throw new Error("no recipe of Next.js");
  return recipe;
}

async function startRecipe(recipe: Recipe) {
  const issuer = await createIssuer();
  const router = issuer.router();
  let count = 0;
  const backend = await listen((req, res) => {
    count++;
    router(req, res);
  });
  return { url: await start(recipe, `${backend.url}/backend-api`), issuer, fetches: () => count };
}

const mint = (issuer: Issuer, accountId: string) => issuer.mint({ accountId, chatgptUserId: "user-1" });

function expectJson(answer: Answer, body: object): void {
  expect(answer.status, answer.body).toBe(200);
  expect(JSON.parse(answer.body)).toEqual(body);
}

function expectRefusal(answer: Answer, status: number, code: string): void {
  expect(answer.status, answer.body).toBe(status);
  expect(JSON.parse(answer.body)).toMatchObject({ error: { code } });
  expect(answer.headers["www-authenticate"]).toBe(CHALLENGES[code]);
  expect(answer.headers["cache-control"]).toBe("no-store");
}

interface PackageJson {
  dependencies?: Record<string, string>;
  packages?: Record<string, PackageJson>;
}

const readJson = (file: string) => JSON.parse(readFileSync(file, "utf8")) as PackageJson;
