/** `createIssuer`: your own backend in one object. */

import { CODEX_AUDIENCE, CODEX_ISSUER } from "../protocol/claims.js";
import type { IssuerStore } from "../protocol/issuer-store.js";
import { aNonBlankString, anInteger, checkOptions, type OptionCheck } from "../protocol/options.js";
import { isAssertionId } from "../protocol/agent-assertion.js";
import type { AgentDirectory } from "../verify/assertions/agent-directory.js";
import { Agents } from "./agents.js";
import { createRouter, type IssuerRouter, type RouterOptions } from "./codex-router.js";
import { anIssuerStore, Documents, refuseUnsafeKeyv, type KeyvStore } from "./documents.js";
import { KeyRing, ROTATION_OVERLAP } from "./key-ring.js";
import { MemoryStore } from "./memory-store.js";
import { draftToken, signToken, type MintClaims } from "./mint.js";
import { aSecretList, createSeal, UNSEALED, type StoreSecret } from "./seal.js";
import { GivenKeys, type PublishedKeys, type SigningKey } from "./signing-keys.js";

/** Options of `createIssuer`. */
export interface IssuerOptions {
  /**
   * Keeps signing keys, agents and tasks: a store of `agent-identity-auth/stores`, which any number of processes may share.
   * It holds **private signing keys**: a reader of the store can sign tokens, and a writer can be any agent. A Keyv is accepted
   * for agents and tasks, together with `signingKeys`. Default: the memory of this process.
   */
  store?: IssuerStore | KeyvStore | undefined;
  /** Separates issuers that share a store: 1–64 of `A-Za-z0-9._-`. Default `agent-identity-auth`. */
  name?: string | undefined;
  /** Your own keys in place of stored ones. The first one signs, and all are published. Default: keys that the issuer makes and stores. */
  signingKeys?: readonly SigningKey[] | undefined;
  /**
   * Seconds between two rotations of the signing key, which `mint` and `jwks` carry out. At least 600, and at least half of
   * `maxLifetime`.
   * Default: only `rotateKey` rotates.
   */
  rotateEvery?: number | undefined;
  /** The longest life of a token, in seconds. Default 604800 (7 days). A retired key is published for this time and a day. */
  maxLifetime?: number | undefined;
  /**
   * The shortest life of a task, in seconds; the longest is twice that. Codex clients register when they start, and never
   * again: a client that runs longer is locked out. Default: a task lives as long as the token of its agent.
   */
  taskLifetime?: number | undefined;
  /**
   * Encrypts every document before the store gets it. A reader of the store then learns no key, and a writer can neither plant a
   * key nor change an agent; the writer can still delete documents, or put older ones back. The first secret encrypts, and all
   * of them decrypt: to change the secret, put the new one first and keep the old one. Default: none.
   */
  secrets?: readonly StoreSecret[] | undefined;
  /** The `iss` of tokens. Default: Codex's, which clients and `agentIdentityAuth` expect. */
  issuer?: string | undefined;
  /** The `aud` of tokens. Default: Codex's, which clients and `agentIdentityAuth` expect. */
  audience?: string | undefined;
}

/** A minted token. */
export interface MintedToken {
  /** A secret: its holder is the agent, and it contains the agent's private key. */
  readonly token: string;
  /** The id of the agent. */
  readonly agentRuntimeId: string;
}

/** Your own backend, made by `createIssuer`. */
export interface Issuer {
  /**
   * Makes a token for an agent with a new key pair, and enters the agent in the directory first. The agent's older tokens stay
   * valid until they end; the newest 8 keys of an agent can register tasks.
   * @throws TypeError for claims that are wrong, or a life longer than `maxLifetime`
   * @throws Error for a revoked agent, or if the store fails
   * @example
   * const { token } = await issuer.mint({ accountId: "acct-1", chatgptUserId: "user-1", lifetime: 3600 });
   */
  mint(claims: MintClaims): Promise<MintedToken>;
  /**
   * Publishes a new key now. It signs after `delay` seconds (default 600), when every verifier has it. Processes that rotate at
   * once make one key, and while a key waits to sign, a further call makes none.
   * @throws TypeError with `signingKeys`
   */
  rotateKey(options?: { delay?: number | undefined }): Promise<void>;
  /**
   * Removes a key that has leaked: it is no longer published, and another key signs at once. Tokens that it signed are refused
   * as soon as verifiers refresh their keys.
   * @throws TypeError for an unknown `kid`, and with `signingKeys`
   */
  withdrawKey(kid: string): Promise<void>;
  /**
   * Refuses the agent's assertions and registrations from now on, in all processes, and `mint` for it too. **Its bearer tokens
   * are accepted until their `exp`.** It resolves when the revocation is stored, and a `mint` that is under way then rejects.
   */
  revokeAgent(agentRuntimeId: string): Promise<void>;
  /** Takes a revocation back. */
  reinstateAgent(agentRuntimeId: string): Promise<void>;
  /** The published keys, read from the store each time. They fit the option `jwks: { keySet }`. */
  jwks(): Promise<PublishedKeys>;
  /**
   * Serves the JWKS and the registration of tasks, each under any prefix, and self-enrolment if there is a hook for it. Mount it
   * at the root.
   * @throws TypeError for unknown options
   */
  router(options?: RouterOptions): IssuerRouter;
  /** For `agentIdentityAuth(baseUrl, { directory: issuer.directory })`. */
  readonly directory: AgentDirectory;
}

const aKeyList: OptionCheck = {
  expected: "a list of at least one key",
  accepts: (value) => Array.isArray(value) && value.length > 0,
};

const aName: OptionCheck = {
  expected: "1 to 64 of A-Za-z0-9._-",
  accepts: (value) => typeof value === "string" && /^[\w.-]{1,64}$/.test(value),
};

const YEAR = 365 * 86_400;

/**
 * Your own backend: it mints tokens, serves the JWKS, registers tasks, and is the directory for AgentAssertions.
 * @throws TypeError that names the fix
 * @throws Error if the store fails
 * @example
 * const issuer = await createIssuer({ store: redisStore(client) });
 * const agents = agentIdentityAuth(baseUrl, { directory: issuer.directory });
 */
export async function createIssuer(options?: IssuerOptions): Promise<Issuer> {
  const checked = checkOptions("createIssuer", options, {
    store: anIssuerStore,
    name: aName,
    signingKeys: aKeyList,
    rotateEvery: anInteger(1, 10 * YEAR, "seconds"),
    maxLifetime: anInteger(1, 10 * YEAR, "seconds"),
    taskLifetime: anInteger(1, 10 * YEAR, "seconds"),
    secrets: aSecretList,
    issuer: aNonBlankString,
    audience: aNonBlankString,
  });
  const {
    store = new MemoryStore(),
    name = "agent-identity-auth",
    signingKeys,
    rotateEvery,
    taskLifetime,
    secrets,
  } = checked;
  const { maxLifetime = 604_800, issuer = CODEX_ISSUER, audience = CODEX_AUDIENCE } = checked;
  refuseUnsafeKeyv(store, signingKeys !== undefined);
  checkRotation(rotateEvery, maxLifetime, signingKeys !== undefined);

  const documents = new Documents(store, name, secrets ? createSeal(secrets) : UNSEALED);
  const keys = signingKeys
    ? await GivenKeys.import(signingKeys)
    : await KeyRing.open(documents, { rotateEvery, maxLifetime });
  const agents = new Agents(documents, taskLifetime);

  return {
    async mint(claims) {
      const draft = draftToken(claims, { issuer, audience, maxLifetime });
      const signer = await keys.signer();
      const token = await signToken(draft.payload, signer); // first: a signer that fails must not use up the agent's keys
      const { agentRuntimeId, profile, key, isNewAgent } = draft;
      if (!(await agents.enter(agentRuntimeId, profile, key, isNewAgent, signer.kid))) {
        throw new Error("mint: this agent is revoked: call reinstateAgent first");
      }
      return { token, agentRuntimeId };
    },
    async rotateKey(rotation) {
      const { delay = ROTATION_OVERLAP } = checkOptions("rotateKey", rotation, {
        delay: anInteger(0, YEAR, "seconds"),
      });
      await keys.rotate(delay);
    },
    async withdrawKey(kid) {
      await keys.withdraw(kid);
    },
    async revokeAgent(agentRuntimeId) {
      await agents.revoke(checkedId("revokeAgent", agentRuntimeId));
    },
    async reinstateAgent(agentRuntimeId) {
      await agents.reinstate(checkedId("reinstateAgent", agentRuntimeId));
    },
    jwks: () => keys.jwks(),
    router: (routerOptions) => createRouter(keys, agents, routerOptions),
    directory: agents,
  };
}

function checkRotation(rotateEvery: number | undefined, maxLifetime: number, hasSigningKeys: boolean): void {
  if (rotateEvery === undefined) return;
  if (hasSigningKeys)
    throw new TypeError("createIssuer: rotateEvery is for stored keys: leave it out beside signingKeys");
  const shortest = ROTATION_OVERLAP + Math.ceil(maxLifetime / 2);
  if (rotateEvery < shortest) {
    throw new TypeError(
      `createIssuer: rotateEvery must be at least ${shortest} seconds: ${ROTATION_OVERLAP} and half of maxLifetime`,
    );
  }
}

/** @throws TypeError: a revocation of a wrong id would revoke nobody */
function checkedId(where: string, agentRuntimeId: string): string {
  if (typeof (agentRuntimeId as unknown) === "string" && isAssertionId(agentRuntimeId)) return agentRuntimeId;
  throw new TypeError(`${where} takes the agentRuntimeId of an agent`);
}
