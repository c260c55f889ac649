export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}

/** The median of the ratios of each round: a machine that is slower for a while is slower for both. */
export function pairedRatio(values, references) {
  return median(values.map((value, i) => value / references[i]));
}

/**
 * A Williams design: in as many rounds as there are items, each item has every place once and follows every other item
 * once. What one contestant leaves behind (a busy kernel, a warm core) then favours no other.
 */
export function inBalancedOrder(items, round) {
  return items.map((_, place) => {
    const step = place % 2 === 0 ? items.length - place / 2 : (place + 1) / 2;
    return items[(step + round) % items.length];
  });
}
