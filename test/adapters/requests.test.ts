import { describe, expect, test } from "vitest";
import { listen, send as sendRequest, startBackend, type Answer } from "../support/servers.js";
import { assertion } from "../support/assertions.js";
import { bearer, expectAnswer, MESSAGES, REQUESTS, token, type SentHeaders } from "./request-table.js";
import { adapters, resourceMetadata, signer } from "./servers.js";

describe.each(adapters)("%s", (_, { ofRequest, ofMcp = false, createServer }) => {
  const metadata = `resource_metadata="${resourceMetadata}"`;

  /** Without the URL of the metadata, which MCP has in every challenge. */
  const send = async (...args: Parameters<typeof sendRequest>): Promise<Answer> => {
    const answer = await sendRequest(...args);
    const challenge = answer.headers["www-authenticate"];
    if (!ofMcp || challenge === undefined) return answer;
    expect(challenge.endsWith(`, ${metadata}`)).toBe(true);
    return { ...answer, headers: { ...answer.headers, "www-authenticate": challenge.replace(`, ${metadata}`, "") } };
  };
  const requests = REQUESTS.filter(([, , , path = ""]) => !ofMcp || !path.startsWith("/optional"));

  test.each(requests)("%s", async (_name, headers, expected, path = "/required", expectedOfRequest = expected) => {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    expectAnswer(await send(url + path, headers), ofRequest ? expectedOfRequest : expected);
  });

  test("a second time too, when it is remembered", async () => {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    for (let time = 0; time < 2; time++) {
      for (const path of ["/required", "/acct-1", ...(ofMcp ? [] : ["/optional"])]) {
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

  test("AgentAssertions, with the code that makes Codex register anew", async () => {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    const ask = (taskId: string, path: string) => send(url + path, { Authorization: assertion(signer, taskId) });
    expect(await ask("task-1", "/assertions")).toMatchObject({ status: 200, body: '"agent-2"' });
    const unknown = await ask("task-2", "/assertions");
    expect(unknown.status).toBe(401);
    expect(JSON.parse(unknown.body)).toEqual({
      error: {
        message: "The task is unknown or has expired.",
        type: "authentication_error",
        code: "invalid_task_id",
      },
    });
    const unavailable = await ask("task-1", "/no-directory");
    expect(unavailable.status).toBe(503);
    expect(unavailable.headers["retry-after"]).toBe("1");
    expect(JSON.parse(unavailable.body)).toMatchObject({ error: { code: "directory_unavailable" } });
  });

  test("realm and resource metadata are in every challenge", async () => {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    const challengeFor = async (headers: SentHeaders) =>
      (await sendRequest(`${url}/assertions`, headers)).headers["www-authenticate"];
    expect(await challengeFor({})).toBe(`Bearer realm="tasks", ${metadata}`);
    expect(await challengeFor(bearer("abc"))).toBe(
      `Bearer realm="tasks", error="invalid_token", error_description="${MESSAGES.token_malformed[1]}", ${metadata}`,
    );
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
