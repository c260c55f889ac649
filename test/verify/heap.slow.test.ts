import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { bearer, type SentHeaders } from "../support/request-table.js";
import { claims, createSigningKey, mint, signingKey, signToken } from "../support/agents.js";
import { createCodexHome } from "../support/homes.js";

const privateKeyOf = (i: number): string => `PRIVATE-KEY-OF-AGENT-${i}-`.repeat(3);
const override = (i: number) => ({ agent_private_key: privateKeyOf(i), jti: `token ${i}` });
const forger = createSigningKey("key-1");

/** What is sent, each on a connection of its own, which stays open. */
const REQUESTS: [headers: SentHeaders, status: number][] = [
  [bearer(mint(override(0))), 200],
  [bearer(mint(override(1))), 200],
  [bearer(mint({ ...override(2), padding: "x".repeat(1000) })), 200],
  [bearer(mint({ ...override(3), exp: 1 })), 401],
  [bearer(mint(override(4), forger)), 401],
  [bearer(signToken({ alg: "RS256", kid: "key-1", typ: "JWT" }, claims(override(5)))), 200],
  [{ Authorization: [`Bearer ${mint(override(6))}`, "Bearer x"] }, 400],
  [bearer(`${mint(override(7))} x`), 400],
  [bearer(`${mint(override(8))}x`), 401],
  [{ Authorization: mint(override(9)) }, 401],
];

/** The text as it is, and as it is inside of base64url, wherever it begins in a group of three bytes. */
function formsOf(text: string): string[] {
  const encoded = [0, 1, 2].map((offset) =>
    Buffer.from("x".repeat(offset) + text)
      .toString("base64url")
      .slice(4, -4),
  );
  return [text, ...encoded];
}

function ask(port: number, agent: Agent, headers: SentHeaders): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request({ port, host: "127.0.0.1", agent, headers }, (res) => {
      res.resume().on("end", () => {
        resolve(res.statusCode);
      });
    })
      .on("error", reject)
      .end();
  });
}

test.each(["Express", "node:http"])(
  "%s: no token is left in the heap while connections stay open",
  async (adapter) => {
    const { codexHome: folder } = createCodexHome();
    // Longer strings would be cut.
    const execArgv = ["--expose-gc", "--heap-snapshot-string-limit=100000", "--import", "tsx"];
    const server = fork("test/verify/heap-server.ts", [JSON.stringify({ keys: [signingKey.jwk] }), adapter], {
      execArgv,
    });
    onTestFinished(() => void server.kill("SIGKILL"));
    const [{ port }] = (await once(server, "message")) as [{ port: number }];
    const found: Record<number, string[]> = {};
    const agents: Agent[] = [];
    for (const [headers, status] of REQUESTS) {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      onTestFinished(() => {
        agent.destroy();
      });
      agents.push(agent);
      for (let i = 0; i < 5; i++) expect(await ask(port, agent, headers)).toBe(status);
      // Whatever was the last request: nothing comes after it that would push it out.
      const file = join(folder, `${agents.length}.heapsnapshot`);
      server.send(file);
      expect(await once(server, "message")).toEqual([agents.length, undefined]);
      const snapshot = readFileSync(file, "utf8");
      const leftOver = REQUESTS.flatMap((_, i) =>
        formsOf(privateKeyOf(i))
          .filter((form) => snapshot.includes(form))
          .map(() => String(i)),
      );
      if (leftOver.length > 0) found[agents.length - 1] = leftOver;
    }
    expect(found).toEqual({});
  },
  60_000,
);
