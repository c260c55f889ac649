/** Choices that the same seed makes again. */

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
      const found = list.find(([weight]) => (left -= weight) < 0);
      return (found ?? pick(list))[1];
    },
    shuffle(list) {
      const ranked = list.map((item) => ({ item, rank: fraction() }));
      return ranked.sort((a, b) => a.rank - b.rank).map(({ item }) => item);
    },
  };
}
