/** The one table of requests, over HTTP, on runtimes that are not Node. */

import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { expectFailure } from "../support/refusals.js";
import { bearer, expectAnswer, REQUESTS, token, type Expected } from "../support/request-table.js";
import { send, startBackend } from "../support/servers.js";
import { RUNTIMES, type StartApp } from "./runtimes.js";

/** Workers drop an empty header before they join the rest, so that the other one is the only one. */
const seenByWorkers: Record<string, Expected> = {
  "two headers, one empty": "agent-1",
  "two headers where optional": "nobody",
};
const WITHOUT_EMPTY_HEADERS: Record<string, Record<string, Expected>> = {
  "Cloudflare Workers": seenByWorkers,
  "Cloudflare Workers of 2024": seenByWorkers,
};

const grid = [["runtime", "adapter", "rows", "wrong accepts", "wrong refusals", "lastError"]];

afterAll(() => {
  console.log(grid.map((row) => `| ${row.join(" | ")} |`).join("\n"));
});

describe.each(RUNTIMES)("%s", (name, startApp, adapter) => {
  test("gives each request of the table its answer, and tells why there are no keys", async () => {
    const { app, backend } = await start(startApp);
    const counts = { accepts: 0, refusals: 0 };
    const wrong: string[] = [];
    for (const [what, headers, expected, path = "/required", expectedOfRequest = expected] of REQUESTS) {
      const wanted = WITHOUT_EMPTY_HEADERS[name]?.[what] ?? (adapter === "fetch" ? expectedOfRequest : expected);
      const answer = await send(app.url + path, headers);
      try {
        expectAnswer(answer, wanted);
      } catch (error) {
        if (answer.status === 200) counts.accepts++;
        else counts.refusals++;
        wrong.push(`${what}: ${answer.status} ${answer.body}, not ${wanted}; ${String(error).slice(0, 200)}`);
      }
    }
    const lastError = adapter === "fetch" ? (await send(`${app.url}/last-error`)).body : "";
    grid.push([name, adapter, String(REQUESTS.length), String(counts.accepts), String(counts.refusals), lastError]);
    expect(wrong).toEqual([]);
    if (adapter === "fetch") expect(lastError).toMatch(/^"no answer( \(ECONNREFUSED\))?"$/);
    expect(backend.fetches).toBe(2);
  });

  test("answers an outage with 503, and is well when the endpoint is", async () => {
    const { app, backend } = await start(startApp);
    backend.answer = (_req, res) => res.writeHead(500).end();
    expectFailure(await send(`${app.url}/required`, bearer(token)), "keys_unavailable");
    backend.answer = undefined;
    await expect
      .poll(async () => (await send(`${app.url}/required`, bearer(token))).status, { timeout: 10_000 })
      .toBe(200);
  });
});

async function start(startApp: StartApp) {
  const backend = await startBackend();
  const app = await startApp(backend.baseUrl);
  onTestFinished(() => app.stop());
  return { app, backend };
}
