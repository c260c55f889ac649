/**
 * The verdict on a token as section by section of the contract has it, written a second time: by other means than those
 * of `src`, wherever there are any, and without its order of least work.
 */

import { verify, type KeyObject } from "node:crypto";
import { expect } from "vitest";
import type { AgentIdentity, Verifier } from "../../src/index.js";
import { now } from "../support/agents.js";
import { expectRefusal } from "./refusal.js";

/** In the order of the JWKS. */
export interface ListedKey {
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly usable: boolean;
}

type Members = Record<string, unknown>;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** By the alphabet: six bits a character, and those that make no whole byte are zero. */
export function bytesOf(base64url: string): Buffer | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const character of base64url) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) return undefined;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
  }
  const spare = held & ((1 << bits) - 1);
  return bits < 6 && spare === 0 ? Buffer.from(bytes) : undefined;
}

/** UTF-8 without a byte-order mark, and an object. */
export function jsonObjectOf(bytes: Buffer | undefined): Members | undefined {
  try {
    const json = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes ?? Buffer.of());
    const value: unknown = JSON.parse(json);
    return Object.prototype.toString.call(value) === "[object Object]" ? (value as Members) : undefined;
  } catch {
    return undefined;
  }
}

function membersOf(token: unknown): [header: Members, claims: Members, signed: string, signature: Buffer] | undefined {
  if (typeof token !== "string" || token.length > 16 * 1024) return undefined;
  const parts = token.split(".");
  const [header, claims, signature] = parts.map(bytesOf);
  if (parts.length !== 3 || parts.includes("") || !header || !claims || !signature) return undefined;
  const headerObject = jsonObjectOf(header);
  const claimsObject = jsonObjectOf(claims);
  return headerObject && claimsObject && [headerObject, claimsObject, parts.slice(0, 2).join("."), signature];
}

const isId = (value: unknown) => typeof value === "string" && value.length > 0;
const isTime = (value: unknown) => typeof value === "number" && value >= 0 && value < 2 ** 53 && value % 1 === 0;
const isAbsent = (value: unknown) => value === undefined;

function areWellTyped(claims: Members): boolean {
  const { iat, exp, nbf, sub, email } = claims;
  return (
    isTime(iat) &&
    isTime(exp) &&
    (isAbsent(nbf) || isTime(nbf)) &&
    // The real client refuses an object or an array for a subject that it does not use.
    (sub === null || typeof sub !== "object") &&
    ["agent_runtime_id", "account_id", "chatgpt_user_id"].every((name) => isId(claims[name])) &&
    ["agent_private_key", "plan_type"].every((name) => typeof claims[name] === "string") &&
    (isAbsent(email) || email === null || typeof email === "string") &&
    typeof claims["chatgpt_account_is_fedramp"] === "boolean"
  );
}

/** The code of the refusal, or "accepted"; `at` is in seconds since the epoch. */
export function judgeToken(token: unknown, keys: readonly ListedKey[], at: number): string {
  const members = membersOf(token);
  if (members === undefined) return "token_malformed";
  const [header, claims, signed, signature] = members;

  const { alg, kid, b64 } = header;
  if (alg !== "RS256") return "algorithm_not_allowed";
  if (!isId(kid) || (kid as string).length > 256) return "token_malformed";
  if (Object.hasOwn(header, "crit") || b64 === false) return "token_malformed";

  if (claims["iss"] !== "https://chatgpt.com/codex-backend/agent-identity") return "issuer_invalid";
  if (claims["aud"] !== "codex-app-server") return "audience_invalid";
  if (!areWellTyped(claims)) return "claims_invalid";
  if (at - 60 >= (claims["exp"] as number)) return "token_expired";
  if (typeof claims["nbf"] === "number" && claims["nbf"] - 60 > at) return "token_not_yet_valid";

  const first = keys.find((key) => key.kid === kid);
  if (!first?.usable) return "key_untrusted";
  return verify("RSA-SHA256", Buffer.from(signed), first.publicKey, signature) ? "accepted" : "signature_invalid";
}

const PLAN_ALIASES = [
  ["hc", "enterprise"],
  ["education", "edu"],
];

/** Of a token that is accepted. */
export function identityOf(token: string): AgentIdentity {
  const [, claims = {}] = membersOf(token) ?? [];
  const [, plan = claims["plan_type"]] = PLAN_ALIASES.find(([alias]) => alias === claims["plan_type"]) ?? [];
  return {
    agentRuntimeId: claims["agent_runtime_id"],
    accountId: claims["account_id"],
    chatgptUserId: claims["chatgpt_user_id"],
    email: claims["email"] ?? null,
    planType: plan,
    chatgptAccountIsFedramp: claims["chatgpt_account_is_fedramp"],
    issuedAt: claims["iat"],
    expiresAt: claims["exp"],
  } as AgentIdentity;
}

/** What of a token must not be in an error. */
export function sentWith(token: unknown): { texts: string[]; kid: unknown } {
  const texts = typeof token === "string" ? [token, ...token.split(".").map((part) => atobOrNothing(part))] : [];
  return { texts, kid: membersOf(token)?.[0]["kid"] };
}

const atobOrNothing = (part: string): string => bytesOf(part)?.toString() ?? "";

/** Asks twice, so that a remembered verdict is seen too. @returns the verdict of both the oracle and the verifier */
export async function expectSameVerdict(
  { verify }: Pick<Verifier, "verify">,
  token: unknown,
  keys: readonly ListedKey[],
): Promise<string> {
  // The second may change while the token is looked at.
  const before = judgeToken(token, keys, now());
  const outcomes: unknown[] = [];
  for (let i = 0; i < 2; i++) outcomes.push(await verify(token as string).catch((error: unknown) => error));
  const after = judgeToken(token, keys, now());
  for (const outcome of outcomes) {
    const verdict = outcome instanceof Error ? expectRefusal(outcome, sentWith(token)) : "accepted";
    expect([before, after]).toContain(verdict);
    if (verdict !== "accepted") continue;
    expect(outcome).toEqual(identityOf(token as string));
    expect(Object.isFrozen(outcome)).toBe(true);
  }
  return before;
}
