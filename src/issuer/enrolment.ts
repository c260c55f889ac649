/** Self-enrolment of a Codex client: your hook decides by the user's bearer token, and the client keeps the agent's private key. */

import type { JWK } from "jose";
import { decodeCanonicalBase64 } from "../protocol/encoding.js";
import { checkOptions, type OptionChecks } from "../protocol/options.js";
import { nowInSeconds } from "../runtime/clock.js";
import { beforeDeadline } from "../runtime/thenable.js";
import { importAgentKey } from "../verify/assertions/agent-keys.js";
import type { Agents } from "./agents.js";
import { draftAgent, MINT_CHECKS, type MintClaims } from "./mint.js";

/** ms that the hook may take. */
const HOOK_TIMEOUT = 2_000;

/** What the hook gets. */
export interface EnrolmentRequest {
  /** The caller's bearer token: a secret of your own sign-in, which the hook has to verify. */
  readonly token: string;
  /** The agent's Ed25519 public key. */
  readonly publicKey: JWK;
}

/** Whose agent it is. `expiresAt` is needed: no token says when the agent and its task end. */
export type EnrolledAgent = Pick<
  MintClaims,
  "accountId" | "chatgptUserId" | "agentRuntimeId" | "email" | "planType" | "chatgptAccountIsFedramp"
> & {
  /** Seconds since the epoch. */
  readonly expiresAt: number;
};

/** Decides on an enrolment: `undefined` refuses it (403). A hook that throws, or takes more than 2 s, is a 503. */
export type Enrol = (request: EnrolmentRequest) => EnrolledAgent | undefined | Promise<EnrolledAgent | undefined>;

const { accountId, chatgptUserId, agentRuntimeId, email, planType, chatgptAccountIsFedramp, expiresAt } = MINT_CHECKS;
const ENROLMENT_CHECKS: OptionChecks<EnrolledAgent> = {
  accountId,
  chatgptUserId,
  agentRuntimeId,
  email,
  planType,
  chatgptAccountIsFedramp,
  expiresAt,
};

/**
 * @returns the id of the agent, or `undefined` where the hook refuses
 * @throws Error if the hook fails, or gives something else than an agent
 */
export async function enrolAgent(agents: Agents, enrol: Enrol, request: EnrolmentRequest): Promise<string | undefined> {
  const asked = (async (): Promise<unknown> => enrol(request))();
  const answer = await beforeDeadline(asked, HOOK_TIMEOUT, `enrol gave no answer within ${HOOK_TIMEOUT} ms`);
  if (answer === undefined) return undefined;
  const given: Partial<EnrolledAgent> = checkOptions("enrol", answer as EnrolledAgent, ENROLMENT_CHECKS);
  const { agentRuntimeId, isNewAgent, profile } = draftAgent("enrol", given);
  const { expiresAt = 0 } = given;
  if (expiresAt <= nowInSeconds()) throw new TypeError("enrol: expiresAt is needed, and must be in the future");
  const key = { publicKey: request.publicKey, expiresAt };
  return (await agents.enter(agentRuntimeId, profile, key, isNewAgent)) ? agentRuntimeId : undefined;
}

/** What an Ed25519 key in OpenSSH's format begins with, once decoded (RFC 8709 §4). */
const SSH_PREFIX = Buffer.from("\0\0\0\x0bssh-ed25519\0\0\0\x20", "latin1");

/** @returns `undefined` for anything but a usable Ed25519 key */
export function parseSshPublicKey(text: unknown): JWK | undefined {
  const [type, encoded = ""] = typeof text === "string" ? text.split(" ", 2) : []; // a comment may follow
  const bytes = type === "ssh-ed25519" ? decodeCanonicalBase64(encoded) : undefined;
  if (bytes?.length !== SSH_PREFIX.length + 32 || !bytes.subarray(0, SSH_PREFIX.length).equals(SSH_PREFIX))
    return undefined;
  const jwk = { kty: "OKP", crv: "Ed25519", x: bytes.subarray(SSH_PREFIX.length).toString("base64url") };
  return importAgentKey(jwk) && jwk;
}
