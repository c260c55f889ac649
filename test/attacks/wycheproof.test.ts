/**
 * Project Wycheproof's vectors, where they lie beside this repository.
 *
 * No vector has the claims of a token. So each vector is run at the layer that it is about, and its signature block is then
 * carried over to a token of ours, which goes the whole way.
 */

import { createHash, createPublicKey, verify, type JsonWebKey, type KeyObject } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { compactVerify, importJWK, type CryptoKey } from "jose";
import { describe, expect, test } from "vitest";
import { decodeBase64urlJsonObject } from "../../src/protocol/encoding.js";
import { exportJwk } from "../../src/protocol/jwk.js";
import { parseKeySet } from "../../src/verify/keys/key-set.js";
import { claims, secondKey } from "../support/agents.js";
import { createAgent, createDirectory, encodeEnvelope, signEnvelope } from "../support/assertions.js";
import { forge, type Signer } from "./forged-token.js";
import { open, seal } from "./rsa-block.js";
import { agentsOf, requestVerdict, verdictOf, verifierOf } from "./target.js";

const folder = new URL("../../../shared/vectors/", import.meta.url);
const isPresent = existsSync(folder);
if (!isPresent) console.log(`SKIPPED: the vectors of Project Wycheproof, because there is no ${folder.pathname}`);

interface Vector {
  tcId: number;
  comment: string;
  result: "valid" | "invalid" | "acceptable";
  /** Message and signature in hexadecimal, or a compact JWS. */
  msg: string;
  sig: string;
  jws: string;
}
type Jwk = JsonWebKey & { kid?: string; alg?: string };
interface Group {
  tests: Vector[];
  keyJwk?: Jwk;
  publicKeyJwk?: Jwk;
  public?: Jwk | { keys: Jwk[] };
  private?: Jwk | { keys: Jwk[] };
}
const read = (name: string) =>
  (JSON.parse(readFileSync(new URL(`${name}_test.json`, folder), "utf8")) as { testGroups: Group[] }).testGroups;
const bytes = (hex: string) => Buffer.from(hex, "hex");
const name = ({ tcId, comment }: Vector) => `${tcId} ${comment}`;

interface Signed {
  vector: Vector;
  publicKey: KeyObject;
  message: Buffer;
  signature: Buffer;
}

/** Puts the digest of our message in the place of the vector's, whichever hash it is of. */
function replaceDigests(block: Buffer, theirs: Buffer, ours: Buffer): boolean {
  const hashes = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha512-256", "sha3-256"];
  const replaced = hashes.filter((hash) => {
    const digest = (message: Buffer) => createHash(hash).update(message).digest();
    const at = block.indexOf(digest(theirs));
    return at >= 0 && digest(ours).copy(block, at) > 0;
  });
  return replaced.length > 0;
}

/** Each vector's padded block, on a token of ours, signed with the backend's own key. */
async function carryOver(vectors: Signed[]): Promise<number> {
  let carried = 0;
  for (const { vector, publicKey, message, signature } of vectors) {
    const signer: Signer = (ours) => {
      const block = open(signature, publicKey);
      // What is no block of theirs is carried over as the bytes that it is.
      if (block === undefined) return signature.length === 0 ? Buffer.alloc(1) : signature;
      if (replaceDigests(block, message, ours)) carried++;
      return seal(block) ?? signature;
    };
    const expected = vector.result === "valid" ? "accepted" : "signature_invalid";
    expect(await verdictOf(forge({ alg: "RS256", kid: "key-1" }, claims(), signer)), name(vector)).toBe(expected);
  }
  return carried;
}

/** By our key set: the public key of this id, if it is usable. */
function usableKey(keys: Jwk[], kid = ""): KeyObject | undefined {
  const keySet = parseKeySet({ keys });
  return typeof keySet === "string" ? undefined : (keySet.byKid.get(kid)?.publicKey as KeyObject | undefined);
}

test.skipIf(!isPresent)("RSA signatures of 2048 bits with SHA-256, by the keys as the key set has them", async () => {
  const vectors = read("rsa_signature_2048_sha256").flatMap(({ keyJwk = {}, tests }): Signed[] => {
    const publicKey = usableKey([keyJwk], keyJwk.kid) ?? expect.fail("the key is not usable");
    return tests.map((vector) => ({ vector, publicKey, message: bytes(vector.msg), signature: bytes(vector.sig) }));
  });
  expect(vectors.length).toBeGreaterThan(250);
  for (const { vector, publicKey, message, signature } of vectors) {
    const key = (await importJWK(exportJwk(publicKey), "RS256")) as CryptoKey;
    const stands = await crypto.subtle.verify("RSASSA-PKCS1-v1_5", key, signature, message);
    // The one that is "acceptable" lacks a NULL: it is not accepted.
    expect(stands, name(vector)).toBe(vector.result === "valid");
  }
  expect(await carryOver(vectors)).toBeGreaterThan(200);
});

/** This key has a fingerprint of how it was made (CVE-2017-15361). How a backend makes its keys is not looked at. */
const ROCA = "rejectsKeyWithRocaVulnerability";

/** What a backend would serve of a group: its public half, or its secret, which no key set should hold. */
function keysOf({ public: published, private: secret }: Group): Jwk[] {
  const key = published ?? secret ?? {};
  return "keys" in key ? (key.keys as Jwk[]) : [key];
}

describe.skipIf(!isPresent).each(["json_web_signature", "json_web_key"])("%s", (file) => {
  test("at the signature: the RS256 ones as they say, and no other", async () => {
    let stood = 0;
    for (const group of read(file)) {
      for (const vector of group.tests) {
        const header = decodeBase64urlJsonObject(vector.jws.split(".")[0] ?? "") as Jwk | undefined;
        const key = usableKey([...keysOf(group), secondKey.jwk], header?.kid);
        const verified = key && compactVerify(vector.jws, key, { algorithms: ["RS256"] });
        const stands = (await verified?.catch(() => undefined)) !== undefined;
        const shouldStand = (vector.result === "valid" || vector.comment === ROCA) && header?.alg === "RS256";
        expect(stands, name(vector)).toBe(shouldStand);
        if (stands) stood++;
      }
    }
    expect(stood).toBeGreaterThan(0);
  });

  test("at the door: no payload of theirs is a JSON object, which condemns them before a key is looked up", async () => {
    for (const group of read(file)) {
      const verifier = verifierOf([...keysOf(group), secondKey.jwk]);
      for (const { jws } of group.tests) expect(await verdictOf(jws, verifier)).toBe("token_malformed");
    }
  });
});

/** Not those of the other file: what is wrong there is the key, and the block is right. */
test.skipIf(!isPresent)("json_web_signature, carried over to a token", async () => {
  const vectors = read("json_web_signature").flatMap((group) => {
    const [jwk] = keysOf(group);
    if (jwk?.alg !== "RS256") return [];
    const publicKey = createPublicKey({ key: jwk, format: "jwk" });
    if (publicKey.asymmetricKeyDetails?.modulusLength !== 2048) return [];
    return group.tests.flatMap((vector): Signed[] => {
      const [head = "", payload = "", sig = "", ...more] = vector.jws.split(".");
      if (sig === "" || more.length > 0) return [];
      return [
        { vector, publicKey, message: Buffer.from(`${head}.${payload}`), signature: Buffer.from(sig, "base64url") },
      ];
    });
  });
  expect(vectors.length).toBeGreaterThan(0);
  await carryOver(vectors);
});

test.skipIf(!isPresent)(
  "Ed25519 signatures: by Node's call, and at the door, where each is of another message",
  async () => {
    const agent = createAgent("agent-1");
    const directory = createDirectory(agent);
    const agents = agentsOf({ directory });
    for (const { publicKeyJwk = {}, tests } of read("ed25519")) {
      const publicKey = createPublicKey({ key: publicKeyJwk, format: "jwk" });
      directory.agents.set(agent.id, { ...agent.entry, publicKey });
      for (const vector of tests) {
        const signature = bytes(vector.sig);
        const stands = signature.length === 64 && verify(null, bytes(vector.msg), publicKey, signature);
        expect(stands, name(vector)).toBe(vector.result === "valid");
        const envelope = { ...signEnvelope(agent), signature: signature.toString("base64") };
        const authorization = `AgentAssertion ${encodeEnvelope(envelope)}`;
        expect(await requestVerdict(agents, { authorization }), name(vector)).toBe("assertion_invalid");
      }
    }
  },
);
