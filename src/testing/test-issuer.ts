/** An issuer in memory that also mints bad tokens. */

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createIssuer, type Issuer, type IssuerOptions, type MintedToken } from "../issuer/create-issuer.js";
import { signToken, type MintClaims } from "../issuer/mint.js";
import { localSigner } from "../issuer/signing-keys.js";
import { aBoolean, anObject, checkOptions } from "../protocol/options.js";

/** What the `mint` of a test issuer takes: everything that a real issuer takes, and what makes a token bad. */
export interface TestClaims extends MintClaims {
  /** Claims as in the JWT, which take the place of the others unchecked; `undefined` leaves a claim out. Default: none. */
  overrides?: Readonly<Record<string, unknown>> | undefined;
  /** `true` signs with a key that nobody trusts, under the `kid` of the trusted key. Default `false`. */
  forged?: boolean | undefined;
}

/** What `createTestIssuer` takes. */
export type TestIssuerOptions = Pick<IssuerOptions, "issuer" | "audience" | "maxLifetime">;

/** An issuer whose `mint` can make bad tokens too. */
export interface TestIssuer extends Issuer {
  /** @throws TypeError as the `mint` of a real issuer */
  mint(claims: TestClaims): Promise<MintedToken>;
}

/**
 * An issuer in memory, for tests of routes: give its `jwks()` or its `router()` to the server under test.
 * @throws TypeError that names the fix
 * @example
 * const issuer = await createTestIssuer();
 * const agents = agentIdentityAuth("https://agents.example.com", { jwks: { keySet: await issuer.jwks() } });
 * const forged = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1", forged: true });
 */
export async function createTestIssuer(options?: TestIssuerOptions): Promise<TestIssuer> {
  const kid = `test-${randomUUID()}`; // a token of one test issuer is `key_untrusted` to another, and not a forgery
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const issuer = await createIssuer({ ...options, signingKeys: [{ kid, privateKey }] });
  return {
    ...issuer,
    async mint({ overrides, forged, ...claims }) {
      const bad = checkOptions("mint", { overrides, forged }, { overrides: anObject, forged: aBoolean });
      const minted = await issuer.mint(claims);
      const payload = JSON.parse(Buffer.from(minted.token.split(".")[1] ?? "", "base64url").toString()) as object;
      const signer = bad.forged ? generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey : privateKey;
      return { ...minted, token: await signToken({ ...payload, ...bad.overrides }, localSigner(kid, signer)) };
    },
  };
}
