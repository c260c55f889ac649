/**
 * Project Wycheproof's vectors, where they lie beside this repository.
 *
 * A verified token has claims, and no vector has: so each vector is run at the layer that it is about, and its attack
 * is then carried over to a token of ours, which goes the whole way.
 */

import { createHash, createPublicKey, verify, type JsonWebKey, type KeyObject } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { compactVerify, importJWK, type CryptoKey } from "jose";
import { describe, expect, test } from "vitest";
import { decodeBase64urlJsonObject } from "../../src/protocol/encoding.js";
import { parseKeySet } from "../../src/verify/keys/key-set.js";
import { claims, createSigningKey } from "../support/agents.js";
import { createAgent, createDirectory, encodeEnvelope, signEnvelope } from "../support/assertions.js";
import { forge, type Signer } from "./forged-token.js";
import { open, seal } from "./rsa-block.js";
import { bearer, startTarget } from "./target.js";

const folder = new URL("../../../shared/vectors/", import.meta.url);
const present = existsSync(folder);
if (!present) console.log(`SKIPPED: the vectors of Project Wycheproof, because there is no ${folder.pathname}`);

interface Vector {
  tcId: number;
  comment: string;
  flags: string[];
  result: "valid" | "invalid" | "acceptable";
}
interface VectorFile<Group, Test> {
  testGroups: (Group & { tests: (Vector & Test)[] })[];
}
interface Jwk extends JsonWebKey {
  kid?: string;
  alg?: string;
}

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const name = ({ tcId, comment, flags }: Vector) => [tcId, comment, ...flags].join(" ");
const bytes = (hex: string) => Buffer.from(hex, "hex");

const spare = createSigningKey("spare").jwk;
const header = { alg: "RS256", kid: "key-1" };

/** Puts the digest of our message in the place of the vector's, whichever hash it is of. */
function replaceDigests(block: Buffer, theirs: Buffer, ours: Buffer): number {
  let replaced = 0;
  for (const hash of ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha512-256", "sha3-256"]) {
    const digest = (message: Buffer) => createHash(hash).update(message).digest();
    const at = block.indexOf(digest(theirs));
    if (at < 0) continue;
    digest(ours).copy(block, at);
    replaced++;
  }
  return replaced;
}

interface RsaGroup {
  keyJwk: Jwk;
}
/** In hexadecimal. */
interface SignatureVector {
  msg: string;
  sig: string;
}

interface RsaVector {
  vector: Vector;
  publicKey: KeyObject;
  message: Buffer;
  signature: Buffer;
}

/** Each vector's padded block, on a token of ours, signed with the backend's own key. */
async function carryOver(vectors: RsaVector[]): Promise<{ wrong: string[]; carried: number }> {
  const target = await startTarget();
  const wrong: string[] = [];
  let carried = 0;
  for (const { vector, publicKey, message, signature } of vectors) {
    const signer: Signer = (ours) => {
      const block = open(signature, publicKey);
      // What is no block of theirs is carried over as the bytes that it is.
      if (block === undefined) return signature.length === 0 ? Buffer.alloc(1) : signature;
      if (replaceDigests(block, message, ours) > 0) carried++;
      return seal(block) ?? signature;
    };
    const verdict = await target.verdict(bearer(forge(header, claims(), signer)));
    if (verdict !== (vector.result === "valid" ? "accepted" : "signature_invalid"))
      wrong.push(`${name(vector)}: ${verdict}`);
  }
  return { wrong, carried };
}

describe.skipIf(!present)("RSA signatures of 2048 bits with SHA-256", () => {
  const vectors = async (): Promise<(RsaVector & { cryptoKey: CryptoKey })[]> => {
    const { testGroups } = read("rsa_signature_2048_sha256_test.json") as VectorFile<RsaGroup, SignatureVector>;
    const all = testGroups.map(async ({ keyJwk, tests }) => {
      const keySet = parseKeySet({ keys: [keyJwk] });
      const key = typeof keySet === "string" ? undefined : keySet.byKid.get(keyJwk.kid ?? "");
      if (key === undefined) return expect.fail("the key is not usable");
      const cryptoKey = await importJWK(key.jwk, "RS256");
      if (cryptoKey instanceof Uint8Array) return expect.fail("the key is a secret");
      return tests.map((vector) => ({
        vector,
        publicKey: key.publicKey,
        cryptoKey,
        message: bytes(vector.msg),
        signature: bytes(vector.sig),
      }));
    });
    return (await Promise.all(all)).flat();
  };

  test("jose's own call, with the keys as the key set has them", async () => {
    const wrong: string[] = [];
    for (const { vector, cryptoKey, message, signature } of await vectors()) {
      const verified = await crypto.subtle.verify("RSASSA-PKCS1-v1_5", cryptoKey, signature, message);
      // The one that is "acceptable" lacks a NULL: it is not accepted.
      if (verified !== (vector.result === "valid")) wrong.push(name(vector));
    }
    expect(wrong).toEqual([]);
  });

  test("carried over to a token", async () => {
    const all = await vectors();
    const { wrong, carried } = await carryOver(all);
    expect(wrong).toEqual([]);
    expect(all.length).toBeGreaterThan(250);
    expect(carried).toBeGreaterThan(200);
  });
});

interface JwsGroup {
  private: Jwk | { keys: Jwk[] };
  public?: Jwk | { keys: Jwk[] };
}
interface JwsVector {
  jws: string;
}

/** Its key has a fingerprint of how it was made (CVE-2017-15361). How a backend makes its keys is not looked at. */
const ROCA = "rejectsKeyWithRocaVulnerability";

/** What a backend would serve of a group: its public half, or its secret, which no key set should hold. */
const keysOf = ({ public: published, private: secret }: JwsGroup): Jwk[] => {
  const key = published ?? secret;
  return "keys" in key ? (key.keys as Jwk[]) : [key];
};

/** Whether the signature stands, by the key that our key set finds and by jose as we call it. */
async function signatureStands(jws: string, keys: Jwk[]): Promise<boolean> {
  const keySet = parseKeySet({ keys: [...keys, spare] });
  const { kid } = (decodeBase64urlJsonObject(jws.split(".")[0] ?? "") ?? {}) as { kid?: string };
  const key = typeof keySet === "string" ? undefined : keySet.byKid.get(kid ?? "");
  if (key === undefined) return false;
  return compactVerify(jws, key.publicKey, { algorithms: ["RS256"] }).then(
    () => true,
    () => false,
  );
}

const isRs256 = (jws: string) =>
  (decodeBase64urlJsonObject(jws.split(".")[0] ?? "") as { alg?: string } | undefined)?.alg === "RS256";

describe.skipIf(!present).each(["json_web_signature_test.json", "json_web_key_test.json"])("%s", (file) => {
  const groups = () => (read(file) as VectorFile<JwsGroup, JwsVector>).testGroups;

  test("at the signature: the RS256 ones as they say, and no other", async () => {
    const wrong: string[] = [];
    let stood = 0;
    for (const group of groups()) {
      for (const vector of group.tests) {
        const stands = await signatureStands(vector.jws, keysOf(group));
        const shouldStand = vector.result === "valid" || vector.comment === ROCA;
        if (stands !== (shouldStand && isRs256(vector.jws))) wrong.push(name(vector));
        if (stands) stood++;
      }
    }
    expect(wrong).toEqual([]);
    expect(stood).toBeGreaterThan(0);
  });

  test("at the door: no payload of theirs is a JSON object, which condemns them before a key is looked up", async () => {
    const found = new Set<string>();
    for (const group of groups()) {
      const target = await startTarget([...keysOf(group), spare]);
      for (const { jws } of group.tests) found.add(await target.verdict(bearer(jws)));
    }
    found.delete("request_malformed"); // for characters that the header's grammar has not
    expect([...found]).toEqual(["token_malformed"]);
  });
});

/** Not those of the other file: what is wrong there is the key, and the block is right. */
describe.skipIf(!present)("json_web_signature_test.json", () => {
  test("carried over to a token", async () => {
    const { testGroups } = read("json_web_signature_test.json") as VectorFile<JwsGroup, JwsVector>;
    const vectors = testGroups.flatMap((group) => {
      const [jwk] = keysOf(group);
      if (jwk?.alg !== "RS256") return [];
      const publicKey = createPublicKey({ key: jwk, format: "jwk" });
      if (publicKey.asymmetricKeyDetails?.modulusLength !== 2048) return [];
      return group.tests.flatMap((vector): RsaVector[] => {
        const [head = "", payload = "", signature = "", ...more] = vector.jws.split(".");
        if (signature === "" || more.length > 0) return [];
        return [
          {
            vector,
            publicKey,
            message: Buffer.from(`${head}.${payload}`),
            signature: Buffer.from(signature, "base64url"),
          },
        ];
      });
    });
    expect(vectors.length).toBeGreaterThan(0);
    expect((await carryOver(vectors)).wrong).toEqual([]);
  });
});

describe.skipIf(!present)("Ed25519 signatures", () => {
  const groups = () => (read("ed25519_test.json") as VectorFile<{ publicKeyJwk: Jwk }, SignatureVector>).testGroups;

  test("the call that verifies an assertion, which has no other entrance", () => {
    const wrong: string[] = [];
    for (const { publicKeyJwk, tests } of groups()) {
      const publicKey = createPublicKey({ key: publicKeyJwk, format: "jwk" });
      for (const vector of tests) {
        const signature = bytes(vector.sig);
        const stands = signature.length === 64 && verify(null, bytes(vector.msg), publicKey, signature);
        if (stands !== (vector.result === "valid")) wrong.push(name(vector));
      }
    }
    expect(wrong).toEqual([]);
  });

  test("at the door, with the agent's key in the directory: each is of another message", async () => {
    const wrong: string[] = [];
    const agent = createAgent("agent-1");
    const directory = createDirectory(agent);
    const target = await startTarget(undefined, { directory: directory });
    for (const { publicKeyJwk, tests } of groups()) {
      directory.agents.set(agent.id, { ...agent.entry, publicKey: { ...publicKeyJwk, kty: "OKP" } });
      for (const vector of tests) {
        const envelope = { ...signEnvelope(agent), signature: bytes(vector.sig).toString("base64") };
        const verdict = await target.verdict({ Authorization: `AgentAssertion ${encodeEnvelope(envelope)}` });
        if (verdict !== "assertion_invalid") wrong.push(`${name(vector)}: ${verdict}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
