/**
 * A Williams design: with an even number of contestants, in as many rounds everybody has had every place once, and has
 * followed everybody else once. What one leaves behind for the next (a busy kernel, a warm core) then favours nobody.
 */
export function inBalancedOrder<T>(list: readonly T[], round: number): T[] {
  return list.flatMap((_, place) => {
    const step = place % 2 === 0 ? list.length - place / 2 : (place + 1) / 2;
    const item = list[(step + round) % list.length];
    return item === undefined ? [] : [item];
  });
}
