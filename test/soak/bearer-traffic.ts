/** Tokens, good and bad, for one deployment. */

import { randomUUID } from "node:crypto";
import { claims, mint, now as epochSeconds, signToken, type SigningKey } from "../support/agents.js";
import type { Random } from "./random.js";
import type { DeploymentSchedule, ScheduledKey } from "./schedule.js";
import { ALLOWED_ACCOUNT, OTHER_ACCOUNT } from "./settings.js";
import type { Span } from "./spans.js";
import type { Shot, TokenTruth, TrafficClass, Truth } from "./traffic.js";

/** A signing key and when it is published. */
export type TrafficKey = SigningKey & ScheduledKey;

export interface Deployment {
  readonly schedule: DeploymentSchedule;
  readonly keys: readonly TrafficKey[];
}

/** ms for which a key counts as new. */
const NEW_FOR = 1_000;
/** Seconds, as the server's default. */
const CLOCK_TOLERANCE = 60;
/** Where a token is good in any workspace. */
const MOUNTS = ["bearer", "bearer", "both"] as const;

interface HotToken {
  readonly token: string;
  readonly agent: string;
  readonly account: string;
}

type TokenParts = [header: string, payload: string, signature: string];

/** The tokens that agents send again and again: a few for each key. */
export class HotTokens {
  readonly #byKey = new Map<TrafficKey, HotToken[]>();

  of(key: TrafficKey): HotToken[] {
    const tokens = this.#byKey.get(key) ?? Array.from({ length: 8 }, (_, i) => createHotToken(key, i));
    this.#byKey.set(key, tokens);
    return tokens;
  }
}

function createHotToken(key: TrafficKey, index: number): HotToken {
  const agent = randomUUID();
  const account = index % 2 ? OTHER_ACCOUNT : ALLOWED_ACCOUNT;
  return { token: mint({ agent_runtime_id: agent, account_id: account }, key), agent, account };
}

export class BearerTraffic {
  readonly #index: number;
  readonly #schedule: DeploymentSchedule;
  readonly #keys: readonly TrafficKey[];
  readonly #neighbour: Deployment;
  readonly #hot: HotTokens;
  readonly #refusedKey: SigningKey;
  #expiring: { shot: Shot; key: TrafficKey; renewAt: number } | undefined;

  /** @param refusedKey the one that faulty answers of the key endpoint publish */
  constructor(index: number, deployments: readonly Deployment[], hot: HotTokens, refusedKey: SigningKey) {
    const [own, neighbour] = [deployments[index], deployments[(index + 1) % deployments.length]];
    if (!own || !neighbour) throw new RangeError(`there is no deployment ${index}`);
    this.#index = index;
    this.#schedule = own.schedule;
    this.#keys = own.keys;
    this.#neighbour = neighbour;
    this.#hot = hot;
    this.#refusedKey = refusedKey;
  }

  isFlooded(at: number): boolean {
    return isWithin(this.#schedule.floods, at);
  }

  next(random: Random, at: number): Shot {
    const key = this.#publishedKey(random, at);
    const newKey = this.#keys.find(({ published: [from] }) => from <= at && at < from + NEW_FOR);
    const foreignKey = this.#neighbour.keys.find(({ kid }) => kid === key.kid);
    const revokedKeys = isWithin(this.#schedule.probes, at) ? this.#revokedKeys(at) : [];
    return random.pickWeighted<() => Shot>([
      [40, () => this.#hotShot(random, "hot token", key)],
      [15, () => this.#firstSeenShot(random, "first-seen token", key)],
      [8, () => this.#hotShot(random, "token on the restricted mount", key, ALLOWED_ACCOUNT)],
      [4, () => this.#hotShot(random, "token of another workspace", key, OTHER_ACCOUNT)],
      [4, () => this.#expiringShot(at, key)],
      [3, () => this.#tamperedShot(random, key)],
      [2, () => this.#condemnedShot("expired token", "token_expired", { exp: epochSeconds() - CLOCK_TOLERANCE - 1 })],
      [2, () => this.#condemnedShot("token of another issuer", "issuer_invalid", { iss: "https://issuer.example" })],
      [2, () => this.#condemnedShot("token for another audience", "audience_invalid", { aud: ["codex-app-server"] })],
      [2, () => this.#condemnedShot("token with wrong claims", "claims_invalid", { account_id: random.pick(["", 7]) })],
      [2, () => this.#otherAlgorithmShot(random, key)],
      [6, () => this.#malformedShot(random, key)],
      ...when(foreignKey, 3, (foreign) => this.#foreignShot(random, key, foreign)),
      ...when(newKey, 40, (fresh) => this.#firstSeenShot(random, "token of a new key", fresh)),
      ...when(revokedKeys[0], 30, () => this.#revokedShot(random, "token of a revoked key", revokedKeys)),
    ])();
  }

  nextOfFlood(random: Random, at: number): Shot {
    const revokedKeys = this.#revokedKeys(at);
    return random.pickWeighted<() => Shot>([
      [70, () => this.#junkShot(random, this.#publishedKey(random, at))],
      [15, () => this.#refusedKeyShot()],
      ...when(revokedKeys[0], 15, () => this.#revokedShot(random, "revoked key in a flood", revokedKeys)),
    ])();
  }

  #publishedKey(random: Random, at: number): TrafficKey {
    return random.pick(this.#keys.filter(({ published: [from, to] }) => from <= at && at < to));
  }

  #revokedKeys(at: number): TrafficKey[] {
    return this.#keys.filter(({ published: [, to] }) => to <= at).slice(-2);
  }

  /** @param account sends it to the restricted mount, with a token of that account */
  #hotShot(random: Random, what: TrafficClass, key: TrafficKey, account?: string): Shot {
    const tokens = this.#hot.of(key).filter((hot) => account === undefined || hot.account === account);
    const { token, agent } = random.pick(tokens);
    const truth = { ...this.#genuine(key, agent), isForbidden: account === OTHER_ACCOUNT };
    const scheme = random.pick(["Bearer ", "Bearer ", "bearer ", "BEARER   "]);
    return this.#shot(what, truth, scheme + token, account === undefined ? random.pick(MOUNTS) : "restricted");
  }

  #firstSeenShot(random: Random, what: TrafficClass, key: TrafficKey): Shot {
    const agent = randomUUID();
    const token = mint({ agent_runtime_id: agent }, key);
    return this.#shot(what, this.#genuine(key, agent), `Bearer ${token}`, random.pick(MOUNTS));
  }

  /** Half of them were verified while their key was good, and may be remembered. */
  #revokedShot(random: Random, what: TrafficClass, revokedKeys: readonly TrafficKey[]): Shot {
    const key = random.pick(revokedKeys);
    return random.fraction() < 0.5 ? this.#hotShot(random, what, key) : this.#firstSeenShot(random, what, key);
  }

  /** The same one again and again, until well after its time. */
  #expiringShot(at: number, key: TrafficKey): Shot {
    if (!this.#expiring || at > this.#expiring.renewAt || at >= this.#expiring.key.published[1]) {
      const agent = randomUUID();
      const exp = epochSeconds() - CLOCK_TOLERANCE + 2;
      const truth = { ...this.#genuine(key, agent), goodUntil: (exp + CLOCK_TOLERANCE) * 1000 };
      const token = mint({ agent_runtime_id: agent, exp }, key);
      const shot = this.#shot("token about to expire", truth, `Bearer ${token}`, "bearer");
      this.#expiring = { shot, key, renewAt: at + 4_000 };
    }
    return this.#expiring.shot;
  }

  /** One that is good next door, where a key of the same id has signed it. */
  #foreignShot(random: Random, key: TrafficKey, foreignKey: TrafficKey): Shot {
    const { token } = random.pick(this.#hot.of(foreignKey));
    const truth = { ...this.#genuine(key, "nobody"), isGenuine: false };
    return this.#shot("token of another deployment", truth, `Bearer ${token}`, random.pick(MOUNTS));
  }

  #tamperedShot(random: Random, key: TrafficKey): Shot {
    const [header, payload, signature] = random.pick(this.#hot.of(key)).token.split(".") as TokenParts;
    const otherPayload = JSON.stringify({ ...decode(payload), agent_runtime_id: "somebody-else" });
    const otherSignature = (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
    const token = random.pick([
      [header, Buffer.from(otherPayload).toString("base64url"), signature],
      [header, payload, otherSignature],
    ]);
    const truth = { ...this.#genuine(key, "nobody"), isGenuine: false };
    return this.#shot("tampered token", truth, `Bearer ${token.join(".")}`, random.pick(MOUNTS));
  }

  #condemnedShot(what: TrafficClass, code: string, flaw: Record<string, unknown>): Shot {
    return this.#shot(what, { kind: "condemned", code }, `Bearer ${mint(flaw, this.#keys[0])}`, "bearer");
  }

  #otherAlgorithmShot(random: Random, key: TrafficKey): Shot {
    const alg = random.pick(["none", "HS256", "RS512", "PS256", "rs256"]);
    const token = signToken({ alg, kid: key.kid }, claims(), key);
    const truth: Truth = { kind: "condemned", code: "algorithm_not_allowed" };
    return this.#shot("token of another algorithm", truth, `Bearer ${token}`, "bearer");
  }

  /** Around a token that is good. */
  #malformedShot(random: Random, key: TrafficKey): Shot {
    const { token } = random.pick(this.#hot.of(key));
    const [code, authorization] = random.pick<[code: string, authorization: string | string[] | undefined]>([
      ["credentials_missing", undefined],
      ["credentials_missing", ""],
      ["scheme_unsupported", `Basic ${token}`],
      ["scheme_unsupported", token],
      ["scheme_unsupported", `AgentAssertion ${token}`], // this mount has no directory
      ["request_malformed", "Bearer"],
      ["request_malformed", `Bearer\t${token}`],
      ["request_malformed", `Bearer ${token} ${token}`],
      ["request_malformed", `Bearer ${token}, Bearer ${token}`],
      ["request_malformed", `Bearer ${token}\u00e4`],
      ["request_malformed", [`Bearer ${token}`, `Bearer ${token}`]],
      ["token_malformed", `Bearer ${token}=`],
      ["token_malformed", `Bearer ${token}.`],
      ["token_malformed", `Bearer ${"a".repeat(8_000)}`],
    ]);
    return this.#shot("malformed header", { kind: "condemned", code }, authorization, "bearer");
  }

  /** A good token but for its key id. */
  #junkShot(random: Random, key: TrafficKey): Shot {
    const kid = `junk-${randomUUID()}`;
    const header = Buffer.from(JSON.stringify({ alg: "RS256", kid })).toString("base64url");
    const [, payload, signature] = random.pick(this.#hot.of(key)).token.split(".") as TokenParts;
    const token = [header, payload, signature].join(".");
    return this.#shot("junk key id", this.#ofUnknownKey(kid), `Bearer ${token}`, random.pick(MOUNTS));
  }

  #refusedKeyShot(): Shot {
    const truth = this.#ofUnknownKey(this.#refusedKey.kid);
    return this.#shot("key of a refused answer", truth, `Bearer ${mint({}, this.#refusedKey)}`, "bearer");
  }

  #genuine({ kid }: TrafficKey, agent: string): TokenTruth {
    return { kind: "token", deployment: this.#index, kid, isGenuine: true, agent };
  }

  #ofUnknownKey(kid: string): TokenTruth {
    return { kind: "token", deployment: this.#index, kid, isGenuine: false, agent: "nobody" };
  }

  #shot(what: TrafficClass, truth: Truth, authorization: string | string[] | undefined, mount: string): Shot {
    const headers = authorization === undefined ? {} : { authorization };
    return { what, truth, path: `/d${this.#index}/${mount}`, headers };
  }
}

/** A choice that there is only where there is what it is about. */
function when<T>(subject: T | undefined, weight: number, shot: (subject: T) => Shot): [number, () => Shot][] {
  return subject === undefined ? [] : [[weight, () => shot(subject)]];
}

function isWithin(spans: readonly Span[], at: number): boolean {
  return spans.some(([from, to]) => from <= at && at < to);
}

function decode(part: string): object {
  return JSON.parse(Buffer.from(part, "base64url").toString()) as object;
}
