import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import { agentIdentityAuth, agentIdentityErrorHandler, createVerifier } from "../../src/index.js";
import { claims, mint, signingKey } from "../support/agents.js";
import { send, startBackend, stop } from "../support/servers.js";
import { base64url, forge, join } from "./forged-token.js";
import { sendRaw } from "./raw-request.js";
import { bearer, startTarget } from "./target.js";

const verifier = createVerifier("https://chatgpt.com", { jwks: { keySet: { keys: [signingKey.jwk] } } });

/** The code of the refusal, or "accepted". */
const verdict = (token: string): Promise<unknown> =>
  verifier.verify(token).then(
    () => "accepted",
    (error: unknown) => (error as { code?: unknown }).code ?? error,
  );

/** A valid token of exactly so many characters, with the header as long as its base64url has to be. */
function tokenOf(length: number): string {
  for (const spaces of [0, 1, 2]) {
    const header = base64url(`{"alg":"RS256","kid":"key-1"}${" ".repeat(spaces)}`);
    const json = JSON.stringify(claims());
    const payloadLength = length - header.length - 1 - 1 - 342;
    const payload = base64url(json.padEnd(Math.floor((payloadLength * 3) / 4)));
    if (payload.length === payloadLength) return join(header, payload);
  }
  throw new Error(`no token has ${length} characters`);
}

describe("16 KiB", () => {
  const MAXIMUM = 16 * 1024;

  test("are the most, to the character", async () => {
    for (const [length, code] of [
      [MAXIMUM - 1, "accepted"],
      [MAXIMUM, "accepted"],
      [MAXIMUM + 1, "token_malformed"],
      [MAXIMUM + 2, "token_malformed"],
      [4 * MAXIMUM, "token_malformed"],
    ] as const) {
      const token = tokenOf(length);
      expect(token).toHaveLength(length);
      expect(await verdict(token), String(length)).toBe(code);
    }
  });

  test("are the most where Node has been told to let more through", async () => {
    const backend = await startBackend();
    const app = express()
      .use(agentIdentityAuth(backend.baseUrl, { jwks: {} }), (req, res) => res.json(req.agentIdentity))
      .use(agentIdentityErrorHandler());
    const server = createServer({ maxHeaderSize: 256 * 1024 }, app).listen(0, "127.0.0.1");
    onTestFinished(() => stop(server));
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    expect(await send(url, bearer(tokenOf(MAXIMUM)))).toMatchObject({ status: 200 });
    const refused = await send(url, bearer(tokenOf(MAXIMUM + 1)));
    expect(refused).toMatchObject({ status: 401 });
    expect(refused.body).toContain('"token_malformed"');
    expect(await send(url, bearer("A".repeat(200_000)))).toMatchObject({ status: 401 });
    expect(await send(url, { Authorization: `${"B".repeat(200_000)} x` })).toMatchObject({ status: 401 });
    expect(await send(url, { Authorization: `Bearer${" ".repeat(200_000)}x` })).toMatchObject({ status: 401 });
  });

  test("are more than a request of Node may have by default: it refuses by itself, and lives", async () => {
    const target = await startTarget();
    for (const token of [tokenOf(MAXIMUM), "A".repeat(17_000)]) {
      const request = () => sendRaw(target.url, `Authorization: Bearer ${token}`);
      expect(await target.judge(request)).toBe("node");
      expect(await request()).toMatchObject({ status: 431, body: "" });
    }
    expect(await target.verdict(bearer(tokenOf(MAXIMUM - 1000)))).toBe("accepted");
  });
});

describe("a token that is cut", () => {
  const token = mint();

  test("at any length", async () => {
    const codes = new Map<unknown, number>();
    for (let length = 0; length < token.length; length++) {
      const code = await verdict(token.slice(0, length));
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect([...codes.keys()].sort()).toEqual(["signature_invalid", "token_malformed"]);
    expect(await verdict(token)).toBe("accepted");
  });

  test("at the front, at any length", async () => {
    for (let start = 1; start < token.length; start++)
      expect(await verdict(token.slice(start))).toBe("token_malformed");
  });

  test("by any one character", async () => {
    for (let at = 0; at < token.length; at++) {
      expect(await verdict(token.slice(0, at) + token.slice(at + 1)), String(at)).not.toBe("accepted");
    }
  });

  test("or changed in any one character", async () => {
    const codes = new Set<unknown>();
    for (let at = 0; at < token.length; at++) {
      const other = token[at] === "A" ? "B" : "A";
      codes.add(await verdict(token.slice(0, at) + other + token.slice(at + 1)));
    }
    expect(codes).not.toContain("accepted");
    expect(codes).toContain("signature_invalid");
    expect(codes).toContain("token_malformed");
  });
});

describe("JSON that is nested", () => {
  const shapes: [string, (depth: number) => string][] = [
    ["arrays", (depth) => "[".repeat(depth) + "]".repeat(depth)],
    ["objects", (depth) => '{"a":'.repeat(depth) + "1" + "}".repeat(depth)],
  ];
  test.each(shapes)("%s, in a claim that is not read: as deep as 16 KiB allow", async (_, shape) => {
    const target = await startTarget();
    for (const depth of [100, 1000]) {
      const json = JSON.stringify(claims()).replace(/}$/, `,"x":${shape(depth)}}`);
      expect(await target.verdict(bearer(forge({ alg: "RS256", kid: "key-1" }, json)))).toBe("accepted");
      const header = `{"alg":"RS256","kid":"key-1","x":${shape(depth)}}`;
      expect(await target.verdict(bearer(forge(header, claims())))).toBe("accepted");
    }
  });

  test.each(["[", '{"a":', '[{"a":', '"\\u'])("%s without an end", async (open) => {
    const target = await startTarget();
    const text = open.repeat(Math.floor(11_000 / open.length));
    for (const token of [forge(text, claims()), forge({ alg: "RS256", kid: "key-1" }, text)]) {
      expect(await target.verdict(bearer(token))).toBe("token_malformed");
    }
    expect(await target.verdict(bearer(mint()))).toBe("accepted");
  });

  test("a thousand claims too many are as good as none", async () => {
    const target = await startTarget();
    const many = Object.fromEntries(Array.from({ length: 800 }, (_, i) => [`x${i}`, i]));
    expect(await target.verdict(bearer(mint(many)))).toBe("accepted");
  });
});
