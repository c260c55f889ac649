/** The examples of the RFCs: each is what it says it is, and none is a token of ours. */

import { createPublicKey, createSecretKey, verify } from "node:crypto";
import { compactVerify } from "jose";
import { describe, expect, test } from "vitest";
import { parseKeySet } from "../../src/verify/keys/key-set.js";
import { createSigningKey } from "../support/agents.js";
import { createAgent, createDirectory, encodeEnvelope, signEnvelope } from "../support/assertions.js";
import { bearer, startTarget, type Verdict } from "./target.js";

/** RFC 7515, appendix A: the claims of A.1, A.2, A.3 and A.5. */
const CLAIMS = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/** RFC 7520 §4: the payload of its signatures. */
const FRODO = [
  "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IH",
  "lvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBk",
  "b24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcm",
  "UgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4",
].join("");

interface Example {
  rfc: string;
  jws: string;
  /** The key that verifies it; none for the unsecured one. */
  jwk?: Record<string, string>;
  /** What comes of it, with this key in the set under the kid that it names. */
  code: Verdict;
}

const EXAMPLES: Example[] = [
  {
    rfc: "RFC 7515 A.1, HS256",
    jws: `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`,
    jwk: {
      kty: "oct",
      k: "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    },
    code: "algorithm_not_allowed",
  },
  {
    // No kid: with one key or with many, nothing is guessed.
    rfc: "RFC 7515 A.2, RS256",
    jws: [
      "eyJhbGciOiJSUzI1NiJ9",
      CLAIMS,
      "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU" +
        "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d" +
        "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig" +
        "cN_IoypGlUPQGe77Rw",
    ].join("."),
    jwk: {
      kty: "RSA",
      n:
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ" +
        "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2" +
        "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD" +
        "TW9gb54h4FRWyuXpoQ",
      e: "AQAB",
    },
    code: "token_malformed",
  },
  {
    rfc: "RFC 7515 A.3, ES256",
    jws: [
      "eyJhbGciOiJFUzI1NiJ9",
      CLAIMS,
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ].join("."),
    jwk: {
      kty: "EC",
      crv: "P-256",
      x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
      y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    },
    code: "algorithm_not_allowed",
  },
  {
    rfc: "RFC 7515 A.4, ES512",
    jws:
      "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB" +
      "34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
    jwk: {
      kty: "EC",
      crv: "P-521",
      x: "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
      y: "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    },
    code: "token_malformed", // its payload is no JSON
  },
  { rfc: "RFC 7515 A.5, none", jws: `eyJhbGciOiJub25lIn0.${CLAIMS}.`, code: "token_malformed" },
  {
    rfc: "RFC 7520 §4.1, RS256",
    jws: [
      "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
      FRODO,
      "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDk" +
        "oBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9Uzp" +
        "ERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogo" +
        "ree7vjbU5y18kDquDg",
    ].join("."),
    jwk: {
      kty: "RSA",
      kid: "bilbo.baggins@hobbiton.example",
      use: "sig",
      n:
        "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2w" +
        "qVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bT" +
        "wJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5" +
        "iaiQkqgc5gHdrNP5zw",
      e: "AQAB",
    },
    code: "token_malformed", // its payload is no JSON
  },
  {
    rfc: "RFC 8037 A.4, Ed25519",
    jws:
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcN" +
      "R4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    jwk: { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
    code: "token_malformed", // its payload is no JSON
  },
];

const signed = EXAMPLES.filter(({ jwk }) => jwk !== undefined);

describe("an example", () => {
  test.each(signed)("$rfc is signed with the key that it says", async ({ jws, jwk }) => {
    const key =
      jwk?.["kty"] === "oct"
        ? createSecretKey(jwk["k"] ?? "", "base64url")
        : createPublicKey({ key: jwk ?? {}, format: "jwk" });
    const { payload } = await compactVerify(jws, key);
    expect(Buffer.from(payload).toString("base64url")).toBe(jws.split(".")[1]);
  });

  const spare = createSigningKey("spare").jwk;
  test.each(EXAMPLES)("$rfc is refused, with its key in the set", async ({ jws, jwk, code }) => {
    const target = await startTarget([{ kid: "key-1", ...jwk }, spare]);
    expect(await target.verdict(bearer(jws))).toBe(code);
  });
});

test.each(signed.filter(({ jwk }) => jwk?.["kty"] === "RSA"))(
  "$rfc: a key set takes its key, and the signature stands by it",
  async ({ jws, jwk }) => {
    const keySet = parseKeySet({ keys: [{ kid: "key-1", ...jwk }] });
    const key = typeof keySet === "string" ? undefined : keySet.byKid.get(jwk?.["kid"] ?? "key-1");
    if (key === undefined) return expect.fail("the key is not usable");
    expect(await compactVerify(jws, key.publicKey, { algorithms: ["RS256"] })).toBeDefined();
    const [header = "", payload = "", signature = ""] = jws.split(".");
    const altered = `${header}.${payload.slice(0, -4)}AAAA.${signature}`;
    await expect(compactVerify(altered, key.publicKey, { algorithms: ["RS256"] })).rejects.toMatchObject({
      code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
    });
  },
);

test("RFC 8037 A.4: the agent whose key that is has signed no assertion", async () => {
  const { jws, jwk } = EXAMPLES.find(({ rfc }) => rfc.startsWith("RFC 8037")) ?? expect.fail();
  const [header = "", payload = "", signature = ""] = jws.split(".");
  const bytes = Buffer.from(signature, "base64url");
  const publicKey = createPublicKey({ key: jwk ?? {}, format: "jwk" });
  expect(verify(null, Buffer.from(`${header}.${payload}`), publicKey, bytes)).toBe(true);
  const agent = createAgent("agent-1", { publicKey });
  const target = await startTarget(undefined, { directory: createDirectory(agent) });
  const envelope = { ...signEnvelope(agent), signature: bytes.toString("base64") };
  const verdict = await target.verdict({ Authorization: `AgentAssertion ${encodeEnvelope(envelope)}` });
  expect(verdict).toBe("assertion_invalid");
});
