/**
 * Wrong programs that no mutator of Stryker writes: another order of steps, an `await` or a call that is missing, a line that
 * runs at import, several places at once. `npm run test:mutation` makes each edit and requires one of its tests to fail.
 */

/** The text `find` is in the file of `src/` exactly once. */
type Change = [file: string, find: string, replace: string];

export interface Edit {
  /** The rule that the edit breaks. */
  rule: string;
  /** Files under `test/`, without `.test.ts`. */
  tests: string[];
  changes: Change[];
}

const CLAIMS = "protocol/claims.ts";
const CREDENTIALS = "verify/http/credentials.ts";
const TOKENS = "verify/tokens/token-verifier.ts";
const UNVERIFIED = "verify/tokens/unverified-token.ts";
const REGISTRY = "verify/keys/jwks-registry.ts";
const STAMP = "verify/outcome/verified-identity.ts";
const AGENT_KEYS = "verify/assertions/agent-keys.ts";

const ISSUER = '  if (payload["iss"] !== expected.issuer) return "issuer_invalid";\n';
const AUDIENCE = '  if (payload["aud"] !== expected.audience) return "audience_invalid";\n';
const TYPES = '  if (!claimsAreWellFormed(payload)) return "claims_invalid";\n';
const TWO_HEADERS = '  if (rawHeaders !== undefined && hasTwo(rawHeaders)) return new Refusal("request_malformed");\n';
const NO_HEADER = '  if (authorization === undefined) return new Refusal("credentials_missing");\n';
const CLAIM_CHECKS = `
  const failure = findClaimFailure(payload, expected, now);
  if (failure !== undefined) return new Refusal(failure);
`;
const ALGORITHM = '  if (header["alg"] !== "RS256") return new Refusal("algorithm_not_allowed");\n';
const JOSE = "      await compactVerify(token, key.publicKey, JOSE_OPTIONS);\n";
const TRUSTED = `      // Meanwhile the key may have been withdrawn, and the token may have expired.
      if (!this.#keys.trusts(key)) return new Refusal("key_untrusted");\n`;
const EXPIRED = '      if (this.#hasExpired(identity)) return new Refusal("token_expired");\n';
const REMEMBER = "      this.#verified?.set(digest, { identity, key });\n";
const REMEMBER_UNVERIFIED =
  "      this.#verified?.set(digest, { identity: verifiedIdentity(identityFromClaims(unverifiedClaims)), key });\n";

const edit = (rule: string, tests: string[], ...changes: Change[]): Edit => ({ rule, tests, changes });
const swap = (file: string, a: string, b: string): Change => [file, a + b, b + a];

export const EDITS: Edit[] = [
  edit("the issuer is compared before the audience", ["protocol/claims"], swap(CLAIMS, ISSUER, AUDIENCE)),
  edit("the audience is compared before the types", ["protocol/claims"], swap(CLAIMS, AUDIENCE, TYPES)),
  edit(
    "the header is checked before the claims",
    ["verify/verifier"],
    [UNVERIFIED, CLAIM_CHECKS, ""],
    [UNVERIFIED, ALGORITHM, CLAIM_CHECKS + ALGORITHM],
  ),
  edit("two headers are counted first", ["verify/credentials"], swap(CREDENTIALS, TWO_HEADERS, NO_HEADER)),
  edit("a b64token ends where the header ends", ["verify/credentials"], [CREDENTIALS, "+=*$/", "+=*/"]),
  edit("jose's verdict is awaited", ["verify/verifier"], [TOKENS, "await compactVerify(", "void compactVerify("]),
  edit("the key is trusted still after the signature", ["faults/rotation"], swap(TOKENS, JOSE, TRUSTED)),
  edit("an expired token is not remembered", ["verify/token-signature"], swap(TOKENS, EXPIRED, REMEMBER)),
  edit("an unverified token is not remembered", ["verify/token-verifier"], [TOKENS, JOSE, REMEMBER_UNVERIFIED + JOSE]),
  edit(
    "a token is remembered with its signature",
    ["verify/token-verifier"],
    [TOKENS, 'hash("sha256", text)', 'hash("sha256", text.slice(0, text.lastIndexOf(".")))'],
  ),
  edit(
    "a replaced crypto verifies nothing",
    ["verify/token-signature"],
    [TOKENS, "      refuseReplacedCrypto();\n", ""],
  ),
  edit(
    "concurrent verifications of two tokens are kept apart",
    ["verify/token-verifier"],
    [TOKENS, "this.#pending.get(digest)", 'this.#pending.get("")'],
    [TOKENS, "this.#pending.set(digest, ", 'this.#pending.set("", '],
    [TOKENS, "this.#pending.delete(digest)", 'this.#pending.delete("")'],
  ),
  edit(
    "the algorithm is RS256, by our comparison and by jose's",
    ["verify/verifier", "attacks/signature"],
    [UNVERIFIED, ALGORITHM, ""],
    [TOKENS, 'ownProperties({ algorithms: ["RS256"] })', "ownProperties({})"],
  ),
  edit(
    "two JWKS URLs share no key set",
    ["adapters/express"],
    [REGISTRY, "sharedResolvers.get(url)", 'sharedResolvers.get("")'],
    [REGISTRY, "sharedResolvers.set(url, ", 'sharedResolvers.set("", '],
  ),
  edit(
    "a failed answer leaves the key set alone",
    ["faults/outage"],
    ["verify/keys/remote-jwks.ts", "      this.#lastError = answer.error;\n", "      this.#current = undefined;\n"],
  ),
  edit(
    "two agents share no imported key",
    ["verify/assertion-verifier"],
    [AGENT_KEYS, "importedJwks.get(x)", 'importedJwks.get("")'],
    [AGENT_KEYS, "importedJwks.set(x, ", 'importedJwks.set("", '],
  ),
  edit(
    "the verdict on an agent's signature is awaited",
    ["verify/assertion-verifier"],
    [AGENT_KEYS, "(await verifyInThreadPool(", "(!!verifyInThreadPool("],
  ),
  edit(
    "a wrong signature of an agent is not remembered",
    ["verify/assertion-verifier"],
    ["verify/assertions/assertion-verifier.ts", "if (isGood) this.#signed.set(", "this.#signed.set("],
  ),
  edit(
    "the token is hidden in rawHeaders too",
    ["adapters/hidden-token"],
    ["verify/http/hidden-token.ts", "    hideRaw(rawHeaders as string[], placeholder);\n", ""],
  ),
  edit("only the stamp lets in", ["verify/verdict"], [STAMP, "#verified in value", '"agentRuntimeId" in value']),
  edit("an identity is frozen", ["verify/verifier"], [STAMP, "Object.freeze(identity)", "identity"]),
];
