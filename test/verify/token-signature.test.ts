/**
 * One `TokenVerifier` whose resolver changes its keys, and whose clock moves, while a signature is verified. The resolver is a
 * stand-in, because no real one can be made to change in exactly that moment.
 */

import { createPublicKey } from "node:crypto";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { SILENT_ASKER } from "../../src/verify/keys/key-asker.js";
import { CODEX_AUDIENCE, CODEX_ISSUER } from "../../src/protocol/claims.js";
import type { InternalJwksResolver } from "../../src/verify/keys/jwks-resolver.js";
import type { TrustedKey } from "../../src/verify/keys/key-set.js";
import { Refusal } from "../../src/verify/outcome/errors.js";
import { digestOf, TokenVerifier } from "../../src/verify/tokens/token-verifier.js";
import { mint, now, signingKey } from "../support/agents.js";

const publicKey = createPublicKey(signingKey.privateKey);
const unavailable = new Refusal("keys_unavailable");

/** @param atSignature runs when the key is handed to jose */
function createKey(atSignature: () => void = () => undefined): TrustedKey {
  return {
    kid: "key-1",
    jwk: { kty: "RSA", n: "", e: "" },
    get publicKey() {
      atSignature();
      return publicKey;
    },
  };
}

function setUp({ atSignature, cacheSize = 10 }: { atSignature?: () => void; cacheSize?: number } = {}) {
  const key = createKey(atSignature);
  const keys = { key: vi.fn<InternalJwksResolver["key"]>(() => key), trusts: vi.fn(() => true) };
  const expected = { issuer: CODEX_ISSUER, audience: CODEX_AUDIENCE, clockTolerance: 60, maxTokenAge: 500 };
  const verifier = new TokenVerifier(keys as unknown as InternalJwksResolver, expected, cacheSize);
  return { key, keys, verifier };
}

function advance(seconds: number): void {
  if (!vi.isFakeTimers()) {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
  }
  vi.setSystemTime(Date.now() + seconds * 1000);
}

const agent = expect.objectContaining({ agentRuntimeId: "agent-1" }) as unknown;

describe("while the signature is verified", () => {
  test("the key is withdrawn: the token is refused and not remembered", async () => {
    const { keys, verifier } = setUp({ atSignature: () => keys.trusts.mockReturnValueOnce(false) });
    const token = mint();
    expect(await verifier.verify(token)).toEqual(new Refusal("key_untrusted"));
    expect(verifier.remembered(digestOf(token))).toBeUndefined();
  });

  test("the token expires: it is refused and not remembered", async () => {
    const { verifier } = setUp({
      atSignature: () => {
        advance(100);
      },
    });
    const token = mint({ exp: now() + 10 });
    expect(await verifier.verify(token)).toEqual(new Refusal("token_expired"));
    expect(verifier.remembered(digestOf(token))).toBeUndefined();
  });

  test("an error of the program is passed on, and the next call starts again", async () => {
    const failure = new TypeError("out of memory");
    const { verifier } = setUp({
      atSignature: vi.fn().mockImplementationOnce(() => {
        throw failure;
      }),
    });
    const token = mint();
    await expect(verifier.verify(token)).rejects.toBe(failure);
    expect(await verifier.verify(token)).toEqual(agent);
  });

  test.each([undefined, {}, { subtle: {} }, { subtle: { verify: () => true } }])(
    "the global crypto is replaced by %j: an error of the program, and no verdict",
    async (crypto) => {
      const { verifier } = setUp();
      vi.stubGlobal("crypto", crypto);
      onTestFinished(() => void vi.unstubAllGlobals());
      await expect(verifier.verify(mint())).rejects.toThrow(
        new Error("globalThis.crypto is not Node's: no signature can be verified until it is put back"),
      );
    },
  );
});

describe("a remembered token", () => {
  async function remembering() {
    const context = setUp();
    const token = mint({ exp: now() + 100 });
    const identity = await context.verifier.verify(token);
    return { ...context, token, identity };
  }

  test("passes at once, and is found by its digest", async () => {
    const { keys, verifier, token, identity } = await remembering();
    expect(verifier.verify(token)).toBe(identity);
    expect(keys.key).toHaveBeenLastCalledWith("key-1", SILENT_ASKER);
    expect(verifier.remembered(digestOf(token))).toBe(identity);
  });

  test("gets the refusal of the resolver at once, and passes again when the key is back", async () => {
    const { key, keys, verifier, token, identity } = await remembering();
    keys.key.mockReturnValue(unavailable);
    keys.key.mockClear();
    expect(verifier.verify(token)).toBe(unavailable);
    expect(keys.key).toHaveBeenCalledOnce();
    keys.key.mockReturnValue(key);
    expect(verifier.verify(token)).toBe(identity);
  });

  test("is forgotten when it has expired", async () => {
    const { verifier, token } = await remembering();
    advance(160);
    expect(verifier.verify(token)).toEqual(new Refusal("token_expired"));
    expect(verifier.remembered(digestOf(token))).toBeUndefined();
  });

  test("is refused when it is older than maxTokenAge", async () => {
    const { verifier } = setUp();
    const token = mint({ iat: now() - 500 });
    expect(await verifier.verify(token)).toEqual(agent);
    advance(61);
    expect(verifier.verify(token)).toEqual(new Refusal("token_expired"));
  });

  test("is verified again for another key", async () => {
    const { keys, verifier, token, identity } = await remembering();
    const atSignature = vi.fn();
    keys.key.mockReturnValue(createKey(atSignature));
    const again = await verifier.verify(token);
    expect(again).toEqual(identity);
    expect(again).not.toBe(identity);
    expect(atSignature).toHaveBeenCalledOnce();
  });

  test("waits for a refresh, and the answer decides", async () => {
    const { key, keys, verifier, token, identity } = await remembering();
    keys.key.mockReturnValue(Promise.resolve(key));
    expect(await verifier.verify(token)).toBe(identity);
    keys.key.mockReturnValue(Promise.resolve(unavailable));
    keys.key.mockClear();
    expect(await verifier.verify(token)).toBe(unavailable);
    expect(keys.key).toHaveBeenCalledOnce();
    const atSignature = vi.fn();
    keys.key.mockReturnValue(Promise.resolve(createKey(atSignature)));
    expect(await verifier.verify(token)).not.toBe(identity);
    expect(atSignature).toHaveBeenCalledOnce();
  });

  test("expires while it waits for a refresh", async () => {
    const { key, keys, verifier, token } = await remembering();
    keys.key.mockReturnValue(Promise.resolve(key));
    const verdict = verifier.verify(token);
    advance(160);
    expect(await verdict).toEqual(new Refusal("token_expired"));
  });
});

describe("a token that is seen for the first time", () => {
  test("gets the refusal of the resolver, at once or later", async () => {
    const { keys, verifier } = setUp();
    keys.key.mockReturnValueOnce(unavailable);
    expect(verifier.verify(mint())).toBe(unavailable);
    keys.key.mockReturnValueOnce(Promise.resolve(unavailable));
    expect(await verifier.verify(mint())).toBe(unavailable);
  });

  test("is verified once for concurrent requests, and again for a later one without a cache", async () => {
    const atSignature = vi.fn();
    const { verifier } = setUp({ atSignature, cacheSize: 0 });
    const token = mint();
    const verdict = verifier.verify(token);
    expect(verifier.verify(token)).toBe(verdict);
    expect(await verdict).toEqual(agent);
    expect(verifier.remembered(digestOf(token))).toBeUndefined();
    await verifier.verify(token);
    expect(atSignature).toHaveBeenCalledTimes(2);
  });

  test.each([
    ["Bearer a", 'the token begins with "Bearer ": leave that out'],
    ["BEARER a", 'the token begins with "Bearer ": leave that out'],
    ["Bearera", undefined],
    ["a Bearer a", undefined],
    ["hidden.a", "hidden by an earlier mount"],
  ])("%j is malformed, and the reason is %j", (token, reason) => {
    expect(setUp().verifier.verify(token)).toEqual(new Refusal("token_malformed", reason ? { reason } : undefined));
  });

  test("another refusal has no reason", () => {
    expect(setUp().verifier.verify(mint({ aud: "a" }))).toEqual(new Refusal("audience_invalid"));
  });

  test("a token of more than 16 KiB has no digest and is malformed", () => {
    expect(digestOf("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(digestOf("a".repeat(16_384))).toHaveLength(64);
    for (const token of ["a".repeat(16_385), undefined as unknown as string]) {
      expect(digestOf(token)).toBe("");
      expect(setUp().verifier.verify(token)).toEqual(new Refusal("token_malformed"));
    }
    expect(setUp().verifier.verify(mint(), "")).toEqual(new Refusal("token_malformed"));
  });
});
