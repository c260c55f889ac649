/** Tokens that are long, cut, or nested as deep as their length allows. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler } from "../../src/index.js";
import { claims, mint } from "../support/agents.js";
import { sendRaw } from "../support/raw-request.js";
import { bearer } from "../support/request-table.js";
import { send, startBackend, stop } from "../support/servers.js";
import { tokenOfLength } from "../support/token-of-length.js";
import { forge } from "./forged-token.js";
import { startTarget, verdictOf, verifierOf } from "./target.js";

const MAXIMUM = 16 * 1024;

describe("16 KiB", () => {
  test("are the most, to the character", async () => {
    for (const [length, code] of [
      [MAXIMUM - 1, "accepted"],
      [MAXIMUM, "accepted"],
      [MAXIMUM + 1, "token_malformed"],
      [4 * MAXIMUM, "token_malformed"],
    ] as const) {
      expect(await verdictOf(tokenOfLength(length)), String(length)).toBe(code);
    }
  });

  test("are the most where Node has been told to let more through", async () => {
    const { baseUrl } = await startBackend();
    const app = express()
      .use(agentIdentityAuth(baseUrl), (req, res) => res.json(req.agentIdentity))
      .use(agentIdentityErrorHandler());
    const server = createServer({ maxHeaderSize: 256 * 1024 }, app).listen(0, "127.0.0.1");
    onTestFinished(() => stop(server));
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    expect(await send(url, bearer(tokenOfLength(MAXIMUM)))).toMatchObject({ status: 200 });
    const refused = await send(url, bearer(tokenOfLength(MAXIMUM + 1)));
    expect(refused).toMatchObject({ status: 401 });
    expect(refused.body).toContain('"token_malformed"');
    for (const value of [
      `Bearer ${"A".repeat(200_000)}`,
      `${"B".repeat(200_000)} x`,
      `Bearer${" ".repeat(200_000)}x`,
    ]) {
      expect(await send(url, { Authorization: value })).toMatchObject({ status: 401 });
    }
  });

  test("are more than a request of Node may have by default: it refuses by itself, and lives", async () => {
    const target = await startTarget();
    for (const token of [tokenOfLength(MAXIMUM), "A".repeat(17_000)]) {
      const request = () => sendRaw(target.url, `Authorization: Bearer ${token}`);
      expect(await target.judge(request)).toBe("node");
      expect(await request()).toMatchObject({ status: 431, body: "" });
    }
    expect(await target.verdict(bearer(tokenOfLength(MAXIMUM - 1000)))).toBe("accepted");
  });
});

test("a token that is cut at any length, at either end, or lacks or has another of any one character", async () => {
  const token = mint();
  const verifier = verifierOf();
  expect(await verifier.verify(token)).toBeDefined();
  for (let at = 0; at < token.length; at++) {
    const edited = [token.slice(0, at), token.slice(0, at) + token.slice(at + 1)];
    if (at > 0) edited.push(token.slice(at));
    edited.push(token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1));
    for (const each of edited) await expect(verifier.verify(each), String(at)).rejects.toMatchObject({ status: 401 });
  }
});

describe("JSON that is nested", () => {
  test.each<[string, (depth: number) => string]>([
    ["arrays", (depth) => "[".repeat(depth) + "]".repeat(depth)],
    ["objects", (depth) => '{"a":'.repeat(depth) + "1" + "}".repeat(depth)],
  ])("%s, in what is not read: as deep as 16 KiB allow", async (_, shape) => {
    for (const depth of [100, 1000]) {
      const json = JSON.stringify(claims()).replace(/}$/, `,"x":${shape(depth)}}`);
      expect(await verdictOf(forge({ alg: "RS256", kid: "key-1" }, json))).toBe("accepted");
      const header = `{"alg":"RS256","kid":"key-1","x":${shape(depth)}}`;
      expect(await verdictOf(forge(header, claims()))).toBe("accepted");
    }
  });

  test.each(["[", '{"a":', '[{"a":', '"\\u'])("%s without an end", async (open) => {
    const text = open.repeat(Math.floor(11_000 / open.length));
    for (const token of [forge(text, claims()), forge({ alg: "RS256", kid: "key-1" }, text)]) {
      expect(await verdictOf(token)).toBe("token_malformed");
    }
  });

  test("a thousand claims too many are as good as none", async () => {
    const many = Object.fromEntries(Array.from({ length: 800 }, (_, i) => [`x${i}`, i]));
    expect(await verdictOf(mint(many))).toBe("accepted");
  });
});
