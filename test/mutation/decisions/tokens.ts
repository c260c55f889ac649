/** Tokens: their shape, header, claims and signature, and the cache of verified ones. */

import { decisionsOf, type Decision } from "../decision.js";

const SHAPE = "verify/verifier.test.ts > → token_malformed";
const CLAIMS = "verify/verifier.test.ts > → claims_invalid for";
const ORDER = "verify/verifier.test.ts > the first failure decides";
const BOUNDS = "verify/verifier.test.ts > just";
const CACHE = "verify/token-verifier.test.ts";

export const DECISIONS_ON_TOKENS: Decision[] = [
  ...decisionsOf("protocol/encoding.ts", SHAPE, [
    [
      "base64url must be canonical",
      'return bytes.toString("base64url") === text ? bytes : undefined;',
      "return bytes;",
    ],
    [
      "base64 must be canonical",
      'return bytes.toString("base64") === text ? bytes : undefined;',
      "return bytes;",
      "verify/assertion-verifier.test.ts > any one byte",
    ],
    ["JSON must be UTF-8", 'if (!isUtf8(bytes)) throw new SyntaxError("not UTF-8");', ""],
    [
      "JSON has no byte-order mark",
      "return JSON.parse(bytes.toString());",
      'return JSON.parse(bytes.toString().replace("\\ufeff", ""));',
    ],
  ]),
  ...decisionsOf("verify/unverified-token.ts", SHAPE, [
    [
      "a token has exactly three parts",
      "if (length !== 3 || !header || !payload || !signature) return undefined;",
      "if (!header || !payload || !signature) return undefined;",
    ],
    [
      "no part of a token is empty",
      "if (length !== 3 || !header || !payload || !signature) return undefined;",
      "if (length !== 3 || header === undefined || payload === undefined || signature === undefined) return undefined;",
    ],
    [
      "the signature is canonical base64url",
      "if (decodeCanonicalBase64url(signature) === undefined) return undefined;",
      "",
    ],
    [
      "header and payload are JSON objects",
      'return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;',
      "return value as JsonObject;",
    ],
    [
      "header and payload are no arrays",
      'return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;',
      'return typeof value === "object" && value !== null ? (value as JsonObject) : undefined;',
    ],
    [
      "the remembered header is that of this token",
      "if (part !== lastHeader.part) lastHeader",
      "if (lastHeader.object === undefined) lastHeader",
      ORDER,
    ],
    [
      "alg must be RS256",
      'if (header["alg"] !== "RS256") return new Refusal("algorithm_not_allowed");',
      "",
      "verify/verifier.test.ts > → algorithm_not_allowed",
    ],
    [
      "alg must be RS256 to the letter",
      'if (header["alg"] !== "RS256") return',
      'if (String(header["alg"]).toUpperCase() !== "RS256") return',
      "verify/verifier.test.ts > → algorithm_not_allowed",
    ],
    ["kid must be a string", 'typeof kid === "string" && kid !== "" && kid.length', 'kid !== "" && String(kid).length'],
    ["kid must not be empty", ' && kid !== "" && ', " && "],
    ["kid has at most 256 characters", " && kid.length <= MAX_KID_LENGTH", ""],
    ["crit is refused", ' || "crit" in header', ""],
    ["crit is refused whatever its value", ' || "crit" in header', ' || Array.isArray(header["crit"])'],
    ["b64: false is refused", ' || header["b64"] === false', ""],
    [
      "what is wrong with the claims refuses the token",
      "if (failure !== undefined) return new Refusal(failure);",
      "",
      CLAIMS,
    ],
  ]),
  ...decisionsOf("protocol/claims.ts", CLAIMS, [
    [
      "iss must be the expected one",
      'if (payload["iss"] !== expected.issuer) return "issuer_invalid";',
      "",
      "verify/verifier.test.ts > → issuer_invalid",
    ],
    [
      "iss must be one string",
      'if (payload["iss"] !== expected.issuer)',
      'if (String(payload["iss"]) !== expected.issuer)',
      "verify/verifier.test.ts > → issuer_invalid",
    ],
    [
      "aud must be the expected one",
      'if (payload["aud"] !== expected.audience) return "audience_invalid";',
      "",
      "verify/verifier.test.ts > → audience_invalid",
    ],
    [
      "aud must be one string",
      'if (payload["aud"] !== expected.audience)',
      'if (String(payload["aud"]) !== expected.audience)',
      "verify/verifier.test.ts > → audience_invalid",
    ],
    ["every other claim is checked", 'if (!claimsAreWellFormed(payload)) return "claims_invalid";', ""],
    ["iat is checked", "  iat: isTimestamp,", "  iat: () => true,"],
    ["exp is checked", "  exp: isTimestamp,", "  exp: () => true,"],
    ["nbf is checked", "nbf: (value) => value === undefined || isTimestamp(value)", "nbf: () => true"],
    ["sub is checked", 'sub: (value) => typeof value !== "object" || value === null', "sub: () => true"],
    ["agent_runtime_id is checked", "agent_runtime_id: isId", "agent_runtime_id: () => true"],
    ["agent_private_key is checked", "agent_private_key: isString", "agent_private_key: () => true"],
    ["account_id is checked", "account_id: isId", "account_id: () => true"],
    ["chatgpt_user_id is checked", "chatgpt_user_id: isId", "chatgpt_user_id: () => true"],
    [
      "email is checked",
      "email: (value) => value === undefined || value === null || isString(value)",
      "email: () => true",
    ],
    ["plan_type is checked", "plan_type: isString", "plan_type: () => true"],
    [
      "chatgpt_account_is_fedramp is a boolean",
      'chatgpt_account_is_fedramp: (value) => typeof value === "boolean"',
      "chatgpt_account_is_fedramp: () => true",
    ],
    ["ids are not empty", 'typeof value === "string" && value !== "";', 'typeof value === "string";'],
    [
      "times are safe integers",
      "Number.isSafeInteger(value) && (value as number) >= 0;",
      'typeof value === "number" && value >= 0;',
    ],
    [
      "times are not negative",
      "Number.isSafeInteger(value) && (value as number) >= 0;",
      "Number.isSafeInteger(value);",
    ],
    [
      "an expired token is refused before its key is looked up",
      'if (hasExpired(exp, expected.clockTolerance, now)) return "token_expired";',
      "",
      ORDER,
    ],
    [
      "a token expires on its exp, not after it",
      "return exp <= now - clockTolerance;",
      "return exp < now - clockTolerance;",
      `${CACHE} > is refused once it has expired`,
    ],
    [
      "a token before its nbf is refused",
      'if (nbf !== undefined && nbf > now + expected.clockTolerance) return "token_not_yet_valid";',
      "",
      BOUNDS,
    ],
    [
      "exp is tolerated as long as configured",
      "hasExpired(exp, expected.clockTolerance, now)",
      "hasExpired(exp, 0, now)",
      BOUNDS,
    ],
    ["nbf is tolerated as long as configured", "nbf > now + expected.clockTolerance", "nbf > now + 300", BOUNDS],
  ]),
  ...decisionsOf("protocol/claims.ts", ORDER, [
    [
      "iss, aud and the others are looked at in this order",
      `  if (payload["iss"] !== expected.issuer) return "issuer_invalid";
  if (payload["aud"] !== expected.audience) return "audience_invalid";
  if (!claimsAreWellFormed(payload)) return "claims_invalid";`,
      `  if (!claimsAreWellFormed(payload)) return "claims_invalid";
  if (payload["iss"] !== expected.issuer) return "issuer_invalid";
  if (payload["aud"] !== expected.audience) return "audience_invalid";`,
    ],
    [
      "iss is looked at before aud",
      `  if (payload["iss"] !== expected.issuer) return "issuer_invalid";
  if (payload["aud"] !== expected.audience) return "audience_invalid";`,
      `  if (payload["aud"] !== expected.audience) return "audience_invalid";
  if (payload["iss"] !== expected.issuer) return "issuer_invalid";`,
    ],
    [
      "exp is looked at before nbf",
      `  if (hasExpired(exp, expected.clockTolerance, now)) return "token_expired";
  if (nbf !== undefined && nbf > now + expected.clockTolerance) return "token_not_yet_valid";`,
      `  if (nbf !== undefined && nbf > now + expected.clockTolerance) return "token_not_yet_valid";
  if (hasExpired(exp, expected.clockTolerance, now)) return "token_expired";`,
    ],
  ]),
  ...decisionsOf("verify/token-verifier.ts", CACHE, [
    ["a token has at most 16 KiB", " && token.length <= MAX_TOKEN_LENGTH", "", "verify/verifier.test.ts > 16 KiB"],
    ["a token is a string", 'typeof token === "string" && token.length', "token.length", SHAPE],
    [
      "the signature is verified",
      "await jwtVerify(token, key.publicKey, this.#joseOptions);",
      "await Promise.resolve(jwtVerify);",
      "verify/verifier.test.ts > → signature_invalid",
    ],
    [
      "what jose says of a token is not handed on",
      'if (error instanceof JOSEError) return new Refusal("signature_invalid");',
      "",
      "secrets.test.ts > neither token nor private key",
    ],
    [
      "what was verified is remembered by the whole token",
      'hash("sha256", token, "binary")',
      'hash("sha256", "", "base64url")',
    ],
    [
      "what was verified is remembered by the signature as well",
      'hash("sha256", token, "binary")',
      'hash("sha256", token.slice(0, token.lastIndexOf(".")), "base64url")',
      `${CACHE} > remembers no failure of a signature`,
    ],
    [
      "a remembered token expires",
      "if (this.#hasExpired(identity)) {",
      "if (false as boolean) {",
      `${CACHE} > is refused once it has expired`,
    ],
    [
      "a remembered token is tolerated past its exp as long as configured",
      "hasExpired(expiresAt, this.#expected.clockTolerance, nowInSeconds())",
      "hasExpired(expiresAt, 300, nowInSeconds())",
      `${CACHE} > is refused once it has expired`,
    ],
    [
      "a remembered token expires while it waits",
      'return this.#hasExpired(identity) ? new Refusal("token_expired") : identity;',
      "return identity;",
      `${CACHE} > is refused if it expires while it waits`,
    ],
    [
      "a remembered token needs the very key that verified it",
      "if (key !== verified.key) return this.#verifyAnew(token, digest);",
      "",
      "faults/rotation.test.ts > a key replaced under its kid",
    ],
    [
      "a remembered token needs its key to be trusted still",
      `if (key instanceof Refusal) return key;
      if (key !== verified`,
      `if (key instanceof Refusal) return identity;
      if (key !== verified`,
      "faults/rotation.test.ts > a key that becomes unusable",
    ],
    [
      "a remembered token asks for its key each time",
      "const key = this.#keys.key(verified.key.kid);",
      "const key = verified.key as TrustedKey | Promise<TrustedKey>;",
      "faults/rotation.test.ts > a key that becomes unusable",
    ],
    [
      "a key that is revoked in the meantime has verified nothing",
      'if (!this.#keys.trusts(key)) return new Refusal("key_untrusted");',
      "",
      "faults/rotation.test.ts > a key that is revoked while",
    ],
    [
      "only a token that was verified is remembered",
      `      await jwtVerify(token, key.publicKey, this.#joseOptions);
      if`,
      `      this.#verified?.set(digest, { identity: identityFromClaims(unverifiedClaims), key });
      await jwtVerify(token, key.publicKey, this.#joseOptions);
      if`,
      `${CACHE} > remembers no failure of a signature`,
    ],
    [
      "a verification is pending no longer than it runs",
      "this.#pending.delete(digest);",
      "",
      `${CACHE} > remembers no failure`,
    ],
    [
      "as many tokens are remembered as configured",
      "new LRUCache({ max: cacheSize })",
      "new LRUCache({ max: 10_000 })",
      `${CACHE} > is bounded`,
    ],
    [
      "a cache that is turned off remembers nothing",
      "if (cacheSize > 0) this.#verified = new LRUCache({ max: cacheSize });",
      "this.#verified = new LRUCache({ max: cacheSize + 1 });",
      `${CACHE} > can be turned off`,
    ],
    [
      "concurrent misses on one token share its verification",
      "if (pending !== undefined) return pending;",
      "",
      `${CACHE} > concurrent misses share`,
    ],
  ]),
  {
    name: "concurrent misses on different tokens share nothing",
    edits: [
      { file: "verify/token-verifier.ts", find: "this.#pending.get(digest)", replace: 'this.#pending.get("")' },
      { file: "verify/token-verifier.ts", find: "this.#pending.set(digest, ", replace: 'this.#pending.set("", ' },
      { file: "verify/token-verifier.ts", find: "this.#pending.delete(digest)", replace: 'this.#pending.delete("")' },
    ],
    noticedBy: `${CACHE} > concurrent misses`,
  },
  ...decisionsOf("verify/verifier.ts", `${CACHE} > share no verdict`, [
    [
      "verifiers of another issuer share no verdict",
      "[issuer, audience, clockTolerance, cacheSize]",
      "[audience, clockTolerance, cacheSize]",
    ],
    [
      "verifiers of another audience share no verdict",
      "[issuer, audience, clockTolerance, cacheSize]",
      "[issuer, clockTolerance, cacheSize]",
    ],
    [
      "verifiers of another clock tolerance share no verdict",
      "[issuer, audience, clockTolerance, cacheSize]",
      "[issuer, audience, cacheSize]",
    ],
    [
      "verifiers of other keys share no verdict",
      "const verifiers = new WeakMap<KeySource, Map<string, SelectedVerifier>>();",
      "const everyones = new Map<string, SelectedVerifier>();\nconst verifiers = { get: (_: KeySource) => everyones, set: (..._: unknown[]) => undefined };",
      "faces/express.test.ts > two backends on one server",
    ],
    [
      "a verifier that remembers nothing shares nothing that another remembers",
      "[issuer, audience, clockTolerance, cacheSize]",
      "[issuer, audience, clockTolerance]",
    ],
    [
      "a verifier, which others share, cannot be changed",
      "return { tokens, facade: Object.freeze(facade) };",
      "return { tokens, facade };",
      `${CACHE} > cannot be changed`,
    ],
    [
      "the tolerance is an integer of 0 to 300 s",
      'clockTolerance: anInteger(0, 300, "seconds")',
      "clockTolerance: checkedElsewhere",
      "verify/options.test.ts > clockTolerance",
    ],
    [
      "issuer is one string that is not blank",
      "  issuer: aNonBlankString,",
      "  issuer: checkedElsewhere,",
      "verify/options.test.ts > issuer",
    ],
    [
      "audience is one string that is not blank",
      "  audience: aNonBlankString,",
      "  audience: checkedElsewhere,",
      "verify/options.test.ts > audience",
    ],
  ]),
  ...decisionsOf("protocol/agent-identity.ts", "verify/verifier.test.ts > a verified token becomes", [
    ["an identity is frozen", "return Object.freeze({", "return ({"],
    [
      "an identity does not hold the private key",
      "    issuedAt: claims.iat,",
      "    issuedAt: claims.iat,\n    ...{ agentPrivateKey: claims.agent_private_key },",
    ],
  ]),
];
