/** Decisions that are taken twice, on purpose or by nature: without the one, the other still keeps everybody out. */

import type { Redundancy } from "./decision.js";

/** What a test says that saw a token pass which it wanted refused. */
const ACCEPTED = "'accepted'";

export const REDUNDANT: readonly Redundancy[] = [
  {
    name: "jose is told the algorithm",
    edits: [{ file: "verify/token-verifier.ts", find: 'algorithms: ["RS256"], ', replace: "" }],
    noticedBy: "verify/verifier.test.ts > PS256 with the right key",
    reason: "alg is compared before jose is called",
    behind: [
      {
        file: "verify/unverified-token.ts",
        find: 'if (header["alg"] !== "RS256") return new Refusal("algorithm_not_allowed");',
        replace: "",
      },
    ],
    saying: ACCEPTED,
  },
  {
    name: "alg is compared before jose is called",
    edits: [
      {
        file: "verify/unverified-token.ts",
        find: 'if (header["alg"] !== "RS256") return new Refusal("algorithm_not_allowed");',
        replace: "",
      },
    ],
    noticedBy: "verify/verifier.test.ts > PS256 with the right key",
    reason: "jose is told the algorithm: only the code is another one",
    saying: ACCEPTED,
  },
  {
    name: "jose is told the issuer",
    edits: [
      {
        file: "verify/token-verifier.ts",
        find: "...expected };",
        replace: "audience: expected.audience, clockTolerance: expected.clockTolerance };",
      },
    ],
    noticedBy: "verify/verifier.test.ts > → issuer_invalid",
    reason: "iss is compared before jose is called",
    behind: [
      {
        file: "protocol/claims.ts",
        find: 'if (payload["iss"] !== expected.issuer) return "issuer_invalid";',
        replace: "",
      },
    ],
    saying: ACCEPTED,
  },
  {
    name: "jose is told the audience",
    edits: [
      {
        file: "verify/token-verifier.ts",
        find: "...expected };",
        replace: "issuer: expected.issuer, clockTolerance: expected.clockTolerance };",
      },
    ],
    noticedBy: "verify/verifier.test.ts > → audience_invalid",
    reason: "aud is compared before jose is called",
    behind: [
      {
        file: "protocol/claims.ts",
        find: 'if (payload["aud"] !== expected.audience) return "audience_invalid";',
        replace: "",
      },
    ],
    saying: ACCEPTED,
  },
  {
    name: "jose is told that exp is required",
    edits: [{ file: "verify/token-verifier.ts", find: 'requiredClaims: ["exp"], ', replace: "" }],
    noticedBy: "verify/verifier.test.ts > exp → claims_invalid for undefined",
    reason: "exp is checked before jose is called",
    behind: [{ file: "protocol/claims.ts", find: "  exp: isTimestamp,", replace: "  exp: () => true," }],
    saying: ACCEPTED,
  },
  {
    name: "exp is compared with the configured tolerance before jose is called",
    edits: [
      {
        file: "protocol/claims.ts",
        find: "hasExpired(exp, expected.clockTolerance, now)",
        replace: "hasExpired(exp, 300, now)",
      },
    ],
    noticedBy: "verify/verifier.test.ts > exp, none left",
    reason: "jose compares it as well",
    behind: [
      { file: "verify/token-verifier.ts", find: "...expected };", replace: "...expected, clockTolerance: 300 };" },
    ],
    saying: ACCEPTED,
  },
  {
    name: "kty is compared before a key is imported",
    edits: [{ file: "verify/key-set.ts", find: 'kty !== "RSA" || typeof n', replace: "typeof n" }],
    noticedBy: "verify/verifier.test.ts > not usable: of another type",
    reason: "node:crypto imports no key whose members are those of another type",
    behind: [
      {
        file: "verify/key-set.ts",
        find: "return importRsaKey(kid, { kty, n, e });",
        replace: 'return importRsaKey(kid, { kty: "RSA", n, e });',
      },
    ],
    saying: ACCEPTED,
  },
  {
    name: "the base URL of whoever signs in is https, or loopback",
    edits: [
      {
        file: "login/auth-config.ts",
        find: "normalizeBaseUrl(chatgptBaseUrl)",
        replace: "normalizeBaseUrl(chatgptBaseUrl, true)",
      },
    ],
    noticedBy: "login/login.test.ts > http://gw.example",
    reason: "the verifier holds the same base URL to the same rules",
    behind: [
      {
        file: "login/auth-config.ts",
        find: "selectVerifier(where, chatgptBaseUrl, { jwks })",
        replace: "selectVerifier(where, chatgptBaseUrl, { jwks, allowInsecureHttp: true })",
      },
    ],
  },
  {
    name: "a key that cannot be imported is skipped",
    edits: [
      {
        file: "verify/key-set.ts",
        find: "  } catch {\n    return undefined;\n  }\n  const { modulusLength",
        replace: "  } catch (error) {\n    throw error;\n  }\n  const { modulusLength",
      },
    ],
    noticedBy: "verify/verifier.test.ts > 4. key",
    reason: "node:crypto imports any two canonical numbers as an RSA key, so far",
  },
  {
    name: "an envelope is no array",
    edits: [{ file: "protocol/agent-assertion.ts", find: " || Array.isArray(value)", replace: "" }],
    noticedBy: "verify/assertion-verifier.test.ts > assertion_malformed an array",
    reason: "what an array has is not named as the members of an assertion are",
  },
  {
    name: "an envelope has no more members than an assertion",
    edits: [
      {
        file: "protocol/agent-assertion.ts",
        find: "entries.length === names.length &&",
        replace: "entries.length >= names.length &&",
      },
    ],
    noticedBy: "verify/assertion-verifier.test.ts > with a member too many",
    reason: "each of its members has a name of an assertion's, and no two have the same",
    behind: [
      {
        file: "protocol/agent-assertion.ts",
        find: "(names as string[]).includes(name) && ",
        replace: "",
      },
    ],
    saying: ACCEPTED,
  },
  {
    name: "a signature has 64 bytes",
    edits: [
      {
        file: "verify/assertion-verifier.ts",
        find: "if (bytes?.length !== SIGNATURE_LENGTH) return false;",
        replace: "if (bytes === undefined) return false;",
      },
    ],
    noticedBy: "verify/assertion-verifier.test.ts > assertion_invalid",
    reason: "Ed25519 verifies no other length; it keeps the parts of what is remembered apart",
  },
];
