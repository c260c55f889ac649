/** What is sent, good and bad, with the truth about it. */

import { createPrivateKey, createPublicKey, randomUUID, sign } from "node:crypto";
import type { AgentIdentityClaims } from "../../src/protocol/claims.js";
import { claims, mint, now, signToken, type SigningKey } from "../support/agents.js";
import {
  assertion,
  createAgent,
  encodeEnvelope,
  signEnvelope,
  timestamp,
  type SigningAgent,
} from "../support/assertions.js";
import type { Deployment } from "./backend.js";
import type { Truth } from "./judge.js";
import { isWithin, type Random } from "./schedule.js";

export interface Shot {
  readonly what: string;
  readonly truth: Truth;
  readonly path: string;
  readonly headers: Record<string, string | string[]>;
  /** Makes it a POST. */
  readonly body?: string;
}

/** The one account that the restricted mounts let in. */
export const ALLOWED_ACCOUNT = "acct-1";
const OTHER_ACCOUNT = "acct-2";
/** ms for which a key counts as new, and seconds that the server tolerates. */
const NEW_FOR = 1_000;
const CLOCK_TOLERANCE = 60;

type Weighted = [weight: number, shot: () => Shot];
type Key = SigningKey & Deployment["keys"][number];

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`there is no item ${index}`);
  return item;
}

/** Tokens for one deployment. */
export function createBearerTraffic(
  deployments: readonly Deployment[],
  index: number,
  refusedKey: SigningKey,
  startedAt: number,
) {
  const { floods, keys, signers } = at(deployments, index);
  const all = keys.map((key, i) => ({ ...key, ...signers[i] }) as Key);
  const neighbour = at(deployments, (index + 1) % deployments.length).signers;
  /** The tokens that agents send again and again: a few for each key. */
  const hot = new Map<string, { token: string; agent: string; account: string }[]>();
  let expiring: { shot: Shot; key: Key; renewAt: number } | undefined;

  const hotTokens = (key: SigningKey) => {
    const tokens =
      hot.get(key.kid) ??
      Array.from({ length: 6 }, (_, i) => {
        const [agent, account] = [randomUUID(), i % 2 ? OTHER_ACCOUNT : ALLOWED_ACCOUNT];
        return { token: mint({ agent_runtime_id: agent, account_id: account }, key), agent, account };
      });
    hot.set(key.kid, tokens);
    return tokens;
  };
  const shot = (what: string, truth: Truth, authorization: string | string[] | undefined, mount: string): Shot => {
    return { what, truth, path: `/d${index}/${mount}`, headers: authorization === undefined ? {} : { authorization } };
  };
  const genuine = ({ kid }: SigningKey, agent: string) =>
    ({ kind: "token", deployment: index, kid, isGenuine: true, agent }) as const;
  const forged = ({ kid }: { kid: string }) =>
    ({ ...genuine({ kid } as SigningKey, "nobody"), isGenuine: false }) as const;
  const condemned = (what: string, code: string, flaw: object): Shot =>
    shot(what, { kind: "condemned", code }, `Bearer ${mint({ ...flaw }, all[0])}`, "bearer");

  const hotShot = (random: Random, what: string, key: Key, account?: string): Shot => {
    const found = random.pick(hotTokens(key).filter((each) => account === undefined || each.account === account));
    const truth = { ...genuine(key, found.agent), isForbidden: account === OTHER_ACCOUNT };
    const scheme = random.pick(["Bearer ", "bearer ", "BEARER   "]);
    return shot(what, truth, scheme + found.token, account === undefined ? "bearer" : "restricted");
  };
  const firstSeen = (what: string, key: Key, mount = "both"): Shot => {
    const agent = randomUUID();
    return shot(what, genuine(key, agent), `Bearer ${mint({ agent_runtime_id: agent }, key)}`, mount);
  };
  /** The same one again and again, until well after its time. */
  const expiringShot = (at: number, key: Key): Shot => {
    if (!expiring || at > expiring.renewAt || at >= expiring.key.published[1]) {
      const agent = randomUUID();
      const exp = now() - CLOCK_TOLERANCE + 2;
      const truth = { ...genuine(key, agent), goodUntil: (exp + CLOCK_TOLERANCE) * 1000 - startedAt };
      const token = mint({ agent_runtime_id: agent, exp }, key);
      expiring = { shot: shot("token about to expire", truth, `Bearer ${token}`, "bearer"), key, renewAt: at + 4_000 };
    }
    return expiring.shot;
  };
  const tampered = (random: Random, key: Key): Shot => {
    const [header = "", payload = "", signature = ""] = random.pick(hotTokens(key)).token.split(".");
    const other = Buffer.from(payload, "base64url")
      .toString()
      .replace(/"agent_runtime_id":"[^"]*/, '"agent_runtime_id":"x');
    const changed = (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
    const parts = random.pick([
      [Buffer.from(other).toString("base64url"), signature],
      [payload, changed],
    ]);
    return shot("tampered token", forged(key), `Bearer ${[header, ...parts].join(".")}`, "bearer");
  };
  const malformed = (random: Random, token: string): Shot => {
    const [code, authorization] = random.pick<[string, string | string[] | undefined]>([
      ["credentials_missing", undefined],
      ["credentials_missing", ""],
      ["scheme_unsupported", `Basic ${token}`],
      ["scheme_unsupported", `AgentAssertion ${token}`], // this mount has no directory
      ["request_malformed", "Bearer"],
      ["request_malformed", `Bearer ${token}, Bearer ${token}`],
      ["request_malformed", `Bearer ${token}\u00e4`],
      ["request_malformed", [`Bearer ${token}`, `Bearer ${token}`]],
      ["token_malformed", `Bearer ${token}=`],
      ["token_malformed", `Bearer ${"a".repeat(8_000)}`],
    ]);
    return shot("malformed header", { kind: "condemned", code }, authorization, "bearer");
  };
  const otherAlgorithm = (random: Random, key: Key): Shot => {
    const token = signToken({ alg: random.pick(["none", "HS256", "RS512", "PS256"]), kid: key.kid }, claims(), key);
    return shot(
      "token of another algorithm",
      { kind: "condemned", code: "algorithm_not_allowed" },
      `Bearer ${token}`,
      "both",
    );
  };
  /** A good token but for its key id. */
  const junk = (random: Random, key: Key): Shot => {
    const kid = `junk-${randomUUID()}`;
    const [, ...rest] = random.pick(hotTokens(key)).token.split(".");
    const header = Buffer.from(JSON.stringify({ alg: "RS256", kid })).toString("base64url");
    return shot("junk key id", forged({ kid }), `Bearer ${[header, ...rest].join(".")}`, "bearer");
  };

  return (random: Random, at: number): Shot => {
    const key = random.pick(all.filter(({ published: [from, to] }) => from <= at && at < to));
    const revoked = all.filter(({ published: [, to] }) => to <= at).slice(-2);
    // Of a revoked key half are remembered.
    const revokedShots: Weighted[] = revoked.map((key) => [
      4,
      () =>
        random.fraction() < 0.5
          ? hotShot(random, "token of a revoked key", key)
          : firstSeen("token of a revoked key", key),
    ]);
    if (isWithin(floods, at) && random.fraction() < 0.7) {
      const refused = () =>
        shot("key of a refused answer", forged(refusedKey), `Bearer ${mint({}, refusedKey)}`, "bearer");
      return random.pickWeighted<() => Shot>([[70, () => junk(random, key)], [15, refused], ...revokedShots])();
    }
    const fresh = all.filter(({ published: [from] }) => from <= at && at < from + NEW_FOR);
    const foreign = neighbour.find(({ kid }) => kid === key.kid);
    const another = foreign && mint({ agent_runtime_id: "foreign" }, foreign);
    return random.pickWeighted<() => Shot>([
      [40, () => hotShot(random, "hot token", key)],
      [15, () => firstSeen("first-seen token", key)],
      [8, () => hotShot(random, "token on the restricted mount", key, ALLOWED_ACCOUNT)],
      [4, () => hotShot(random, "token of another workspace", key, OTHER_ACCOUNT)],
      [4, () => expiringShot(at, key)],
      [3, () => tampered(random, key)],
      [2, () => condemned("expired token", "token_expired", { exp: now() - CLOCK_TOLERANCE - 1 })],
      [2, () => condemned("token of another issuer", "issuer_invalid", { iss: "https://issuer.example" })],
      [2, () => condemned("token for another audience", "audience_invalid", { aud: ["codex-app-server"] })],
      [2, () => condemned("token with wrong claims", "claims_invalid", { account_id: random.pick(["", 7]) })],
      [2, () => otherAlgorithm(random, key)],
      [6, () => malformed(random, random.pick(hotTokens(key)).token)],
      [another ? 3 : 0, () => shot("token of another deployment", forged(key), `Bearer ${another ?? ""}`, "bearer")],
      ...fresh.map((key): Weighted => [40, () => firstSeen("token of a new key", key)]),
      ...revokedShots,
    ])();
  };
}

/** An agent with the task that it has registered. */
export interface RegisteredAgent {
  readonly agent: SigningAgent;
  readonly taskId: string;
}

/** What Codex clients send, and what others make of it. */
export function createAssertionTraffic(
  lasting: readonly RegisteredAgent[],
  revocable: readonly RegisteredAgent[],
  deployments: number,
) {
  const stranger = createAgent("stranger");
  let repeated: { shot: Shot; renewAt: number } | undefined;
  return (random: Random, at: number): Shot => {
    const [one, other] = random.shuffle(lasting) as [RegisteredAgent, RegisteredAgent];
    const { agent, taskId } = one;
    const doomed = random.pick(revocable);
    const impostor = { ...other.agent, id: agent.id };
    const shot = (what: string, truth: Truth, authorization: string, account?: string): Shot => ({
      what,
      truth,
      path: `/d${Math.floor(random.fraction() * deployments)}/both`,
      headers: { authorization, ...(account !== undefined && { "ChatGPT-Account-ID": account }) },
    });
    const good = { kind: "assertion", agent: agent.id } as const;
    const invalid = { ...good, flaw: "assertion_invalid" } as const;
    const wrongTask = { ...good, flaw: "task_invalid" } as const;
    const condemned = (code: string) => ({ kind: "condemned", code }) as const;
    const repeat = () => {
      // As real clients do: the same one for seconds.
      if (!repeated || at > repeated.renewAt) {
        repeated = { shot: shot("repeated assertion", good, assertion(agent, taskId)), renewAt: at + 3_000 };
      }
      return repeated.shot;
    };
    const stale = assertion(agent, taskId, timestamp(random.pick([-310, 310])));
    const envelope = signEnvelope(agent, taskId);
    const malformed = random.pick<unknown>([{ ...envelope, more: "" }, { ...envelope, task_id: "" }, [envelope], "{"]);
    const ofRevocable = { kind: "assertion", agent: doomed.agent.id } as const;
    return random.pickWeighted<() => Shot>([
      [30, () => shot("assertion", good, assertion(agent, taskId), random.pick([undefined, ALLOWED_ACCOUNT]))],
      [15, repeat],
      [20, () => shot("assertion of a revocable agent", ofRevocable, assertion(doomed.agent, doomed.taskId))],
      [6, () => shot("assertion with a bad signature", invalid, assertion(impostor, taskId))],
      [6, () => shot("assertion of an unknown agent", { ...invalid, agent: stranger.id }, assertion(stranger, taskId))],
      [6, () => shot("assertion for another account", invalid, assertion(agent, taskId), OTHER_ACCOUNT)],
      [6, () => shot("assertion with an unknown task", wrongTask, assertion(agent, `task-${randomUUID()}`))],
      [6, () => shot("assertion with another agent's task", wrongTask, assertion(agent, other.taskId))],
      [4, () => shot("stale assertion", condemned("assertion_stale"), stale)],
      [
        4,
        () =>
          shot("malformed assertion", condemned("assertion_malformed"), `AgentAssertion ${encodeEnvelope(malformed)}`),
      ],
      [4, () => registration("task registration", agent)],
      [3, () => registration("forged task registration", impostor, "assertion_invalid")],
    ])();
  };
}

/** @param signer signs for its `id`, rightly or not */
export function registration(what: string, signer: SigningAgent, flaw?: "assertion_invalid"): Shot {
  const time = timestamp();
  const signature = sign(null, Buffer.from(`${signer.id}:${time}`), signer.privateKey).toString("base64");
  return {
    what,
    truth: { kind: "registration", agent: signer.id, ...(flaw && { flaw }) },
    path: `/v1/agent/${signer.id}/task/register`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ timestamp: time, signature }),
  };
}

/** An agent that signs with the key that is in its token. */
export function agentOfToken(token: string): SigningAgent {
  const payload = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
  const { agent_private_key: key, agent_runtime_id: id } = JSON.parse(payload) as AgentIdentityClaims;
  const privateKey = createPrivateKey({ key: Buffer.from(key, "base64"), format: "der", type: "pkcs8" });
  return { ...createAgent(id), privateKey, publicKey: createPublicKey(privateKey) };
}
