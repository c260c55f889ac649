import { describe, expect, test } from "vitest";
import type { JwksFetchRecord } from "./backend.js";
import { countFetches } from "./fetch-bounds.js";
import { KeyOracle } from "./key-oracle.js";
import type { RequestRecord } from "./load.js";
import { Oracle, type Reason } from "./oracle.js";
import type { FaultKind } from "./schedule.js";
import type { Span } from "./spans.js";
import type { AssertionTruth, TokenTruth } from "./traffic.js";

// Sets are fresh for 2400 ms, refreshed from 1200 ms on and given up after 5000 ms; a cooldown is 1000 ms.

function good(askedAt: number, ...kids: string[]): JwksFetchRecord {
  const [arrivedAt, answeredAt, closedAt] = [askedAt + 1, askedAt + 2, askedAt + 4];
  return { deployment: 0, askedAt, arrivedAt, answeredAt, closedAt, isComplete: true, kids, fault: null };
}

function faulty(askedAt: number, fault: FaultKind = "status 500"): JwksFetchRecord {
  const closedAt = askedAt + (fault === "hanging" ? 401 : 4);
  return { ...good(askedAt), closedAt, answeredAt: null, isComplete: false, kids: null, fault };
}

const token = (kid: string, more: Partial<TokenTruth> = {}): TokenTruth => {
  return { kind: "token", deployment: 0, kid, isGenuine: true, agent: "agent-1", ...more };
};
const assertion = (more: Partial<AssertionTruth> = {}): AssertionTruth => {
  return { kind: "assertion", agent: "agent-1", ...more };
};

function request(truth: RequestRecord["truth"], outcome: string, [sentAt, answeredAt]: Span): RequestRecord {
  return { what: "hot token", truth, path: "/", sentAt, answeredAt, outcome, identity: "agent-1" };
}

/** @param others requests that were made as well */
function judge(judged: RequestRecord, fetches: readonly JwksFetchRecord[] = [], others: readonly RequestRecord[] = []) {
  const always: [number, number] = [-1e12, 1e12];
  const keys = [
    { kid: "old", published: [-1e12, 1_100] as const },
    { kid: "new", published: [1_100, 1e12] as const },
    { kid: "kept", published: always },
  ];
  const oracle = new Oracle({
    schedule: {
      seed: 0,
      duration: 1e6,
      deployments: [{ keys, faults: [], floods: [always], probes: [] }],
      storeFaults: [{ span: [10_000, 13_000], kind: "hanging" }],
      agentRevocations: [5_000],
    },
    startedAt: 0,
    fetches: [fetches],
    revocations: [[5_000, 5_001]],
    requests: [judged, ...others],
  });
  return oracle.judge(judged);
}

const fresh = [good(0, "old", "kept"), good(1_200, "old", "kept")];
const failing = [...fresh, faulty(2_400), faulty(4_000)];
const rotated = [good(0, "old", "kept"), good(1_200, "new", "kept")];

describe("the keys", () => {
  test.each<[string, TokenTruth, string, Span, JwksFetchRecord[], Reason | undefined]>([
    ["a set serves while it is fresh", token("kept"), "accepted", [1_300, 1_310], fresh, "accepted: valid"],
    ["before it was sent it does not", token("kept"), "accepted", [-9, 1], fresh, undefined],
    ["past its age it has to be refreshed", token("kept"), "accepted", [3_700, 3_710], fresh, undefined],
    [
      "or to fail at it",
      token("kept"),
      "accepted",
      [3_700, 3_710],
      failing,
      "accepted: stale set, its endpoint failing",
    ],
    ["it serves then", token("kept"), "keys_unavailable", [3_700, 3_710], failing, undefined],
    ["up to its ceiling", token("kept"), "accepted", [6_210, 6_220], failing, undefined],
    [
      "there it is 503",
      token("kept"),
      "keys_unavailable",
      [6_210, 6_220],
      failing,
      "503: no key set within its ceiling",
    ],
    ["never 401", token("kept"), "key_untrusted", [6_210, 6_220], failing, undefined],
    ["nor 503 with a healthy endpoint", token("kept"), "keys_unavailable", [1_300, 1_310], fresh, undefined],
    [
      "before the first set there is none",
      token("kept"),
      "keys_unavailable",
      [0, 410],
      [faulty(0, "hanging")],
      "503: no key set within its ceiling",
    ],
    ["but one has to wait for it", token("kept"), "keys_unavailable", [0, 300], [faulty(0, "hanging")], undefined],
    [
      "a key serves until the answer that lacks it",
      token("old"),
      "accepted",
      [1_190, 1_203],
      rotated,
      "accepted: key revoked, the set with it still serving",
    ],
    ["and no longer", token("old"), "accepted", [1_300, 1_310], rotated, undefined],
    [
      "where that answer failed, it goes on",
      token("old"),
      "accepted",
      [1_300, 1_310],
      [good(0, "old"), faulty(1_200)],
      "accepted: key revoked, the set with it still serving",
    ],
    [
      "a forged token passes with no set",
      token("kept", { isGenuine: false }),
      "accepted",
      [1_300, 1_310],
      fresh,
      undefined,
    ],
    [
      "its signature is found out",
      token("kept", { isGenuine: false }),
      "signature_invalid",
      [1_300, 1_310],
      fresh,
      "refused: signature",
    ],
    ["which a good one's is not", token("kept"), "signature_invalid", [1_300, 1_310], fresh, undefined],
    [
      "another workspace is kept out",
      token("kept", { isForbidden: true }),
      "accepted",
      [1_300, 1_310],
      fresh,
      undefined,
    ],
    ["an expired token is refused", token("kept", { goodUntil: 1_000 }), "accepted", [1_300, 1_310], fresh, undefined],
    ["not before its time", token("kept", { goodUntil: 2_000 }), "token_expired", [1_300, 1_310], fresh, undefined],
  ])("%s", (_, truth, outcome, span, fetches, reason) => {
    expect(judge(request(truth, outcome, span), fetches)).toBe(reason);
  });

  test("an identity is the token's own", () => {
    const judged = { ...request(token("kept"), "accepted", [1_300, 1_310]), identity: "agent-2" };
    expect(judge(judged, fresh)).toBeUndefined();
  });
});

describe("an unknown key id", () => {
  const junk = request(token("junk", { isGenuine: false }), "key_untrusted", [1_195, 1_206]);

  test.each<[string, TokenTruth, string, Span, JwksFetchRecord[], RequestRecord[], Reason | undefined]>([
    ["is asked for first", token("new"), "key_untrusted", [1_300, 1_310], fresh, [], undefined],
    [
      "is refused for a fetch of its own",
      token("junk"),
      "key_untrusted",
      [1_195, 1_206],
      fresh,
      [],
      "refused: key never trusted",
    ],
    [
      "is refused in the window of another",
      token("new"),
      "key_untrusted",
      [1_300, 1_310],
      fresh,
      [junk],
      "refused: new key in the window of another unknown one",
    ],
    ["is not, when that is over", token("new"), "key_untrusted", [2_210, 2_220], fresh, [junk], undefined],
    ["is not 401 in an outage", token("new"), "key_untrusted", [2_410, 2_420], failing, [], undefined],
    [
      "is 503 there",
      token("new"),
      "keys_unavailable",
      [2_410, 2_420],
      failing,
      [],
      "503: unknown key id, its refresh failed",
    ],
    ["is not 503 while the endpoint is well", token("new"), "keys_unavailable", [1_300, 1_310], fresh, [], undefined],
    ["is not 503 once a set has it", token("new"), "keys_unavailable", [1_300, 1_310], rotated, [], undefined],
  ])("%s", (_, truth, outcome, span, fetches, others, reason) => {
    expect(judge(request(truth, outcome, span), fetches, others)).toBe(reason);
  });
});

describe("an assertion", () => {
  test.each<[string, AssertionTruth, string, Span, Reason | undefined]>([
    ["is accepted", assertion(), "accepted", [100, 110], "accepted: valid"],
    ["with a flaw is not", assertion({ flaw: "task_invalid" }), "accepted", [100, 110], undefined],
    ["is refused for its flaw", assertion({ flaw: "task_invalid" }), "task_invalid", [100, 110], "refused: task"],
    ["is refused for no other", assertion({ flaw: "task_invalid" }), "assertion_invalid", [100, 110], undefined],
    ["without one is not refused", assertion(), "assertion_invalid", [100, 110], undefined],
    [
      "of an agent still there is accepted",
      assertion({ revocation: 0 }),
      "accepted",
      [4_990, 5_010],
      "accepted: valid",
    ],
    ["of a revoked agent is not", assertion({ revocation: 0 }), "accepted", [5_010, 5_020], undefined],
    [
      "of a revoked agent is refused",
      assertion({ revocation: 0 }),
      "assertion_invalid",
      [5_010, 5_020],
      "refused: agent revoked",
    ],
    ["is 503 while the store hangs", assertion(), "directory_unavailable", [9_000, 11_000], "503: directory hanging"],
    ["is not 503 otherwise", assertion(), "directory_unavailable", [100, 110], undefined],
    ["cannot be looked up meanwhile", assertion(), "accepted", [10_010, 10_020], undefined],
  ])("%s", (_, truth, outcome, span, reason) => {
    expect(judge(request(truth, outcome, span))).toBe(reason);
  });
});

describe("the key endpoint", () => {
  const count = (fetches: JwksFetchRecord[], unknown: Span[] = [], served: Span[] = []) => {
    const keys = new KeyOracle(fetches);
    keys.noteUnknownKids(unknown);
    return countFetches({ fetches, startedByUnknownKid: keys.startedByUnknownKid, served }).excesses;
  };

  test.each<[string, JwksFetchRecord[], Span[], Span[], number]>([
    ["may be asked at half the age of a set", fresh, [], [], 0],
    ["not before", [good(0, "old"), good(900, "old")], [], [], 1],
    ["but for an unknown key id", [good(0, "old"), good(900, "old")], [[890, 910]], [], 0],
    ["once in a cooldown", [good(0, "old"), good(300, "old"), good(600, "old")], [[0, 700]], [], 1],
    ["is left alone after a failure", [faulty(0), faulty(900)], [], [], 1],
    ["for a second", [faulty(0), faulty(1_100)], [], [], 0],
    ["for as long as it asked", [faulty(0, "status 429"), faulty(1_900)], [], [], 1],
    [
      "is not asked while it answers",
      [{ ...good(0, "old"), answeredAt: 200, closedAt: 203 }, good(100, "old")],
      [[90, 110]],
      [],
      1,
    ],
    ["is asked by the request that meets half the age", [good(0, "old"), good(1_400, "old")], [], [[1_250, 1_260]], 1],
    ["is not kept connected", [{ ...good(0, "old"), closedAt: null }], [], [], 1],
  ])("%s", (_, fetches, unknown, served, excesses) => {
    expect(count(fetches, unknown, served)).toHaveLength(excesses);
  });
});
