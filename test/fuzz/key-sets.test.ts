/** Whatever a JWKS holds, the first entry of a `kid` decides, and nothing is thrown. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { createVerifier } from "../../src/index.js";
import { parseKeySet } from "../../src/verify/keys/key-set.js";
import { fuzz } from "./budget.js";
import { document, isUsable, judgeBy, readDocument, signedToken } from "./key-set-documents.js";
import { expectRefusal } from "./refusal.js";
import { identityOf, sentWith } from "./token-oracle.js";

test("a token is accepted if the first entry with its kid is usable, and the key that signed it", async () => {
  const shares = { accepted: 0.1, key_untrusted: 0.1, signature_invalid: 0.02, TypeError: 0.1 };
  await fuzz({ runs: 400, shares }, fc.record({ document, signed: signedToken }), async ({ document, signed }) => {
    const first = readDocument(document);
    const construct = () =>
      createVerifier("https://gw.example", { jwks: { keySet: document as never }, tokenCache: false });
    if (first === undefined) {
      expect(construct).toThrow(TypeError);
      expect(construct).toThrow(/keySet must be a JWKS/);
      return "TypeError";
    }
    const verifier = construct();
    const usable = Array.from(first).filter(([, key]) => isUsable(key));
    expect(verifier.jwks.status().kids).toHaveLength(usable.length);
    const outcome: unknown = await verifier.verify(signed.token).catch((error: unknown) => error);
    if (outcome instanceof Error) {
      const code = expectRefusal(outcome, sentWith(signed.token));
      expect(code).toBe(judgeBy(first, signed));
      return code;
    }
    expect(outcome).toEqual(identityOf(signed.token));
    expect(judgeBy(first, signed)).toBe("accepted");
    return "accepted";
  });
});

test("a set has public keys only, one for each usable first entry", async () => {
  await fuzz({ runs: 200, shares: { "a set": 0.3, "no set": 0.1 } }, document, (document) => {
    const first = readDocument(document);
    const parsed = parseKeySet(document);
    if (typeof parsed === "string") {
      expect(parsed).toMatch(/^(not a JSON object with an array of keys|no usable key)$/);
      expect(first).toBeUndefined();
      return "no set";
    }
    expect([...parsed.byKid.keys()]).toEqual([...(first?.keys() ?? [])]);
    for (const [kid, key] of parsed.byKid) {
      const { n, e, ...members } = first?.get(kid) ?? {};
      expect(key !== undefined).toBe(isUsable({ n, e, ...members }));
      if (key === undefined) continue;
      expect(key.publicKey.type).toBe("public");
      expect(key.jwk).toEqual({ kty: "RSA", n, e });
    }
    // Parsed once more beside itself, its keys are the very same objects.
    const again = parseKeySet(structuredClone(document), parsed);
    expect(typeof again === "object" && [...again.byKid.values()]).toEqual([...parsed.byKid.values()]);
    for (const [kid, key] of parsed.byKid) expect(typeof again === "object" && again.byKid.get(kid)).toBe(key);
    return "a set";
  });
});

test("what is no document is none, and nothing is thrown", async () => {
  const anything = fc.oneof(
    fc.anything(),
    fc.record({ keys: fc.anything() }),
    fc.record({ keys: fc.array(fc.anything()) }),
  );
  await fuzz({ runs: 300, shares: { "no set": 1 } }, anything, (value) => {
    expect(parseKeySet(value)).toBeTypeOf("string");
    return "no set";
  });
});
