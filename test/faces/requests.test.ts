import { describe, expect, test } from "vitest";
import { listen, send, startBackend } from "../support/servers.js";
import { bearer, expectAnswer, REQUESTS, token } from "./request-table.js";
import { faces } from "./servers.js";

describe.each(faces)("%s", (_, { ofRequest, createServer }) => {
  test.each(REQUESTS)("%s", async (_name, headers, expected, path = "/required", expectedOfRequest = expected) => {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    expectAnswer(await send(url + path, headers), ofRequest ? expectedOfRequest : expected);
  });

  test("a second time too, when it is remembered", async () => {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    for (let time = 0; time < 2; time++) {
      for (const path of ["/required", "/acct-1", "/optional"]) {
        expectAnswer(await send(url + path, bearer(token)), "agent-1");
      }
      expectAnswer(await send(`${url}/acct-2`, bearer(token)), "workspace_not_allowed");
    }
    expect(backend.fetches).toBe(1);
  });

  test("OPTIONS and HEAD get no special treatment", async () => {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    expectAnswer(await send(`${url}/required`, {}, "OPTIONS"), "credentials_missing");
    expect(await send(`${url}/required`, {}, "HEAD")).toMatchObject({ status: 401, body: "" });
  });

  test("an outage is 503 with Retry-After and no challenge", async () => {
    const backend = await startBackend();
    backend.answer = (_req, res) => res.writeHead(500).end();
    const { url } = await listen(createServer(backend.baseUrl));
    const answer = await send(`${url}/required`, bearer(token));
    expect(answer.status).toBe(503);
    expect(answer.headers["retry-after"]).toMatch(/^[12]$/);
    expect(answer.headers["cache-control"]).toBe("no-store");
    expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(answer.headers["www-authenticate"]).toBeUndefined();
    expect(JSON.parse(answer.body)).toEqual({
      error: {
        message: "The signing keys are unavailable at the moment. Try again later.",
        type: "service_unavailable_error",
        code: "keys_unavailable",
      },
    });
  });
});
