/** Verification of AgentAssertions, and of the task registrations that precede them, against a directory. */

import { createPublicKey, hash, verify, type KeyObject } from "node:crypto";
import { promisify, types } from "node:util";
import { createLRU } from "lru.min";
import {
  assertionMessage,
  decodeAssertion,
  isAssertionId,
  parseTimestamp,
  registrationMessage,
} from "../../protocol/agent-assertion.js";
import { canonicalPlanType } from "../../protocol/claims.js";
import { ed25519PublicKeyBytes } from "../../protocol/ed25519.js";
import { decodeCanonicalBase64 } from "../../protocol/encoding.js";
import { ownProperties } from "../../protocol/options.js";
import { isThenable, withDeadline } from "../../runtime/thenable.js";
import { memberOf, type AgentDirectory, type DirectoryAgent } from "./agent-directory.js";
import { nowInSeconds } from "../../runtime/clock.js";
import { Refusal } from "../outcome/errors.js";
import { nextSignatureBatch } from "../../runtime/signature-batch.js";
import type { Outcome } from "../outcome/verdict.js";
import { verifiedIdentity } from "../outcome/verified-identity.js";

/** Seconds between the signed time and ours, either way. */
const WINDOW = 300;
/** ms that each look-up may take. */
const LOOK_UP_TIMEOUT = 2_000;
const CACHED_KEYS = 10_000;
const CACHED_VERDICTS = 10_000;
const SIGNATURE_LENGTH = 64;

const verifyInThreadPool = promisify<null, Buffer, KeyObject, Buffer, boolean>(verify);

/** What an agent has signed. */
interface Signed {
  readonly agentRuntimeId: string;
  readonly message: Buffer;
  /** Standard base64, of whatever. */
  readonly signature: string;
  /** The `ChatGPT-Account-ID` header, where one was sent. */
  readonly accountId: string | string[] | undefined;
}

interface AgentKey {
  readonly object: KeyObject;
  readonly bytes: Buffer;
  readonly isOfSmallOrder: boolean;
}

export class AssertionVerifier {
  readonly #directory: AgentDirectory;
  /** By the `x` of the JWK, so that a key is not imported for each request. */
  readonly #keys = createLRU<string, AgentKey>(ownProperties({ max: CACHED_KEYS }));
  /** Good signatures, by the SHA-256 of key, message and signature: real clients repeat an assertion. */
  readonly #verdicts = createLRU<string, true>(ownProperties({ max: CACHED_VERDICTS }));

  constructor(directory: AgentDirectory) {
    this.#directory = directory;
  }

  /** A promise, unless the assertion is refused at sight. */
  verify(envelope: string, accountId: string | string[] | undefined): Outcome | Promise<Outcome> {
    const assertion = decodeAssertion(envelope);
    if (assertion === undefined) return new Refusal("assertion_malformed");
    const { agent_runtime_id: agentRuntimeId, task_id: taskId, timestamp, signature } = assertion;
    const issuedAt = parseTimestamp(timestamp) ?? NaN;
    if (!isWithinWindow(issuedAt)) return new Refusal("assertion_stale");
    const message = assertionMessage(agentRuntimeId, taskId, timestamp);
    return this.#identify({ agentRuntimeId, message, signature, accountId }, taskId, issuedAt);
  }

  /** The time of a registration that its agent has signed, in seconds since the epoch. */
  async verifyRegistration(agentRuntimeId: string, timestamp: string, signature: string): Promise<number | Refusal> {
    const issuedAt = parseTimestamp(timestamp);
    if (!isAssertionId(agentRuntimeId) || issuedAt === undefined) return new Refusal("assertion_malformed");
    if (!isWithinWindow(issuedAt)) return new Refusal("assertion_stale");
    const message = registrationMessage(agentRuntimeId, timestamp);
    const agent = await this.#findSigner({ agentRuntimeId, message, signature, accountId: undefined });
    return agent instanceof Refusal ? agent : issuedAt;
  }

  async #identify(signed: Signed, taskId: string, issuedAt: number): Promise<Outcome> {
    const { agentRuntimeId } = signed;
    const agent = await this.#findSigner(signed);
    if (agent instanceof Refusal) return agent;
    const task = await lookUp("findTask", () => this.#directory.findTask(taskId));
    if (task instanceof Refusal) return task;
    if (task?.agentRuntimeId !== agentRuntimeId || !(task.expiresAt > nowInSeconds())) {
      return new Refusal("task_invalid");
    }
    return verifiedIdentity({
      agentRuntimeId,
      accountId: agent.accountId,
      chatgptUserId: agent.chatgptUserId,
      email: memberOf(agent, "email") ?? null,
      planType: canonicalPlanType(agent.planType),
      chatgptAccountIsFedramp: agent.chatgptAccountIsFedramp,
      issuedAt,
      expiresAt: task.expiresAt,
      taskId,
    });
  }

  /** One answer for whatever is wrong, at one cost: who asks does not learn which agents there are. */
  async #findSigner(signed: Signed): Promise<DirectoryAgent | Refusal> {
    const agent = await lookUp("findAgent", () => this.#directory.findAgent(signed.agentRuntimeId));
    if (agent instanceof Refusal) return agent;
    if (!agent) {
      await this.#isSigned(signed, DUMMY_KEY);
      return new Refusal("assertion_invalid");
    }
    const publicKey = this.#importKey(agent.publicKey);
    if (publicKey === undefined || publicKey.isOfSmallOrder) {
      return unavailable("findAgent gave a publicKey that is not an Ed25519 public key");
    }
    const isSigned = await this.#isSigned(signed, publicKey);
    const expiresAt = memberOf(agent, "expiresAt");
    const hasExpired = expiresAt !== undefined && !(expiresAt > nowInSeconds());
    const isOtherAccount = signed.accountId !== undefined && signed.accountId !== agent.accountId;
    return isSigned && !hasExpired && !isOtherAccount ? agent : new Refusal("assertion_invalid");
  }

  async #isSigned({ message, signature }: Signed, publicKey: AgentKey): Promise<boolean> {
    const bytes = decodeCanonicalBase64(signature);
    if (bytes?.length !== SIGNATURE_LENGTH) return false;
    // The signature has a fixed length, so that the parts cannot be told apart in two ways.
    const verdict = hash("sha256", Buffer.concat([bytes, publicKey.bytes, message]), "base64url");
    if (this.#verdicts.has(verdict)) return true;
    await nextSignatureBatch();
    const isSigned = await verifyInThreadPool(null, message, publicKey.object, bytes);
    if (isSigned) this.#verdicts.set(verdict, true);
    return isSigned;
  }

  #importKey(publicKey: DirectoryAgent["publicKey"]): AgentKey | undefined {
    if (types.isKeyObject(publicKey)) {
      const isEd25519 = publicKey.type === "public" && publicKey.asymmetricKeyType === "ed25519";
      return isEd25519 ? agentKey(publicKey) : undefined;
    }
    const x = (publicKey as { x?: unknown } | null | undefined)?.x;
    if (typeof x !== "string") return undefined;
    const known = this.#keys.get(x);
    if (known !== undefined) return known;
    let object: KeyObject;
    try {
      object = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    } catch {
      return undefined;
    }
    const imported = agentKey(object);
    this.#keys.set(x, imported);
    return imported;
  }
}

/** Points of order 1, 2, 4 and 8, and the other spellings of two of them (RFC 8032 §5.1.3), without the bit of the sign. */
const SMALL_ORDER_POINTS = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/** For such a key anybody can make a signature, and a key of zeros is what a database has where somebody forgot one. */
function isOfSmallOrder(publicKey: Buffer): boolean {
  const withoutSign = Buffer.from(publicKey);
  withoutSign[31] = (withoutSign[31] ?? 0) & 0x7f;
  return SMALL_ORDER_POINTS.has(withoutSign.toString("hex"));
}

const agentKeys = new WeakMap<KeyObject, AgentKey>();

function agentKey(object: KeyObject): AgentKey {
  const known = agentKeys.get(object);
  if (known !== undefined) return known;
  const bytes = ed25519PublicKeyBytes(object);
  const key = { object, bytes, isOfSmallOrder: isOfSmallOrder(bytes) };
  agentKeys.set(object, key);
  return key;
}

/** Stands for the key of an agent that does not exist. Nothing that it verifies counts. */
const DUMMY_KEY = agentKey(
  createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
    format: "jwk",
  }),
);

function isWithinWindow(timestamp: number): boolean {
  return Math.abs(timestamp - nowInSeconds()) <= WINDOW;
}

async function lookUp<T>(name: string, ask: () => T | Promise<T>): Promise<T | Refusal> {
  try {
    const answer = ask();
    if (!isThenable(answer)) return answer;
    return await withDeadline(answer, LOOK_UP_TIMEOUT, () =>
      unavailable(`${name} gave no answer within ${LOOK_UP_TIMEOUT} ms`),
    );
  } catch {
    // What a database says in its errors is not for a log of ours.
    return unavailable(`${name} failed`);
  }
}

function unavailable(reason: string): Refusal {
  return new Refusal("directory_unavailable", { reason }, 1);
}
