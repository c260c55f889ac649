import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  sign,
  constants,
  type SignKeyObjectInput,
} from "node:crypto";
import { exportJwk } from "../../dist/protocol/jwk.js";
import { makeRsaKey, toBase64url, type SigningKey } from "./rsa-keys.js";
import {
  encode,
  generateAgentPrivateKey,
  generateRsaKey,
  KID,
  secondsSinceEpoch,
  validClaims,
  validHeader,
  type JsonObject,
} from "./tokens.js";

/** Why we may refuse what the client accepts: codex-facts.md, "Observed acceptances that we refuse". */
export type Stricter =
  | "crit or b64 (RFC 7515)"
  | "nbf (RFC 7519)"
  | "use, alg or key_ops of the key (RFC 7517, RFC 8725)"
  | "empty kid or id"
  | "a bound of ours"
  // Found here and not listed there yet.
  | "unlisted: RSA keys of 2041 to 2047 bits"
  | "unlisted: the last second of the leeway (RFC 7519 §4.1.4)"
  | "unlisted: not UTF-8 in a member that is not read (RFC 7519 §7.2)"
  | "unlisted: an array or object in place of another type";

/** Where the client refuses the whole key set, whatever the token, and we verify with the rest of it. */
export type Lenient =
  | "a bad entry is skipped (design §4)"
  // Found here and not listed there yet.
  | "unlisted: a member of a key that is never read";

/** What the comparison leaves out: design.md §3. */
export type NotCounted =
  | "a number spelled as JSON.parse cannot tell"
  | "repeated member"
  | "lone surrogate"
  | "header member that is never read";

export interface Row {
  readonly name: string;
  readonly recipe: Recipe;
  /** The client accepts and we refuse, and both must be so. */
  readonly stricter?: Stricter;
  /** The client refuses the key set and we accept, and both must be so. */
  readonly lenient?: Lenient;
  /** Either verdict is fine on either side. */
  readonly notCounted?: NotCounted;
  /** The next second may change the verdict: both sides have to give it within one. */
  readonly withinOneSecond?: true;
}

/** What to change of a valid token and of the backend's key set. Members set to `undefined` are left out. */
interface Recipe {
  readonly header?: JsonObject;
  readonly claims?: JsonObject | ((now: number) => JsonObject);
  /** Edits of the JSON text. */
  readonly headerText?: (json: string) => string | Uint8Array;
  readonly payloadText?: (json: string) => string | Uint8Array;
  /** Edits of the base64url text; they are signed. */
  readonly headerPart?: (part: string) => string;
  readonly payloadPart?: (part: string) => string;
  readonly sign?: (message: string) => Buffer;
  /** The last edit: not signed. */
  readonly token?: (token: string) => string;
  /** The entries of the key set, or all of it, or its JSON text. */
  readonly keys?: unknown[];
  readonly jwks?: unknown;
  readonly jwksText?: string | Uint8Array;
}

export interface Sample {
  readonly token: string;
  readonly jwks: string | Uint8Array;
}

const backend = generateRsaKey();
const attacker = generateRsaKey();
const backendJwk = publish(backend);

export function makeSample(recipe: Recipe): Sample {
  const now = secondsSinceEpoch();
  const { header, claims, sign = backend.sign, jwks = { keys: recipe.keys ?? [backendJwk] } } = recipe;
  const headerJson = JSON.stringify({ ...validHeader(), ...header });
  const payloadJson = JSON.stringify({
    ...validClaims(now),
    ...(typeof claims === "function" ? claims(now) : claims),
  });
  const headerPart = encode(recipe.headerText?.(headerJson) ?? headerJson);
  const payloadPart = encode(recipe.payloadText?.(payloadJson) ?? payloadJson);
  const message = [
    recipe.headerPart?.(headerPart) ?? headerPart,
    recipe.payloadPart?.(payloadPart) ?? payloadPart,
  ].join(".");
  const token = `${message}.${encode(sign(message))}`;
  return { token: recipe.token?.(token) ?? token, jwks: recipe.jwksText ?? JSON.stringify(jwks) };
}

function publish(key: SigningKey, members: JsonObject = {}): JsonObject {
  return { ...key.jwk, kid: KID, use: "sig", alg: "RS256", ...members };
}

function signedWith(key: SigningKey, members?: JsonObject): Recipe {
  return { sign: key.sign, keys: [publish(key, members)] };
}

function editPart(index: 0 | 1 | 2, edit: (part: string) => string): (token: string) => string {
  return (token) =>
    token
      .split(".")
      .map((part, i) => (i === index ? edit(part) : part))
      .join(".");
}

/** Makes the encoded text end in spare bits, so that there is a second spelling of it. */
function padToSpareBits(json: string): string {
  return json + " ".repeat((4 - (Buffer.byteLength(json) % 3)) % 3);
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function setSpareBit(part: string): string {
  if (part.length % 4 !== 2) throw new Error("no spare bits");
  return part.slice(0, -1) + (ALPHABET[ALPHABET.indexOf(part.slice(-1)) + 1] ?? "");
}

function addPadding(part: string): string {
  return part + "=".repeat((4 - (part.length % 4)) % 4);
}

function toStandardBase64(part: string): string {
  return part.replaceAll("-", "+").replaceAll("_", "/");
}

function insertInMiddle(text: string, inserted: string): string {
  const middle = Math.floor(text.length / 2);
  return text.slice(0, middle) + inserted + text.slice(middle);
}

function flipFirstCharacter(part: string): string {
  return (part.startsWith("A") ? "B" : "A") + part.slice(1);
}

function addMember(name: string, jsonText: string): (json: string) => string {
  return (json) => `${json.slice(0, -1)},${JSON.stringify(name)}:${jsonText}}`;
}

/** Replaces the value of a numeric claim with a spelling that `JSON.stringify` would not write. */
function spell(claim: string, jsonText: string): (json: string) => string {
  return (json) => json.replace(new RegExp(`"${claim}":\\d+`), `"${claim}":${jsonText}`);
}

function signAs(algorithm: string, options: Omit<SignKeyObjectInput, "key"> = {}): (message: string) => Buffer {
  return (message) => sign(algorithm, Buffer.from(message), { key: backend.privateKey, ...options });
}

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };

const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ecJwk = exportJwk(ec.publicKey);
const signAsES256 = (message: string) =>
  sign("sha256", Buffer.from(message), { key: ec.privateKey, dsaEncoding: "ieee-p1363" });

const ed = generateKeyPairSync("ed25519");
const edJwk = exportJwk(ed.publicKey);
const signAsEdDSA = (message: string) => sign(null, Buffer.from(message), ed.privateKey);

const backendPem = createPublicKey(backend.privateKey).export({ format: "pem", type: "spki" });
const signAsHS256 = (secret: string | Buffer) => (message: string) =>
  createHmac("sha256", secret).update(message).digest();

const STRING_CLAIMS = [
  "iss",
  "aud",
  "agent_runtime_id",
  "agent_private_key",
  "account_id",
  "chatgpt_user_id",
  "plan_type",
];
const IDS = ["agent_runtime_id", "account_id", "chatgpt_user_id"];

const baseline: Row[] = [{ name: "valid token", recipe: {} }];

const stringClaims: Row[] = STRING_CLAIMS.flatMap((claim): Row[] => [
  { name: `${claim} missing`, recipe: { claims: { [claim]: undefined } } },
  { name: `${claim} null`, recipe: { claims: { [claim]: null } } },
  { name: `${claim} number`, recipe: { claims: { [claim]: 7 } } },
  { name: `${claim} object`, recipe: { claims: { [claim]: {} } } },
  {
    name: `${claim} array`,
    recipe: { claims: (now) => ({ [claim]: [validClaims(now)[claim]] }) },
  },
  {
    name: `${claim} empty`,
    recipe: { claims: { [claim]: "" } },
    ...(IDS.includes(claim) && { stricter: "empty kid or id" }),
  },
]);

const otherClaims: Row[] = [
  { name: "iss other", recipe: { claims: { iss: "https://evil.example" } } },
  {
    name: "iss with trailing slash",
    recipe: { claims: { iss: "https://chatgpt.com/codex-backend/agent-identity/" } },
  },
  {
    name: "iss in other case",
    recipe: { claims: { iss: "https://ChatGPT.com/codex-backend/agent-identity" } },
  },
  { name: "aud other", recipe: { claims: { aud: "codex" } } },
  { name: "aud in other case", recipe: { claims: { aud: "Codex-App-Server" } } },
  { name: "aud with trailing space", recipe: { claims: { aud: "codex-app-server " } } },
  { name: "aud array with another", recipe: { claims: { aud: ["codex-app-server", "other"] } } },
  { name: "aud empty array", recipe: { claims: { aud: [] } } },
  { name: "email missing", recipe: { claims: { email: undefined } } },
  { name: "email null", recipe: { claims: { email: null } } },
  { name: "email empty", recipe: { claims: { email: "" } } },
  { name: "email number", recipe: { claims: { email: 7 } } },
  { name: "email array", recipe: { claims: { email: ["a@example.com"] } } },
  { name: "plan_type alias hc", recipe: { claims: { plan_type: "hc" } } },
  { name: "plan_type alias education", recipe: { claims: { plan_type: "education" } } },
  { name: "plan_type unknown", recipe: { claims: { plan_type: "platinum" } } },
  { name: "plan_type in upper case", recipe: { claims: { plan_type: "TEAM" } } },
  {
    name: "plan_type object with a variant",
    recipe: { claims: { plan_type: { team: null } } },
    stricter: "unlisted: an array or object in place of another type",
  },
  { name: "fedramp missing", recipe: { claims: { chatgpt_account_is_fedramp: undefined } } },
  { name: "fedramp null", recipe: { claims: { chatgpt_account_is_fedramp: null } } },
  { name: "fedramp true", recipe: { claims: { chatgpt_account_is_fedramp: true } } },
  { name: "fedramp string", recipe: { claims: { chatgpt_account_is_fedramp: "false" } } },
  { name: "fedramp number", recipe: { claims: { chatgpt_account_is_fedramp: 0 } } },
  { name: "fedramp array", recipe: { claims: { chatgpt_account_is_fedramp: [false] } } },
  { name: "agent_private_key not base64", recipe: { claims: { agent_private_key: "***" } } },
  { name: "agent_private_key no key", recipe: { claims: { agent_private_key: "AAAA" } } },
  {
    name: "agent_private_key an EC key",
    recipe: {
      claims: { agent_private_key: ec.privateKey.export({ format: "der", type: "pkcs8" }).toString("base64") },
    },
  },
  {
    name: "agent_private_key in base64url",
    recipe: { claims: { agent_private_key: Buffer.from(generateAgentPrivateKey(), "base64").toString("base64url") } },
  },
  { name: "ids with : and /", recipe: { claims: { agent_runtime_id: "a:b/c", account_id: "x/y" } } },
  {
    name: "ids with spaces, controls and emoji",
    recipe: { claims: { agent_runtime_id: " \n\u0000🙂", account_id: " " } },
  },
  { name: "id of 4000 characters", recipe: { claims: { agent_runtime_id: "a".repeat(4000) } } },
  { name: "extra claims", recipe: { claims: { sub: 5, jti: null, extra: { a: [1] }, __proto__x: 1 } } },
  { name: "extra claim called __proto__", recipe: { payloadText: addMember("__proto__", '{"exp":0}') } },
  ...["user", "", null, 5, true, ["a"], [], { a: 1 }, {}].map((sub): Row => ({
    name: `sub ${JSON.stringify(sub)}`,
    recipe: { claims: { sub } },
  })),
  ...[null, 5, ["a"], { a: 1 }].flatMap((value): Row[] => [
    { name: `jti ${JSON.stringify(value)}`, recipe: { claims: { jti: value } } },
    { name: `azp ${JSON.stringify(value)}`, recipe: { claims: { azp: value } } },
  ]),
  { name: "extra claim 1e400", recipe: { payloadText: addMember("extra", "1e400") } },
  { name: "extra claim nested 100 deep", recipe: { payloadText: addMember("extra", nested(100)) } },
  { name: "extra claim nested 200 deep", recipe: { payloadText: addMember("extra", nested(200)) } },
  { name: "extra claim nested 5000 deep", recipe: { payloadText: addMember("extra", nested(5000)) } },
  ...[
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "-",
    "NaN",
    "undefined",
    "'a'",
    String.raw`"\x41"`,
    '"\t"',
    '"a',
    "[1,]",
    "{a:1}",
  ].map((text): Row => ({
    name: `extra claim ${JSON.stringify(text)}`,
    recipe: { payloadText: addMember("extra", text) },
  })),
  {
    name: "extra claim with a lone surrogate",
    recipe: { payloadText: addMember("extra", String.raw`"\ud800"`) },
    notCounted: "lone surrogate",
  },
  {
    name: "email with a lone surrogate",
    recipe: { payloadText: (json) => json.replace("agent@", String.raw`\ud800@`) },
    notCounted: "lone surrogate",
  },
  { name: "claim names in other case", recipe: { payloadText: (json) => json.replace('"aud"', '"AUD"') } },
  {
    name: "claim name written with escapes",
    recipe: { payloadText: (json) => json.replace('"aud"', String.raw`"\u0061ud"`) },
  },
];

function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}

const times: Row[] = [
  ...["exp", "iat"].flatMap((claim): Row[] => [
    { name: `${claim} missing`, recipe: { claims: { [claim]: undefined } } },
    { name: `${claim} null`, recipe: { claims: { [claim]: null } } },
    { name: `${claim} string`, recipe: { claims: (now) => ({ [claim]: String(now + 600) }) } },
    { name: `${claim} empty string`, recipe: { claims: { [claim]: "" } } },
    { name: `${claim} boolean`, recipe: { claims: { [claim]: true } } },
    { name: `${claim} array`, recipe: { claims: (now) => ({ [claim]: [now + 600] }) } },
    { name: `${claim} object`, recipe: { claims: { [claim]: {} } } },
    { name: `${claim} negative`, recipe: { claims: { [claim]: -1 } } },
    { name: `${claim} fraction`, recipe: { claims: (now) => ({ [claim]: now + 600.5 }) } },
    { name: `${claim} zero`, recipe: { claims: { [claim]: 0 } } },
    { name: `${claim} milliseconds`, recipe: { claims: (now) => ({ [claim]: (now + 600) * 1000 }) } },
    { name: `${claim} 2^53 - 1`, recipe: { payloadText: spell(claim, "9007199254740991") } },
    { name: `${claim} 2^53`, recipe: { payloadText: spell(claim, "9007199254740992") }, stricter: "a bound of ours" },
    {
      name: `${claim} 2^63 - 1`,
      recipe: { payloadText: spell(claim, "9223372036854775807") },
      stricter: "a bound of ours",
    },
    {
      name: `${claim} 2^64 - 1`,
      recipe: { payloadText: spell(claim, "18446744073709551615") },
      stricter: "a bound of ours",
    },
    { name: `${claim} 2^64`, recipe: { payloadText: spell(claim, "18446744073709551616") } },
    { name: `${claim} 1e400`, recipe: { payloadText: spell(claim, "1e400") } },
    { name: `${claim} NaN`, recipe: { payloadText: spell(claim, "NaN") } },
    {
      name: `${claim} spelled 4e9`,
      recipe: { payloadText: spell(claim, "4e9") },
      notCounted: "a number spelled as JSON.parse cannot tell",
    },
    {
      name: `${claim} spelled 4000000000.0`,
      recipe: { payloadText: spell(claim, "4000000000.0") },
      notCounted: "a number spelled as JSON.parse cannot tell",
    },
    { name: `${claim} with a leading zero`, recipe: { payloadText: spell(claim, "04000000000") } },
    { name: `${claim} with a plus sign`, recipe: { payloadText: spell(claim, "+4000000000") } },
  ]),
  {
    name: "iat spelled -0",
    recipe: { payloadText: spell("iat", "-0") },
    notCounted: "a number spelled as JSON.parse cannot tell",
  },
  { name: "exp 30 s ago", recipe: { claims: (now) => ({ exp: now - 30 }) } },
  { name: "exp 59 s ago", recipe: { claims: (now) => ({ exp: now - 59 }) }, withinOneSecond: true },
  {
    name: "exp 60 s ago",
    recipe: { claims: (now) => ({ exp: now - 60 }) },
    withinOneSecond: true,
    stricter: "unlisted: the last second of the leeway (RFC 7519 §4.1.4)",
  },
  { name: "exp 61 s ago", recipe: { claims: (now) => ({ exp: now - 61 }) }, withinOneSecond: true },
  { name: "exp 90 s ago", recipe: { claims: (now) => ({ exp: now - 90 }) } },
  { name: "iat in an hour", recipe: { claims: (now) => ({ iat: now + 3600 }) } },
  { name: "iat after exp", recipe: { claims: (now) => ({ iat: now + 9000, exp: now + 600 }) } },
  { name: "nbf in the past", recipe: { claims: (now) => ({ nbf: now - 600 }) } },
  { name: "nbf zero", recipe: { claims: { nbf: 0 } } },
  { name: "nbf in 30 s", recipe: { claims: (now) => ({ nbf: now + 30 }) } },
  { name: "nbf in 60 s", recipe: { claims: (now) => ({ nbf: now + 60 }) } },
  { name: "nbf in 600 s", recipe: { claims: (now) => ({ nbf: now + 600 }) }, stricter: "nbf (RFC 7519)" },
  ...[null, "soon", true, [], {}, -1, 1.5].map((nbf): Row => ({
    name: `nbf ${JSON.stringify(nbf)}`,
    recipe: { claims: { nbf } },
    stricter: "nbf (RFC 7519)",
  })),
  { name: "nbf 1e400", recipe: { payloadText: addMember("nbf", "1e400") }, stricter: "nbf (RFC 7519)" },
  { name: "nbf [5]", recipe: { claims: { nbf: [5] } } },
  { name: 'nbf {"a":1}', recipe: { claims: { nbf: { a: 1 } } } },
];

const headers: Row[] = [
  { name: "alg missing", recipe: { header: { alg: undefined } } },
  { name: "alg null", recipe: { header: { alg: null } } },
  { name: "alg number", recipe: { header: { alg: 256 } } },
  { name: "alg empty", recipe: { header: { alg: "" } } },
  { name: "alg array", recipe: { header: { alg: ["RS256"] } } },
  { name: "alg with a trailing space", recipe: { header: { alg: "RS256 " } } },
  { name: "alg rs256", recipe: { header: { alg: "rs256" } } },
  { name: "alg unknown", recipe: { header: { alg: "RS257" } } },
  { name: "alg none, unsigned", recipe: { header: { alg: "none" }, sign: () => Buffer.alloc(0) } },
  { name: "alg none, signed", recipe: { header: { alg: "none" } } },
  { name: "alg None, unsigned", recipe: { header: { alg: "None" }, sign: () => Buffer.alloc(0) } },
  { name: "HS256 with the public PEM", recipe: { header: { alg: "HS256" }, sign: signAsHS256(backendPem) } },
  {
    name: "HS256 with the modulus",
    recipe: { header: { alg: "HS256" }, sign: signAsHS256(Buffer.from(backend.jwk.n, "base64url")) },
  },
  {
    name: "HS256 with a published oct key",
    recipe: {
      header: { alg: "HS256" },
      sign: signAsHS256("secret"),
      keys: [{ kty: "oct", k: encode("secret"), kid: KID, alg: "HS256" }],
    },
  },
  {
    name: "RS384",
    recipe: { header: { alg: "RS384" }, sign: signAs("sha384"), keys: [publish(backend, { alg: "RS384" })] },
  },
  {
    name: "RS512",
    recipe: { header: { alg: "RS512" }, sign: signAs("sha512"), keys: [publish(backend, { alg: "RS512" })] },
  },
  {
    name: "PS256",
    recipe: { header: { alg: "PS256" }, sign: signAs("sha256", pss), keys: [publish(backend, { alg: "PS256" })] },
  },
  { name: "RS256 header, PS256 signature", recipe: { sign: signAs("sha256", pss) } },
  { name: "RS256 header, RS512 signature", recipe: { sign: signAs("sha512") } },
  { name: "RS256 header, SHA-1 signature", recipe: { sign: signAs("sha1") } },
  {
    name: "ES256",
    recipe: { header: { alg: "ES256" }, sign: signAsES256, keys: [{ ...ecJwk, kid: KID, alg: "ES256", use: "sig" }] },
  },
  {
    name: "EdDSA",
    recipe: { header: { alg: "EdDSA" }, sign: signAsEdDSA, keys: [{ ...edJwk, kid: KID, alg: "EdDSA", use: "sig" }] },
  },
  { name: "kid missing", recipe: { header: { kid: undefined } } },
  { name: "kid null", recipe: { header: { kid: null } } },
  { name: "kid number", recipe: { header: { kid: 1 }, keys: [publish(backend, { kid: 1 })] } },
  { name: "kid array", recipe: { header: { kid: [KID] } } },
  { name: "kid unknown", recipe: { header: { kid: "other" } } },
  { name: "kid in other case", recipe: { header: { kid: KID.toUpperCase() } } },
  { name: "kid with trailing space", recipe: { header: { kid: `${KID} ` } } },
  {
    name: "kid with a control character",
    recipe: { header: { kid: `${KID}\n` }, keys: [publish(backend, { kid: `${KID}\n` })] },
  },
  { name: "kid __proto__", recipe: { header: { kid: "__proto__" } } },
  { name: "kid of emoji", recipe: { header: { kid: "🔑" }, ...withKey({ kid: "🔑" }) } },
  {
    name: "kid composed, decomposed in the key",
    recipe: { header: { kid: "\u00e9" }, ...withKey({ kid: "e\u0301" }) },
  },
  {
    name: "kid empty",
    recipe: { header: { kid: "" }, keys: [publish(backend, { kid: "" })] },
    stricter: "empty kid or id",
  },
  {
    name: "kid of 256 characters",
    recipe: { header: { kid: "k".repeat(256) }, keys: [publish(backend, { kid: "k".repeat(256) })] },
  },
  {
    name: "kid of 257 characters",
    recipe: { header: { kid: "k".repeat(257) }, keys: [publish(backend, { kid: "k".repeat(257) })] },
    stricter: "a bound of ours",
  },
  ...[["exp"], ["b64"], ["unknown"], [], null, "exp"].map((crit): Row => ({
    name: `crit ${JSON.stringify(crit)}`,
    recipe: { header: { crit } },
    stricter: "crit or b64 (RFC 7515)",
  })),
  { name: "b64 false", recipe: { header: { b64: false } }, stricter: "crit or b64 (RFC 7515)" },
  { name: "b64 true", recipe: { header: { b64: true } } },
  {
    name: "b64 false and crit",
    recipe: { header: { b64: false, crit: ["b64"] } },
    stricter: "crit or b64 (RFC 7515)",
  },
  { name: "typ missing", recipe: { header: { typ: undefined } } },
  { name: "typ at+jwt", recipe: { header: { typ: "at+jwt" } } },
  { name: "typ empty", recipe: { header: { typ: "" } } },
  { name: "typ number", recipe: { header: { typ: 1 } }, notCounted: "header member that is never read" },
  { name: "cty JWT", recipe: { header: { cty: "JWT" } } },
  { name: "zip and enc", recipe: { header: { zip: "DEF", enc: "A256GCM" } } },
  { name: "zip number", recipe: { header: { zip: 1 } }, notCounted: "header member that is never read" },
  { name: "extra header member", recipe: { header: { extra: { nested: [1] } } } },
  { name: "extra header member nested 200 deep", recipe: { headerText: addMember("extra", nested(200)) } },
  { name: "extra header member 1e400", recipe: { headerText: addMember("extra", "1e400") } },
  { name: "extra header member with a string", recipe: { header: { extra: "x" } } },
  { name: "jku of the attacker", recipe: { header: { jku: "https://evil.example/jwks" }, sign: attacker.sign } },
  { name: "x5u of the attacker", recipe: { header: { x5u: "https://evil.example/x5u" }, sign: attacker.sign } },
  { name: "jwk of the attacker", recipe: { header: { jwk: publish(attacker) }, sign: attacker.sign } },
  { name: "x5c of the attacker", recipe: { header: { x5c: ["MIIB"] }, sign: attacker.sign } },
  { name: "jku, signed by the backend", recipe: { header: { jku: "https://evil.example/jwks" } } },
  { name: "jwk, signed by the backend", recipe: { header: { jwk: publish(attacker) } } },
  { name: "x5u and x5c, signed by the backend", recipe: { header: { x5u: "https://evil.example/", x5c: ["MIIB"] } } },
  { name: "jku number", recipe: { header: { jku: 1 } }, notCounted: "header member that is never read" },
  { name: "jwk string", recipe: { header: { jwk: "x" } }, notCounted: "header member that is never read" },
  { name: "x5c string", recipe: { header: { x5c: "x" } }, notCounted: "header member that is never read" },
  { name: "header an array", recipe: { headerText: () => '["JWT","RS256"]' } },
  {
    name: "header an array in the client's member order",
    recipe: { headerText: () => JSON.stringify(["JWT", "RS256", null, null, null, KID, null, null, null, null]) },
    stricter: "unlisted: an array or object in place of another type",
  },
  { name: "header a string", recipe: { headerText: () => '"RS256"' } },
  { name: "header null", recipe: { headerText: () => "null" } },
  { name: "header not JSON", recipe: { headerText: () => "{alg:RS256}" } },
  { name: "header with a BOM", recipe: { headerText: (json) => `\ufeff${json}` } },
  { name: "header with trailing garbage", recipe: { headerText: (json) => `${json}x` } },
  { name: "header with white space around", recipe: { headerText: (json) => ` \n\t${json}\r\n ` } },
  {
    name: "header not UTF-8",
    recipe: { headerText: (json) => Buffer.from(addMember("x", '"\xff"')(json), "latin1") },
    stricter: "unlisted: not UTF-8 in a member that is not read (RFC 7519 §7.2)",
  },
  {
    name: "header alg twice, RS256 last",
    recipe: { headerText: (json) => json.replace("{", '{"alg":"none",') },
    notCounted: "repeated member",
  },
  {
    name: "header kid twice, trusted last",
    recipe: { headerText: (json) => json.replace("{", '{"kid":"other",') },
    notCounted: "repeated member",
  },
];

const encodings: Row[] = [
  { name: "header padded", recipe: { headerText: padToSpareBits, headerPart: addPadding } },
  { name: "payload padded", recipe: { payloadText: padToSpareBits, payloadPart: addPadding } },
  { name: "signature padded", recipe: { token: editPart(2, addPadding) } },
  { name: "signature with one stray =", recipe: { token: editPart(2, (part) => `${part}=`) } },
  { name: "payload in standard base64", recipe: { claims: { extra: "???>>>~~~" }, payloadPart: toStandardBase64 } },
  { name: "payload with - and _", recipe: { claims: { extra: "???>>>~~~" } } },
  { name: "signature in standard base64", recipe: { token: editPart(2, toStandardBase64) } },
  { name: "header with spare bits set", recipe: { headerText: padToSpareBits, headerPart: setSpareBit } },
  { name: "payload with spare bits set", recipe: { payloadText: padToSpareBits, payloadPart: setSpareBit } },
  { name: "signature with spare bits set", recipe: { token: editPart(2, setSpareBit) } },
  { name: "newline inside header", recipe: { headerPart: (part) => insertInMiddle(part, "\n") } },
  { name: "newline inside payload", recipe: { payloadPart: (part) => insertInMiddle(part, "\n") } },
  { name: "space inside payload", recipe: { payloadPart: (part) => insertInMiddle(part, " ") } },
  { name: "newline inside signature", recipe: { token: editPart(2, (part) => insertInMiddle(part, "\n")) } },
  { name: "space after the first dot", recipe: { payloadPart: (part) => ` ${part}` } },
  { name: "letter outside ASCII inside payload", recipe: { payloadPart: (part) => insertInMiddle(part, "é") } },
  {
    name: "payload part of impossible length",
    recipe: { payloadText: padToSpareBits, payloadPart: (part) => `${part}AAA` },
  },
  { name: "one part", recipe: { token: (token) => token.replaceAll(".", "") } },
  { name: "two parts", recipe: { token: (token) => token.slice(0, token.lastIndexOf(".")) } },
  { name: "four parts", recipe: { token: (token) => `${token}.AAAA` } },
  { name: "trailing dot", recipe: { token: (token) => `${token}.` } },
  { name: "leading dot", recipe: { token: (token) => `.${token}` } },
  { name: "header part empty", recipe: { token: editPart(0, () => "") } },
  { name: "payload part empty", recipe: { token: editPart(1, () => "") } },
  { name: "signature part empty", recipe: { token: editPart(2, () => "") } },
  { name: "payload with a BOM", recipe: { payloadText: (json) => `\ufeff${json}` } },
  {
    name: "payload not UTF-8",
    recipe: { payloadText: (json) => Buffer.from(json.replace("agent@", "\xff@"), "latin1") },
  },
  {
    name: "payload with an overlong sequence",
    recipe: { payloadText: (json) => Buffer.from(json.replace("agent@", "\xc0\xaf@"), "latin1") },
  },
  {
    name: "extra claim not UTF-8",
    recipe: { payloadText: (json) => Buffer.from(addMember("extra", '"\xff"')(json), "latin1") },
    stricter: "unlisted: not UTF-8 in a member that is not read (RFC 7519 §7.2)",
  },
  { name: "payload in UTF-16", recipe: { payloadText: (json) => Buffer.from(json, "utf16le") } },
  { name: "payload an array", recipe: { payloadText: (json) => `[${json}]` } },
  { name: "payload a string", recipe: { payloadText: (json) => JSON.stringify(json) } },
  { name: "payload null", recipe: { payloadText: () => "null" } },
  { name: "payload a number", recipe: { payloadText: () => "42" } },
  { name: "payload an empty object", recipe: { payloadText: () => "{}" } },
  {
    name: "payload an array in the client's member order",
    recipe: {
      payloadText: (json) => {
        const { iss, aud, iat, exp, ...rest } = JSON.parse(json) as JsonObject;
        return JSON.stringify([iss, aud, iat, exp, ...Object.values(rest)]);
      },
    },
  },
  { name: "payload with white space around", recipe: { payloadText: (json) => ` \n\t${json}\r\n ` } },
  { name: "payload followed by a letter", recipe: { payloadText: (json) => `${json}x` } },
  { name: "payload followed by an object", recipe: { payloadText: (json) => `${json}{}` } },
  { name: "payload followed by NUL", recipe: { payloadText: (json) => `${json}\u0000` } },
  { name: "payload with a trailing comma", recipe: { payloadText: (json) => `${json.slice(0, -1)},}` } },
  { name: "payload with a comment", recipe: { payloadText: (json) => json.replace("{", "{/**/") } },
  {
    name: "payload with a raw newline in a string",
    recipe: { payloadText: (json) => json.replace("agent@", "agent\n@") },
  },
  {
    name: "aud twice, right one last",
    recipe: { payloadText: (json) => json.replace("{", '{"aud":"other",') },
    notCounted: "repeated member",
  },
  {
    name: "aud twice, wrong one last",
    recipe: { payloadText: addMember("aud", '"other"') },
    notCounted: "repeated member",
  },
  {
    name: "exp twice, expired one last",
    recipe: { payloadText: addMember("exp", "1") },
    notCounted: "repeated member",
  },
  {
    name: "account_id twice",
    recipe: { payloadText: addMember("account_id", '"acct-2"') },
    notCounted: "repeated member",
  },
  { name: "extra claim twice", recipe: { payloadText: (json) => addMember("x", "1")(addMember("x", "2")(json)) } },
  { name: "token of just under 16 KiB", recipe: { claims: { extra: "a".repeat(11_300) } } },
  { name: "token over 16 KiB", recipe: { claims: { extra: "a".repeat(12_500) } }, stricter: "a bound of ours" },
];

const signatures: Row[] = [
  { name: "first byte of the signature changed", recipe: { token: editPart(2, flipFirstCharacter) } },
  { name: "signature one byte short", recipe: { sign: (message) => backend.sign(message).subarray(0, -1) } },
  {
    name: "signature one byte long",
    recipe: { sign: (message) => Buffer.concat([backend.sign(message), Buffer.alloc(1)]) },
  },
  {
    name: "signature with a leading zero byte",
    recipe: { sign: (message) => Buffer.concat([Buffer.alloc(1), backend.sign(message)]) },
  },
  { name: "signature half", recipe: { sign: (message) => backend.sign(message).subarray(0, 128) } },
  { name: "signature of zeros", recipe: { sign: () => Buffer.alloc(256) } },
  { name: "signature of one", recipe: { sign: () => Buffer.concat([Buffer.alloc(255), Buffer.from([1])]) } },
  { name: "signature plus the modulus", recipe: { sign: (message) => addModulus(backend.sign(message)) } },
  { name: "signed by another key", recipe: { sign: attacker.sign } },
  { name: "signature of another token", recipe: { sign: () => backend.sign("other") } },
  {
    name: "payload changed after signing",
    recipe: { token: editPart(1, (part) => encode(claimAnotherAccount(part))) },
  },
  {
    name: "header changed after signing",
    recipe: { token: editPart(0, () => encode(JSON.stringify({ ...validHeader(), x: 1 }))) },
  },
];

/** The same number modulo n, one value too large. */
function addModulus(signature: Buffer): Buffer {
  const sum =
    BigInt(`0x${signature.toString("hex")}`) + BigInt(`0x${Buffer.from(backend.jwk.n, "base64url").toString("hex")}`);
  return Buffer.from(toBase64url(sum), "base64url");
}

function claimAnotherAccount(part: string): string {
  const claims = JSON.parse(Buffer.from(part, "base64url").toString()) as JsonObject;
  return JSON.stringify({ ...claims, account_id: "acct-2" });
}

/** The backend's key with these members. */
function withKey(members: JsonObject): Recipe {
  return { keys: [publish(backend, members)] };
}

const keyUse: Stricter = "use, alg or key_ops of the key (RFC 7517, RFC 8725)";
const backendN = Buffer.from(backend.jwk.n, "base64url");
const oddExponent = makeRsaKey(2048, 3n);

const keys: Row[] = [
  ...[2041, 2047].map((bits): Row => ({
    name: `modulus of ${bits} bits`,
    recipe: signedWith(makeRsaKey(bits)),
    stricter: "unlisted: RSA keys of 2041 to 2047 bits",
  })),
  ...[1024, 2040, 2048, 2056, 3072, 4096, 8191, 8192, 8193, 8200, 16384].map((bits): Row => ({
    name: `modulus of ${bits} bits`,
    recipe: signedWith(makeRsaKey(bits)),
  })),
  { name: "e = 3", recipe: signedWith(oddExponent) },
  { name: "e = 1", recipe: signedWith(makeRsaKey(2048, 1n)) },
  { name: "e = 2^32 + 15", recipe: signedWith(makeRsaKey(2048, (1n << 32n) + 15n)) },
  { name: "e = 2^33 - 1", recipe: signedWith(makeRsaKey(2048, (1n << 33n) - 1n)) },
  { name: "e = 2^33 + 9", recipe: signedWith(makeRsaKey(2048, (1n << 33n) + 9n)) },
  { name: "e = 2^64 + 13", recipe: signedWith(makeRsaKey(2048, (1n << 64n) + 13n)) },
  { name: "e even", recipe: withKey({ e: "AQAA" }) },
  { name: "e = 0", recipe: withKey({ e: "AA" }) },
  { name: "e empty", recipe: withKey({ e: "" }) },
  { name: "e missing", recipe: withKey({ e: undefined }) },
  { name: "e number", recipe: withKey({ e: 65537 }) },
  { name: "e with a leading zero byte", recipe: withKey({ e: "AAEAAQ" }) },
  { name: "e padded", recipe: { keys: [publish(oddExponent, { e: "Aw==" })], sign: oddExponent.sign } },
  { name: "e with spare bits set", recipe: { keys: [publish(oddExponent, { e: "Ax" })], sign: oddExponent.sign } },
  {
    name: "n with a leading zero byte",
    recipe: withKey({ n: encode(Buffer.concat([Buffer.alloc(1), backendN])) }),
  },
  { name: "n padded", recipe: withKey({ n: addPadding(backend.jwk.n) }) },
  { name: "n in standard base64", recipe: withKey({ n: toStandardBase64(backend.jwk.n) }) },
  { name: "n with spare bits set", recipe: withKey({ n: setSpareBit(backend.jwk.n) }) },
  { name: "n with a newline", recipe: withKey({ n: `${backend.jwk.n}\n` }) },
  { name: "n missing", recipe: withKey({ n: undefined }) },
  { name: "n empty", recipe: withKey({ n: "" }) },
  { name: "n number", recipe: withKey({ n: 5 }) },
  { name: "use missing", recipe: withKey({ use: undefined }) },
  { name: "use null", recipe: withKey({ use: null }) },
  { name: "use enc", recipe: withKey({ use: "enc" }), stricter: keyUse },
  { name: "use unknown", recipe: withKey({ use: "tls" }), stricter: keyUse },
  { name: "use empty", recipe: withKey({ use: "" }), stricter: keyUse },
  { name: "use SIG", recipe: withKey({ use: "SIG" }), stricter: keyUse },
  { name: "use number", recipe: withKey({ use: 1 }) },
  { name: "alg missing in key", recipe: withKey({ alg: undefined }) },
  { name: "alg null in key", recipe: withKey({ alg: null }) },
  { name: "alg RS512 in key", recipe: withKey({ alg: "RS512" }), stricter: keyUse },
  { name: "alg PS256 in key", recipe: withKey({ alg: "PS256" }), stricter: keyUse },
  { name: "alg ES256 in key", recipe: withKey({ alg: "ES256" }), stricter: keyUse },
  { name: "alg RSA-OAEP in key", recipe: withKey({ alg: "RSA-OAEP" }), stricter: keyUse },
  { name: "alg unknown in key", recipe: withKey({ alg: "RS999" }) },
  { name: "alg empty in key", recipe: withKey({ alg: "" }) },
  { name: "alg number in key", recipe: withKey({ alg: 256 }) },
  { name: "key_ops null", recipe: withKey({ key_ops: null }) },
  { name: "key_ops []", recipe: withKey({ key_ops: [] }), stricter: keyUse },
  { name: "key_ops [verify]", recipe: withKey({ key_ops: ["verify"] }) },
  { name: "key_ops [sign, verify]", recipe: withKey({ key_ops: ["sign", "verify"] }) },
  { name: "key_ops [sign]", recipe: withKey({ key_ops: ["sign"] }), stricter: keyUse },
  { name: "key_ops [encrypt]", recipe: withKey({ key_ops: ["encrypt"] }), stricter: keyUse },
  { name: "key_ops [unknown]", recipe: withKey({ key_ops: ["unknown"] }), stricter: keyUse },
  { name: "key_ops [verify, verify]", recipe: withKey({ key_ops: ["verify", "verify"] }) },
  { name: "key_ops [verify, unknown]", recipe: withKey({ key_ops: ["verify", "unknown"] }) },
  { name: "key_ops string", recipe: withKey({ key_ops: "verify" }) },
  { name: "key_ops [number]", recipe: withKey({ key_ops: [1] }) },
  { name: "key_ops [verify, number]", recipe: withKey({ key_ops: ["verify", 1] }) },
  { name: "kty missing", recipe: withKey({ kty: undefined }) },
  { name: "kty rsa", recipe: withKey({ kty: "rsa" }) },
  { name: "kty unknown", recipe: withKey({ kty: "AKP" }) },
  { name: "kty EC with an RSA body", recipe: withKey({ kty: "EC" }) },
  { name: "an EC key with that kid", recipe: { keys: [{ ...ecJwk, kid: KID }] } },
  { name: "an oct key with that kid", recipe: { keys: [{ kty: "oct", k: "AAAA", kid: KID }] } },
  { name: "an RSA key with members of an EC key", recipe: { keys: [{ ...ecJwk, ...publish(backend) }] } },
  {
    name: "private members published",
    recipe: { keys: [{ ...exportJwk(backend.privateKey), kid: KID }] },
  },
  { name: "private member d of odd type", recipe: withKey({ d: 5 }) },
  { name: "oth published", recipe: withKey({ oth: [{ r: "AA" }] }) },
  {
    name: "x5c, x5t and x5u in key",
    recipe: withKey({ x5c: ["MIIB"], x5t: "AA", x5u: "https://a.example/" }),
  },
  {
    name: "x5c string in key",
    recipe: withKey({ x5c: "MIIB" }),
    lenient: "unlisted: a member of a key that is never read",
  },
  { name: "x5t number in key", recipe: withKey({ x5t: 1 }), lenient: "unlisted: a member of a key that is never read" },
  {
    name: "extra members in key",
    recipe: withKey({ extra: { a: 1 }, ext: true, revoked: false }),
  },
  { name: "x5u number in key", recipe: withKey({ x5u: 1 }), lenient: "unlisted: a member of a key that is never read" },
  {
    name: "x5t#S256 number in key",
    recipe: withKey({ "x5t#S256": 1 }),
    lenient: "unlisted: a member of a key that is never read",
  },
  {
    name: "x5c [number] in key",
    recipe: withKey({ x5c: [1] }),
    lenient: "unlisted: a member of a key that is never read",
  },
  { name: "crv number in key", recipe: withKey({ crv: 1 }) },
  { name: "members of other key types, of odd types", recipe: withKey({ x: 1, y: null, k: {}, p: [] }) },
  {
    name: "key nested 200 deep",
    recipe: { jwksText: JSON.stringify({ keys: [publish(backend, { x: 0 })] }).replace('"x":0', `"x":${nested(200)}`) },
    lenient: "unlisted: a member of a key that is never read",
  },
  { name: "kid missing in the key", recipe: withKey({ kid: undefined }) },
  { name: "kid null in the key", recipe: withKey({ kid: null }) },
  { name: "kid number in the key", recipe: { header: { kid: "1" }, keys: [publish(backend, { kid: 1 })] } },
  {
    name: "kid twice in the key",
    recipe: { jwksText: `{"keys":[${JSON.stringify(publish(backend)).replace("{", '{"kid":"x",')}]}` },
    notCounted: "repeated member",
  },
];

const good = backendJwk;
const badEntries: [name: string, entry: unknown][] = [
  ["a key of unknown kty", { kty: "AKP", alg: "ML-DSA-44", pub: "AA", kid: "x" }],
  ["a key of unknown curve", { ...ecJwk, crv: "secp256k1", kid: "x" }],
  ["a key of unknown alg", publish(attacker, { kid: "x", alg: "XX" })],
  ["a key with numeric alg", publish(attacker, { kid: "x", alg: 5 })],
  ["a key with numeric kid", publish(attacker, { kid: 5 })],
  ["a key with numeric use", publish(attacker, { kid: "x", use: 5 })],
  ["a key with key_ops a string", publish(attacker, { kid: "x", key_ops: "verify" })],
  ["a key without kty", { kid: "x" }],
  ["an RSA key without n", { kty: "RSA", e: "AQAB", kid: "x" }],
  ["null", null],
  ["a string", "key"],
  ["a number", 1],
  ["an array", []],
  ["an empty object", {}],
];

const small = makeRsaKey(1024);

const keySets: Row[] = [
  { name: "kid twice, good first", recipe: { keys: [good, publish(attacker)] } },
  { name: "kid twice, another key first", recipe: { keys: [publish(attacker), good] } },
  { name: "kid twice, 1024 bits first", recipe: { keys: [publish(small), good] } },
  { name: "kid twice, EC first", recipe: { keys: [{ ...ecJwk, kid: KID }, good] } },
  { name: "kid twice, use enc first", recipe: { keys: [publish(attacker, { use: "enc" }), good] } },
  {
    name: "kid twice, same key marked enc first",
    recipe: { keys: [publish(backend, { use: "enc" }), good] },
    stricter: keyUse,
  },
  { name: "kid twice, unknown kty first", recipe: { keys: [{ kty: "AKP", kid: KID }, good] } },
  { name: "kid twice, no kty first", recipe: { keys: [{ kid: KID }, good] } },
  { name: "kid twice, n missing first", recipe: { keys: [{ kty: "RSA", kid: KID, e: "AQAB" }, good] } },
  { name: "kid twice, n undecodable first", recipe: { keys: [publish(backend, { n: "***" }), good] } },
  { name: "an EC key beside", recipe: { keys: [{ ...ecJwk, kid: "ec" }, good] } },
  { name: "an oct key beside", recipe: { keys: [{ kty: "oct", k: "AAAA", kid: "oct" }, good] } },
  { name: "an Ed25519 key beside", recipe: { keys: [{ ...edJwk, kid: "ed" }, good] } },
  { name: "an RSA key without kid beside", recipe: { keys: [publish(attacker, { kid: undefined }), good] } },
  ...badEntries.flatMap(([name, entry]): Row[] => [
    { name: `${name} before`, recipe: { keys: [entry, good] }, lenient: "a bad entry is skipped (design §4)" },
    { name: `${name} after`, recipe: { keys: [good, entry] }, lenient: "a bad entry is skipped (design §4)" },
  ]),
  { name: "a key of unknown use beside", recipe: { keys: [publish(attacker, { kid: "x", use: "tls" }), good] } },
  { name: "a key with kid null beside", recipe: { keys: [publish(attacker, { kid: null }), good] } },
  { name: "an RSA key with undecodable n beside", recipe: { keys: [publish(attacker, { kid: "x", n: "***" }), good] } },
  { name: "keys empty", recipe: { keys: [] } },
  { name: "keys missing", recipe: { jwks: {} } },
  { name: "keys null", recipe: { jwks: { keys: null } } },
  { name: "keys an object", recipe: { jwks: { keys: { [KID]: good } } } },
  { name: "key set a bare array", recipe: { jwks: [good] } },
  {
    name: "key set an array of the keys array",
    recipe: { jwks: [[good]] },
    stricter: "unlisted: an array or object in place of another type",
  },
  { name: "key set not JSON", recipe: { jwksText: "<html>" } },
  { name: "key set empty text", recipe: { jwksText: "" } },
  { name: "key set with a BOM", recipe: { jwksText: `\ufeff${JSON.stringify({ keys: [good] })}` } },
  { name: "key set with trailing garbage", recipe: { jwksText: `${JSON.stringify({ keys: [good] })}x` } },
  {
    name: "key set not UTF-8",
    recipe: { jwksText: Buffer.from(JSON.stringify({ keys: [publish(backend, { extra: "\xff" })] }), "latin1") },
  },
  {
    name: "key set with 1e400",
    recipe: {
      jwksText: JSON.stringify({ keys: [publish(backend, { extra: 0 })] }).replace('"extra":0', '"extra":1e400'),
    },
  },
  {
    name: "key set with a lone surrogate",
    recipe: { jwksText: String.raw`{"keys":[${JSON.stringify(publish(backend))}],"extra":"\ud800"}` },
    notCounted: "lone surrogate",
  },
  { name: "key set with white space around", recipe: { jwksText: ` \n${JSON.stringify({ keys: [good] })}\r\n\t` } },
  { name: "key set in UTF-16", recipe: { jwksText: Buffer.from(JSON.stringify({ keys: [good] }), "utf16le") } },
  { name: "extra members beside keys", recipe: { jwks: { issuer: "x", keys: [good], next: null } } },
  {
    name: "keys twice, right one last",
    recipe: { jwksText: `{"keys":[],"keys":${JSON.stringify([good])}}` },
    notCounted: "repeated member",
  },
];

export const rows: readonly Row[] = [
  ...baseline,
  ...stringClaims,
  ...otherClaims,
  ...times,
  ...headers,
  ...encodings,
  ...signatures,
  ...keys,
  ...keySets,
];
