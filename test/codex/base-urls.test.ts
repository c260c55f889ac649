/** Which base URLs and which of the two variables the newest client needs for a backend that is not ChatGPT's. */

import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { createCodex, messageOf, NEWEST } from "./codex-client.js";
import { startOwnBackend } from "./own-backend.js";
import { renderTable } from "./table.js";

const REFUSAL = "Error checking login status: Agent Identity only supports production and staging ChatGPT environments";
const SIGNED_IN = "Logged in using access token";

const BASES = ["/backend-api", "/api/codex", ""];

/** @param base what `chatgpt_base_url` is */
const OVERRIDES: [name: string, override: (base: string) => Record<string, string>, works: boolean][] = [
  ["neither", () => ({}), false],
  ["registration only", (base) => ({ CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL: base }), false],
  ["keys only", (base) => ({ CODEX_AGENT_IDENTITY_JWKS_BASE_URL: base }), false],
  [
    "both, keys with another path",
    (base) => ({
      CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL: base,
      CODEX_AGENT_IDENTITY_JWKS_BASE_URL: `${base}/elsewhere`,
    }),
    false,
  ],
  [
    "both, keys with a trailing slash",
    (base) => ({ CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL: base, CODEX_AGENT_IDENTITY_JWKS_BASE_URL: `${base}/` }),
    true,
  ],
];

const rows = BASES.flatMap((path) => OVERRIDES.map(([name, override, works]) => ({ path, name, override, works })));
const lines: string[][] = [];

describe(`Codex ${NEWEST}`, () => {
  it.each(rows)('with base URL "http://127.0.0.1:PORT$path" and $name set', async ({ path, name, override, works }) => {
    const [backend, codex] = [await startOwnBackend(), await createCodex()];
    onTestFinished(async () => {
      await backend.close();
      await codex.remove();
    });
    const base = new URL(backend.baseUrl).origin + path;
    const { token } = await backend.mint();
    const config = { chatgpt_base_url: JSON.stringify(base) };
    const env = { ...override(base), CODEX_ACCESS_TOKEN: token };
    const says = messageOf(await codex.run(["login", "status"], { config, env }));
    lines.push([path, name, says, String(backend.registrations.length)]);
    expect(says).toBe(works ? SIGNED_IN : REFUSAL);
    expect(backend.registrations).toEqual(works ? [200] : []);
  });

  afterAll(() => {
    const header = ["base URL", "variables", "client", "registrations"];
    console.log(renderTable(`Base URLs and variables, Codex ${NEWEST}`, [header, ...lines]));
  });
});
