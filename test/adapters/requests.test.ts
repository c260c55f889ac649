import { describe, expect, test } from "vitest";
import { adapters, resourceMetadata, signer } from "../support/adapter-servers.js";
import { assertion } from "../support/assertions.js";
import { expectFailure, MESSAGES } from "../support/refusals.js";
import { bearer, expectAnswer, REQUESTS, token, type SentHeaders } from "../support/request-table.js";
import { listen, send, startBackend, type Answer } from "../support/servers.js";

describe.each(adapters)("%s", (_, { ofRequest, ofMcp = false, createServer }) => {
  const metadata = `resource_metadata="${resourceMetadata}"`;
  const requests = REQUESTS.filter(([, , , path = ""]) => !ofMcp || !path.startsWith("/optional"));

  async function start() {
    const backend = await startBackend();
    const { url } = await listen(createServer(backend.baseUrl));
    /** Without the URL of the metadata, which MCP has in every challenge. */
    const ask = async (path: string, headers?: SentHeaders, method?: string): Promise<Answer> => {
      const answer = await send(url + path, headers, method);
      const challenge = answer.headers["www-authenticate"];
      if (!ofMcp || challenge === undefined) return answer;
      expect(challenge.endsWith(`, ${metadata}`)).toBe(true);
      return { ...answer, headers: { ...answer.headers, "www-authenticate": challenge.replace(`, ${metadata}`, "") } };
    };
    return { backend, url, ask };
  }

  test("answers each request of the table as it should, and a second time too", async () => {
    const { backend, ask } = await start();
    for (const [name, headers, expected, path = "/required", expectedOfRequest = expected] of [
      ...requests,
      ...requests,
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
    const { url } = await start();
    const challengeFor = async (headers: SentHeaders) =>
      (await send(`${url}/assertions`, headers)).headers["www-authenticate"];
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
