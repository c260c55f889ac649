/** Minting: each token holds a new Ed25519 key pair of its agent. Only the token has the private half. */

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { isAssertionId } from "../protocol/agent-assertion.js";
import type { AgentIdentityClaims } from "../protocol/claims.js";
import {
  aBoolean,
  aNonBlankString,
  anInteger,
  checkOptions,
  type OptionCheck,
  type OptionChecks,
} from "../protocol/options.js";
import { exportJwk } from "../protocol/jwk.js";
import { LATEST_TIME, nowInSeconds } from "../runtime/clock.js";
import type { AgentProfile, TokenKey } from "./agents.js";
import type { Signer } from "./signing-keys.js";

/** The content of a token. Members that are left out have safe defaults. */
export interface MintClaims {
  /** The ChatGPT account (workspace) of the agent. */
  accountId: string;
  /** The agent's user. */
  chatgptUserId: string;
  /** 1–128 characters without `: / ? # %`, spaces or control characters. Default: a new id. */
  agentRuntimeId?: string | undefined;
  /** The email address of the user. Codex 0.132.0 and before refuse a token without one, and `null`. Default `""`. */
  email?: string | null | undefined;
  /** The plan of the account. Default `free`. */
  planType?: string | undefined;
  /** Whether the account is under FedRAMP. Default `false`. */
  chatgptAccountIsFedramp?: boolean | undefined;
  /** Seconds until the token ends, at most `maxLifetime`. A stolen token cannot be revoked before. Default: `maxLifetime`. */
  lifetime?: number | undefined;
  /** The `iat`, in seconds since the epoch. Default: now. */
  issuedAt?: number | undefined;
  /** The `exp`, in seconds since the epoch, at most `maxLifetime` from now. Default: `issuedAt` and `lifetime`. */
  expiresAt?: number | undefined;
  /** The `nbf`, in seconds since the epoch. Default: none. */
  notBefore?: number | undefined;
  /** The `iss`. Default: the issuer's, which is Codex's unless it was configured. */
  issuer?: string | undefined;
  /** The `aud`. Default: the issuer's, which is Codex's unless it was configured. */
  audience?: string | undefined;
}

const anId: OptionCheck = {
  expected: "1 to 128 characters without : / ? # %, spaces or control characters",
  accepts: (value) => typeof value === "string" && isAssertionId(value),
};

const aTimestamp = anInteger(0, LATEST_TIME, "seconds since the epoch");

export const MINT_CHECKS: OptionChecks<MintClaims> = {
  accountId: aNonBlankString,
  chatgptUserId: aNonBlankString,
  agentRuntimeId: anId,
  email: { expected: "a string or null", accepts: (value) => value === null || typeof value === "string" },
  planType: aNonBlankString,
  chatgptAccountIsFedramp: aBoolean,
  lifetime: anInteger(1, 10 * 365 * 86_400, "seconds"),
  issuedAt: aTimestamp,
  expiresAt: aTimestamp,
  notBefore: aTimestamp,
  issuer: aNonBlankString,
  audience: aNonBlankString,
};

export interface TokenDefaults {
  readonly issuer: string;
  readonly audience: string;
  /** Seconds. */
  readonly maxLifetime: number;
}

export interface DraftAgent {
  readonly agentRuntimeId: string;
  /** Whether the id was made just now. */
  readonly isNewAgent: boolean;
  readonly profile: AgentProfile;
}

export interface DraftToken extends DraftAgent {
  readonly key: TokenKey;
  readonly payload: AgentIdentityClaims;
}

/**
 * @param where begins the message
 * @throws TypeError
 */
export function draftAgent(where: string, given: Partial<MintClaims>): DraftAgent {
  const { accountId, chatgptUserId, email = "", planType = "free", chatgptAccountIsFedramp = false } = given;
  if (accountId === undefined || chatgptUserId === undefined) {
    throw new TypeError(`${where}: accountId and chatgptUserId are needed`);
  }
  return {
    agentRuntimeId: given.agentRuntimeId ?? `agent-${randomUUID()}`,
    isNewAgent: given.agentRuntimeId === undefined,
    profile: { accountId, chatgptUserId, email, planType, chatgptAccountIsFedramp },
  };
}

/** @throws TypeError */
export function draftToken(claims: MintClaims, defaults: TokenDefaults): DraftToken {
  const given = checkOptions<Partial<MintClaims>>("mint", claims, MINT_CHECKS);
  const agent = draftAgent("mint", given);
  const { lifetime = defaults.maxLifetime, issuedAt = nowInSeconds() } = given;
  const { expiresAt = issuedAt + lifetime, notBefore, issuer = defaults.issuer, audience = defaults.audience } = given;
  if (expiresAt > nowInSeconds() + defaults.maxLifetime) {
    throw new TypeError(`mint: the token would live longer than maxLifetime, which is ${defaults.maxLifetime} seconds`);
  }
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const payload: AgentIdentityClaims = {
    iss: issuer,
    aud: audience,
    iat: issuedAt,
    exp: expiresAt,
    ...(notBefore !== undefined && { nbf: notBefore }),
    agent_runtime_id: agent.agentRuntimeId,
    agent_private_key: privateKey.export({ format: "der", type: "pkcs8" }).toString("base64"),
    account_id: agent.profile.accountId,
    chatgpt_user_id: agent.profile.chatgptUserId,
    email: agent.profile.email,
    plan_type: agent.profile.planType,
    chatgpt_account_is_fedramp: agent.profile.chatgptAccountIsFedramp,
  };
  return { ...agent, key: { publicKey: exportJwk(publicKey), expiresAt }, payload };
}

/** RFC 7515 §3.1. Not jose's `SignJWT`, because `/testing` signs claims that `SignJWT` refuses. */
export async function signToken(payload: object, { kid, sign }: Signer): Promise<string> {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode({ alg: "RS256", kid, typ: "JWT" })}.${encode(payload)}`;
  return `${signed}.${Buffer.from(await sign(Buffer.from(signed))).toString("base64url")}`;
}
