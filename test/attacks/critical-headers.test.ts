import { sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { claims, signingKey } from "../support/agents.js";
import { base64url, forge } from "./forged-token.js";
import { bearer, startTarget } from "./target.js";

const header = (members: string) => `{"alg":"RS256","kid":"key-1",${members}}`;

describe("crit, whatever it lists: no extension is understood here (RFC 7515 §4.1.11)", () => {
  test.each([
    '"crit":["exp"],"exp":4000000000',
    '"crit":["b64"],"b64":true',
    '"crit":["b64"],"b64":false',
    '"crit":["b64"]',
    '"crit":["alg"]',
    '"crit":["kid","alg"]',
    '"crit":["cnf"],"cnf":{"jkt":"x"}',
    '"crit":["http://evil.example/x"],"http://evil.example/x":true',
    '"crit":["x"]',
    '"crit":["x","x"],"x":1',
    '"crit":[""],"":1',
    '"crit":[]',
    '"crit":[null]',
    '"crit":[1]',
    '"crit":["__proto__"],"__proto__":{}',
    '"crit":"exp"',
    '"crit":""',
    '"crit":{}',
    '"crit":{"length":0}',
    '"crit":null',
    '"crit":false',
    '"crit":0',
    '"\\u0063rit":["x"]',
  ])("%s", async (members) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(header(members), claims())))).toBe("token_malformed");
  });

  test.each(['"Crit":["x"]', '"critical":["x"]', '"__proto__":{"crit":["x"]}'])(
    "a member that only looks like it is ignored: %s",
    async (members) => {
      const target = await startTarget();
      expect(await target.verdict(bearer(forge(header(members), claims())))).toBe("accepted");
    },
  );

  test("a claim of that name says nothing of the header", async () => {
    const target = await startTarget();
    const token = forge({ alg: "RS256", kid: "key-1" }, { ...claims(), crit: ["x"], b64: false });
    expect(await target.verdict(bearer(token))).toBe("accepted");
  });
});

describe("a payload that is not encoded (RFC 7797)", () => {
  const json = JSON.stringify(claims());
  const unencoded = (members: string, payload: string) => {
    const protectedHeader = base64url(header(members));
    const signature = sign("sha256", Buffer.from(`${protectedHeader}.${payload}`), signingKey.privateKey);
    return { protectedHeader, signature: signature.toString("base64url") };
  };

  test.each(['"b64":false', '"b64":false,"crit":["b64"]'])("%s", async (members) => {
    const target = await startTarget();
    const { protectedHeader, signature } = unencoded(members, json);
    const detached = `${protectedHeader}..${signature}`;
    expect(await target.verdict(bearer(detached))).toBe("token_malformed");
    // A payload of JSON is not of the header's grammar.
    const attached = `${protectedHeader}.${json}.${signature}`;
    expect(await target.verdict(bearer(attached))).toBe("request_malformed");
    await expect(target.agents.verifier.verify(attached)).rejects.toMatchObject({ code: "token_malformed" });
    // Signed as it stands, sent encoded: the signature is of other bytes.
    const encoded = `${protectedHeader}.${base64url(json)}.${signature}`;
    expect(await target.verdict(bearer(encoded))).toBe("token_malformed");
    // Signed and sent encoded, though it says that it is not.
    expect(await target.verdict(bearer(forge(header(members), json)))).toBe("token_malformed");
  });

  test("signed as it stands and sent encoded, without saying so", async () => {
    const target = await startTarget();
    const { protectedHeader, signature } = unencoded('"x":1', json);
    expect(await target.verdict(bearer(`${protectedHeader}.${base64url(json)}.${signature}`))).toBe(
      "signature_invalid",
    );
  });

  test.each(["true", "null", "0", '"false"', "[]"])("b64 %s changes nothing: the payload is encoded", async (b64) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(header(`"b64":${b64}`), json)))).toBe("accepted");
  });
});

describe("members that are never read", () => {
  test.each([
    '"typ":"at+jwt"',
    '"typ":["JWT"]',
    '"cty":"JWT"',
    '"zip":"DEF"',
    '"enc":"A256GCM"',
    '"p2c":2147483647,"p2s":"AAAA"',
    '"epk":{"kty":"EC"}',
    '"nonce":"x","url":"x"',
    '"exp":1,"iss":"x","aud":"x"',
    '"__proto__":{"alg":"none"}',
    '"constructor":{"prototype":{"alg":"none"}}',
    '"toJSON":"x","then":"x"',
  ])("%s", async (members) => {
    const target = await startTarget();
    expect(await target.verdict(bearer(forge(header(members), claims())))).toBe("accepted");
  });
});
