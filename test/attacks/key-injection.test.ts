import { createHash, X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { exportJwk } from "../../src/protocol/jwk.js";
import { claims, createSigningKey, mint, signingKey } from "../support/agents.js";
import { listen, send, sendJson } from "../support/servers.js";
import { selfSign } from "./certificate.js";
import { forge, hmac, rsa } from "./forged-token.js";
import { bearer, startTarget } from "./target.js";

const attacker = createSigningKey("attacker");
const certificate = selfSign(attacker.privateKey, "chatgpt.com");
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

/** Header members that name or hold a key; `url` is the attacker's server. */
const PARAMETERS: [name: string, members: (url: string) => object][] = [
  ["jwk", () => ({ jwk: attacker.jwk })],
  ["jwk without a kid", () => ({ jwk: { ...attacker.jwk, kid: undefined } })],
  ["jwk of the trusted kid", () => ({ jwk: { ...attacker.jwk, kid: "key-1" } })],
  ["jwk with the private key", () => ({ jwk: exportJwk(attacker.privateKey) })],
  ["jwk as text", () => ({ jwk: JSON.stringify(attacker.jwk) })],
  ["a key set in jwk", () => ({ jwk: { keys: [attacker.jwk] } })],
  ["jwks and keys", () => ({ jwks: { keys: [attacker.jwk] }, keys: [attacker.jwk] })],
  ["jku", (url) => ({ jku: `${url}/jwks` })],
  ["jku with the backend's path", (url) => ({ jku: `${url}/backend-api/wham/agent-identities/jwks` })],
  ["jku with credentials that look like a host", (url) => ({ jku: url.replace("//", "//chatgpt.com@") })],
  ["jku with a fragment", (url) => ({ jku: `${url}/#chatgpt.com` })],
  ["jku that is an array", (url) => ({ jku: [`${url}/jwks`] })],
  ["jwks_uri and url", (url) => ({ jwks_uri: `${url}/jwks`, url: `${url}/jwks` })],
  ["x5u", (url) => ({ x5u: `${url}/x5u` })],
  ["x5c", () => ({ x5c: [certificate.toString("base64")] })],
  ["x5c as text", () => ({ x5c: certificate.toString("base64") })],
  ["x5t", () => ({ x5t: thumbprint("sha1"), "x5t#S256": thumbprint("sha256") })],
  ["iss in the header", (url) => ({ iss: url, aud: url })],
  [
    "all of them",
    (url) => ({
      jwk: attacker.jwk,
      jku: `${url}/jwks`,
      x5u: `${url}/x5u`,
      x5c: [certificate.toString("base64")],
      x5t: thumbprint("sha1"),
      "x5t#S256": thumbprint("sha256"),
    }),
  ],
];

describe.each(PARAMETERS)("%s", (_, members) => {
  test.each([
    ["the trusted kid", "key-1", "signature_invalid"],
    ["the attacker's kid", "attacker", "key_untrusted"],
    ["no kid", undefined, "token_malformed"],
  ])("with %s", async (_kid, kid, code) => {
    const target = await startTarget();
    const server = await startAttackersServer();
    const token = forge({ alg: "RS256", kid, ...members(server.url) }, claims(), rsa("sha256", attacker.privateKey));
    expect(await target.verdict(bearer(token))).toBe(code);
    expect(await server.requests()).toEqual([]);
  });

  test("in the claims", async () => {
    const target = await startTarget();
    const server = await startAttackersServer();
    const hostile = members(server.url);
    const payload = { ...hostile, ...claims(), cnf: hostile };
    const token = forge({ alg: "RS256", kid: "key-1" }, payload, rsa("sha256", attacker.privateKey));
    expect(await target.verdict(bearer(token))).toBe("signature_invalid");
    expect(await server.requests()).toEqual([]);
  });

  test("does no harm to a token that the backend has signed, and is not followed", async () => {
    const target = await startTarget();
    const server = await startAttackersServer();
    const token = forge({ alg: "RS256", kid: "key-1", ...members(server.url) }, claims());
    expect(await target.verdict(bearer(token))).toBe("accepted");
    expect(await server.requests()).toEqual([]);
    expect(target.backend.fetches).toBe(1);
  });
});

test("a kid or an issuer that is a URL is not followed", async () => {
  const target = await startTarget();
  const server = await startAttackersServer();
  const url = mint({}, { ...attacker, kid: `${server.url}/jwks` });
  expect(await target.verdict(bearer(url))).toBe("key_untrusted");
  const issuer = mint({ iss: server.url }, attacker);
  expect(await target.verdict(bearer(issuer))).toBe("issuer_invalid");
  expect(await server.requests()).toEqual([]);
});

test("a secret in jwk is no key", async () => {
  const target = await startTarget();
  const secret = Buffer.alloc(32, 7);
  const jwk = { kty: "oct", k: secret.toString("base64url"), alg: "HS256" };
  const honest = forge({ alg: "HS256", kid: "key-1", jwk }, claims(), hmac("sha256", secret));
  expect(await target.verdict(bearer(honest))).toBe("algorithm_not_allowed");
  const lying = forge({ alg: "RS256", kid: "key-1", jwk }, claims(), hmac("sha256", secret));
  expect(await target.verdict(bearer(lying))).toBe("signature_invalid");
});

test("a backend that redirects to the attacker's key set is not followed", async () => {
  const target = await startTarget();
  const server = await startAttackersServer();
  expect(await target.verdict(bearer(mint()))).toBe("accepted");
  target.backend.answer = (_req, res) => res.writeHead(302, { Location: `${server.url}/jwks` }).end();
  // A refresh: the answer is a redirect, so the keys stay as they were.
  const token = mint({}, attacker);
  await expect(target.agents.verifier.verify(token)).rejects.toMatchObject({ code: "keys_unavailable" });
  expect(target.backend.fetches).toBe(2);
  expect(await target.verdict(bearer(mint({}, { ...attacker, kid: "key-1" })))).toBe("signature_invalid");
  expect(await target.verdict(bearer(mint({}, signingKey)))).toBe("accepted");
  expect(await server.requests()).toEqual([]);
});
