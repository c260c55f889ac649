/**
 * What a run goes through, made of its seed alone. All times are in ms since the start of the run.
 *
 * The server trusts four deployments, each with a key endpoint of its own. All of them play the same three scenes over and
 * over, but begin with different ones: so each scene is on at most times, and 20 s have all of them.
 */

import { createRandom, type Random } from "./random.js";
import type { Span } from "./spans.js";

export const DEPLOYMENTS = 4;
export const SHORTEST_RUN = 20; // seconds

export const FAULT_KINDS = [
  "status 500",
  "status 429",
  "garbage",
  "oversized",
  "no usable key",
  "cut off",
  "hanging",
  "dripping",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Fetches in this span fail; the first one in the first way, and so on, and round again. */
export interface EndpointFault {
  readonly span: Span;
  readonly kinds: readonly FaultKind[];
}

/** Published in this span. The first key is published from the start; the last one stays. */
export interface ScheduledKey {
  readonly kid: string;
  readonly published: Span;
}

export interface DeploymentSchedule {
  readonly keys: readonly ScheduledKey[];
  readonly faults: readonly EndpointFault[];
  /** When junk key ids pour in. */
  readonly floods: readonly Span[];
  /** When tokens of revoked keys are sent: not always, since a key id that is unknown costs the next new key its turn. */
  readonly probes: readonly Span[];
}

export type StoreFaultKind = "hanging" | "failing";

export interface StoreFault {
  readonly span: Span;
  readonly kind: StoreFaultKind;
}

export interface Schedule {
  readonly seed: number;
  readonly duration: number;
  readonly deployments: readonly DeploymentSchedule[];
  readonly storeFaults: readonly StoreFault[];
  /** When an agent is revoked, another one each time. */
  readonly agentRevocations: readonly number[];
}

/** Later than any run; `Infinity` does not survive JSON. */
const NEVER = 1e12;

export function createSchedule(seed: number, seconds: number): Schedule {
  const duration = seconds * 1_000;
  const deployments = Array.from({ length: DEPLOYMENTS }, (_, i) => draftDeployment(i, duration, seed));
  dealFaults(deployments, duration, createRandom(seed, "faults"));
  return { seed, duration, deployments, ...planStore(duration, createRandom(seed, "store")) };
}

interface Draft {
  readonly random: Random;
  readonly keys: { kid: string; published: [number, number] }[];
  readonly faults: { span: Span; kinds: FaultKind[]; sureFetches: number }[];
  readonly floods: Span[];
  readonly probes: Span[];
}

/** Adds to the draft what happens from `at` on; returns when the scene is over, with the endpoint well again. */
type Scene = (draft: Draft, at: number) => number;

function draftDeployment(index: number, duration: number, seed: number): Draft {
  const draft: Draft = {
    random: createRandom(seed, "deployment", index),
    keys: [{ kid: "key-1", published: [-NEVER, NEVER] }],
    faults: [],
    floods: [],
    probes: [],
  };
  const first = index % SCENES.length;
  const scenes = [...SCENES.slice(first), ...SCENES.slice(0, first)];
  let at = index < SCENES.length ? 0 : coldStart(draft);
  while (at < duration) for (const scene of scenes) at = scene(draft, at);
  return draft;
}

/** The endpoint is down when the server starts. */
function coldStart(draft: Draft): number {
  fail(draft, 0, draft.random.between(1_000, 1_400), 1);
  return 3_500;
}

/** A rotation in peace: the first token of the new key has to pass at once. Then a moment of failure. */
function rotation(draft: Draft, at: number): number {
  const { random } = draft;
  // Whatever was unknown before is forgotten by then: its window is over.
  const publishAt = publishKey(draft, at + random.between(1_300, 1_900));
  const revokeAt = revokeKey(draft, publishAt + random.between(1_300, 1_900));
  draft.probes.push([revokeAt, revokeAt + 1_500]);
  fail(draft, revokeAt + 1_600, random.between(1_800, 2_000), 1);
  return revokeAt + 5_200;
}

/** Junk pours in while keys come and go, and while the endpoint fails for a moment. */
function flood(draft: Draft, at: number): number {
  const { random } = draft;
  const from = at + random.between(400, 800);
  const publishAt = publishKey(draft, from + random.between(900, 1_700));
  const revokeAt = revokeKey(draft, publishAt + random.between(700, 1_000));
  const to = fail(draft, revokeAt + random.between(600, 900), random.between(1_800, 2_000), 1) + 300;
  draft.floods.push([from, to]);
  return to + 4_500;
}

/** Every second one outlasts the last good set. Keys come and go behind it. */
function outage(draft: Draft, at: number): number {
  const { random } = draft;
  const isLong = draft.faults.length % 2 === 0; // a round of scenes has three faults
  const from = at + random.between(800, 1_300);
  const to = fail(draft, from, isLong ? random.between(5_300, 5_800) : random.between(4_400, 4_800), 2);
  const publishAt = publishKey(draft, from + random.between(700, 1_400));
  const revokeAt = revokeKey(draft, publishAt + random.between(300, 900));
  draft.probes.push([revokeAt, revokeAt + 1_000], [to, to + 1_500]);
  // The back-off that is reached by then may last so long.
  return to + (isLong ? 8_000 : 4_500);
}

const SCENES: readonly Scene[] = [rotation, flood, outage];

function publishKey({ keys }: Draft, at: number): number {
  keys.push({ kid: `key-${keys.length + 1}`, published: [at, NEVER] });
  return at;
}

/** Revokes the key before the newest one. */
function revokeKey({ keys }: Draft, at: number): number {
  const key = keys.at(-2);
  if (key) key.published[1] = at;
  return at;
}

/**
 * @param sureFetches how many meet it, whatever the server's jitter does. Of a server that has recovered: one within half
 *   the age of a key set (1.2 s), and the next one when its first back-off is over (2.4 s later at most).
 */
function fail({ faults }: Draft, from: number, length: number, sureFetches: number): number {
  faults.push({ span: [from, from + length], kinds: [], sureFetches });
  return from + length;
}

/** Deals the ways to fail, in the order of time, so that all of them are sure to be met. */
function dealFaults(deployments: readonly Draft[], duration: number, random: Random): void {
  const faults = deployments.flatMap((draft) => draft.faults).sort((a, b) => a.span[0] - b.span[0]);
  const deck = dealForEver(random);
  const dealt = new Set<FaultKind>();
  for (const { kinds, sureFetches, span } of faults) {
    for (let i = 0; i < sureFetches; i++) {
      const kind = deck.next().value;
      kinds.push(kind);
      if (span[1] < duration) dealt.add(kind);
    }
    // What is met beyond those is a bonus.
    kinds.push(...random.shuffle(FAULT_KINDS.filter((kind) => !kinds.includes(kind))));
  }
  if (dealt.size < FAULT_KINDS.length) throw new Error("this run is too short to have every kind of fault in it");
}

function* dealForEver(random: Random): Generator<FaultKind, never> {
  for (;;) yield* random.shuffle(FAULT_KINDS);
}

function planStore(duration: number, random: Random): Pick<Schedule, "storeFaults" | "agentRevocations"> {
  const storeFaults: StoreFault[] = [];
  const agentRevocations: number[] = [];
  let kind: StoreFaultKind = random.pick(["hanging", "failing"]);
  for (let at = 0; at < duration;) {
    agentRevocations.push(at + random.between(1_500, 2_500));
    const from = at + random.between(3_000, 4_000);
    const to = from + (kind === "hanging" ? random.between(2_600, 3_400) : random.between(1_000, 2_000));
    storeFaults.push({ span: [from, to], kind });
    kind = kind === "hanging" ? "failing" : "hanging";
    at = to;
  }
  return { storeFaults, agentRevocations: agentRevocations.filter((at) => at < duration) };
}
