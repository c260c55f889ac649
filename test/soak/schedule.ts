/** What a run goes through, made of its seed alone. All times are in ms since the start of the run. */

import { hash } from "node:crypto";

export interface Random {
  /** 0 or more, less than 1. */
  fraction(): number;
  between(from: number, to: number): number;
  pick<T>(list: readonly T[]): T;
  /** Each with its weight. */
  pickWeighted<T>(list: readonly (readonly [weight: number, item: T])[]): T;
  shuffle<T>(list: readonly T[]): T[];
}

/** @param names tell streams of the same seed apart */
export function createRandom(seed: number, ...names: (string | number)[]): Random {
  // mulberry32
  let state = parseInt(hash("sha256", [seed, ...names].join(":")).slice(0, 8), 16);
  const fraction = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const pick = <T>(list: readonly T[]): T => {
    if (list.length === 0) throw new Error("there is nothing to pick from");
    return list[Math.floor(fraction() * list.length)] as T;
  };
  return {
    fraction,
    between: (from, to) => from + fraction() * (to - from),
    pick,
    pickWeighted(list) {
      let left = fraction() * list.reduce((sum, [weight]) => sum + weight, 0);
      return (list.find(([weight]) => (left -= weight) < 0) ?? pick(list))[1];
    },
    shuffle(list) {
      const ranked = list.map((item) => ({ item, rank: fraction() }));
      return ranked.sort((a, b) => a.rank - b.rank).map(({ item }) => item);
    },
  };
}

export type Span = readonly [from: number, to: number];
export const isWithin = (spans: readonly Span[], at: number): boolean =>
  spans.some(([from, to]) => from <= at && at < to);

export interface Plan {
  /** Each with the time in which it is published. The first one is from the start, and the last one stays. */
  readonly keys: { kid: string; published: [from: number, to: number] }[];
  /** Fetches of keys in these spans fail. */
  readonly faults: Span[];
  /** When junk key ids pour in. */
  readonly floods: Span[];
}

export const DEPLOYMENTS = 4;
/** The three scenes take so many ms together. */
export const ROUND = 30_000;

/** One deployment plays three scenes over and over, and each deployment begins with another one. */
export function planDeployment(index: number, seed: number, duration: number): Plan {
  const random = createRandom(seed, "deployment", index);
  const plan: Plan = { keys: [{ kid: "key-1", published: [-Infinity, Infinity] }], faults: [], floods: [] };
  const rotate = (at: number) => {
    const last = plan.keys.at(-1);
    if (last) last.published[1] = at + random.between(900, 1_500);
    plan.keys.push({ kid: `key-${plan.keys.length + 1}`, published: [at, Infinity] });
  };
  const fail = (from: number, length: number) => plan.faults.push([from, from + length]);
  const scenes: [length: number, play: (at: number) => void][] = [
    // A rotation in peace, and then a moment of failure.
    [
      8_000,
      (at) => {
        rotate(at + random.between(1_500, 2_000));
        fail(at + 4_500, random.between(1_800, 2_000));
      },
    ],
    // Junk pours in while keys come and go, and while the endpoint fails for a moment.
    [
      9_000,
      (at) => {
        plan.floods.push([at + 500, at + 6_000]);
        rotate(at + random.between(1_500, 2_000));
        fail(at + 4_000, random.between(1_500, 1_800));
      },
    ],
    // An outage, in every second round longer than a key set may serve. Keys come and go behind it.
    [
      13_000,
      (at) => {
        const isLong = (Math.floor(at / ROUND) + index) % 2 === 0;
        rotate(at + random.between(1_200, 2_000));
        fail(at + 800, isLong ? random.between(5_600, 6_000) : random.between(4_000, 4_400));
      },
    ],
  ];
  for (let at = 0, scene = index; at < duration; scene++) {
    const [length, play] = scenes[scene % scenes.length] ?? random.pick(scenes);
    play(at);
    at += length;
  }
  return plan;
}

/** By then, the store has hung and has failed. */
export const STORE_ROUND = 15_000;

/** When the issuer's store hangs and when it fails, in turn. */
export function planStore(seed: number, duration: number): { hanging: Span[]; failing: Span[] } {
  const random = createRandom(seed, "store");
  const plan = { hanging: [] as Span[], failing: [] as Span[] };
  for (let at = random.between(2_000, 4_000), turn = 0; at < duration; turn++) {
    const to = at + (turn % 2 === 0 ? random.between(2_600, 3_400) : random.between(1_000, 2_000));
    plan[turn % 2 === 0 ? "hanging" : "failing"].push([at, to]);
    at = to + random.between(2_000, 4_000);
  }
  return plan;
}
