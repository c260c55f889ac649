/** Your own backend: one object that mints tokens, serves the JWKS, registers tasks, and is the directory for AgentAssertions. */

import { Agents } from "./agents.js";
import { createRouter, type IssuerRouter } from "./codex-router.js";
import { anIssuerStore, MemoryStore, type IssuerStore } from "./issuer-store.js";
import { draftToken, signToken, type MintClaims } from "./mint.js";
import { SigningKeys, type PublishedKeys, type SigningKey } from "./signing-keys.js";
import { CODEX_AUDIENCE, CODEX_ISSUER } from "../protocol/claims.js";
import { aNonBlankString, anInteger, checkOptions, type OptionCheck } from "../protocol/options.js";
import type { AgentDirectory } from "../verify/assertions/agent-directory.js";
import { AssertionVerifier } from "../verify/assertions/assertion-verifier.js";

/** Options of `createIssuer`. */
export interface IssuerOptions {
  /**
   * Keyv-shaped; default: the memory of this process. It holds **private signing keys**: whoever can read it can sign
   * tokens, and whoever can write it can be any agent. Several processes may share it, but the first start and
   * `rotateKey` belong to one of them.
   */
  store?: IssuerStore | undefined;
  /** Your own keys instead of stored ones: the first signs, all are published. */
  signingKeys?: readonly SigningKey[] | undefined;
  /** The `iss` of tokens. Default: Codex's, which clients and `agentIdentityAuth` expect. */
  issuer?: string | undefined;
  /** The `aud` of tokens. Default: Codex's, which clients and `agentIdentityAuth` expect. */
  audience?: string | undefined;
}

/** What `mint` gives. */
export interface MintedToken {
  /** A secret: whoever has it is the agent, and it holds the agent's private key. */
  readonly token: string;
  /** The agent: the one that was asked for, or a new one. */
  readonly agentRuntimeId: string;
}

/** Your own backend, made by `createIssuer`. */
export interface Issuer {
  /**
   * A token for an agent, which is entered in the directory with the public half of a new key. Minting for an agent
   * that there is replaces its key.
   * @throws TypeError
   */
  mint(claims: MintClaims): Promise<MintedToken>;
  /**
   * Publishes a new key at once, and signs with it after `delay` (seconds, default 600), when every verifier has it.
   * The old one is served until the last token that it signed has expired.
   */
  rotateKey(options?: { delay?: number | undefined }): Promise<void>;
  /** The agent's assertions and registrations are refused from now on. Its bearer tokens are good until their `exp`. */
  revokeAgent(agentRuntimeId: string): Promise<void>;
  /** What `router` serves, read from the store each time; fit for the option `jwks: { keySet }`. */
  jwks(): Promise<PublishedKeys>;
  /** To be mounted at the root: the JWKS at all three paths that Codex uses, and task registration under any prefix. */
  router(): IssuerRouter;
  /** For `agentIdentityAuth(baseUrl, { directory: issuer.directory })`. */
  readonly directory: AgentDirectory;
}

const ROTATION_OVERLAP = 600;

const aKeyList: OptionCheck = {
  expected: "a list of at least one key",
  accepts: (value) => Array.isArray(value) && value.length > 0,
};

/** @throws TypeError that names the fix */
export async function createIssuer(options?: IssuerOptions): Promise<Issuer> {
  const checked = checkOptions("createIssuer", options, {
    store: anIssuerStore,
    signingKeys: aKeyList,
    issuer: aNonBlankString,
    audience: aNonBlankString,
  });
  const { store = new MemoryStore(), signingKeys, issuer = CODEX_ISSUER, audience = CODEX_AUDIENCE } = checked;
  const keys = await SigningKeys.open(store, signingKeys);
  const agents = new Agents(store);
  const verifier = new AssertionVerifier(agents);

  return {
    async mint(claims) {
      const { agentRuntimeId, agent, payload } = draftToken(claims, { issuer, audience });
      const { kid, privateKey } = await keys.forToken(agent.expiresAt);
      await agents.add(agentRuntimeId, agent);
      return { token: signToken(payload, kid, privateKey), agentRuntimeId };
    },
    async rotateKey(rotation) {
      const { delay = ROTATION_OVERLAP } = checkOptions("rotateKey", rotation, {
        delay: anInteger(0, 30 * 86_400, "seconds"),
      });
      await keys.rotate(delay);
    },
    revokeAgent: (agentRuntimeId) => agents.revoke(agentRuntimeId),
    jwks: () => keys.jwks(),
    router: () => createRouter(keys, agents, verifier),
    directory: agents,
  };
}
