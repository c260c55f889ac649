import { describe, expect, test } from "vitest";
import { adapters, resourceMetadata, signer } from "../support/adapter-servers.js";
import { assertion } from "../support/assertions.js";
import { expectFailure, MESSAGES } from "../support/refusals.js";
import { bearer, expectAnswer, REQUESTS, token, type SentHeaders } from "../support/request-table.js";
import { listen, send, startBackend } from "../support/servers.js";

describe.each(adapters)("%s", (_, { ofRequest, createServer }) => {
  async function start() {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    return {
      backend,
      ask: (path: string, headers?: SentHeaders, method?: string) => send(url + path, headers, method),
    };
  }

  test("answers each request of the table as it should, and a second time too", async () => {
    const { backend, ask } = await start();
    for (const [name, headers, expected, path = "/required", expectedOfRequest = expected] of [
      ...REQUESTS,
      ...REQUESTS,
    ]) {
      const answer = await ask(path, headers);
      expect(() => {
        expectAnswer(answer, ofRequest ? expectedOfRequest : expected);
      }, name).not.toThrow();
    }
    // One fetch, and one more for the first key id that it does not know.
    expect(backend.fetches).toBe(2);
  });

  test("gives OPTIONS and HEAD no special treatment", async () => {
    const { ask } = await start();
    expectFailure(await ask("/required", {}, "OPTIONS"), "credentials_missing");
    expect(await ask("/required", {}, "HEAD")).toMatchObject({ status: 401, body: "" });
  });

  test("takes AgentAssertions, and has the code that makes Codex register again", async () => {
    const { ask } = await start();
    const send = (taskId: string, path: string) => ask(path, { Authorization: assertion(signer, taskId) });
    expect(await send("task-1", "/assertions")).toMatchObject({ status: 200, body: '"agent-2"' });
    const unknown = await send("task-2", "/assertions");
    expect([unknown.status, JSON.parse(unknown.body)]).toMatchObject([401, { error: { code: "invalid_task_id" } }]);
    expectFailure(await send("task-1", "/no-directory"), "directory_unavailable");
  });

  test("has realm and resource metadata in every challenge", async () => {
    const { ask } = await start();
    const challengeFor = async (headers: SentHeaders) =>
      (await ask("/assertions", headers)).headers["www-authenticate"];
    const metadata = `resource_metadata="${resourceMetadata}"`;
    expect(await challengeFor({})).toBe(`Bearer realm="tasks", ${metadata}`);
    expect(await challengeFor(bearer("abc"))).toBe(
      `Bearer realm="tasks", error="invalid_token", error_description="${MESSAGES.token_malformed[1]}", ${metadata}`,
    );
  });

  test("answers an outage with 503, Retry-After and no challenge", async () => {
    const { backend, ask } = await start();
    backend.answer = (_req, res) => res.writeHead(500).end();
    expectFailure(await ask("/required", bearer(token)), "keys_unavailable");
  });
});
