export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}

/** The median of the ratios of each round: a machine that is slower for a while is slower for both. */
export function pairedRatio(values, references) {
  return median(values.map((value, i) => value / references[i]));
}

/** Each round begins with the next item, and every second round goes backwards, so that no item always follows another. */
export function inChangingOrder(items, round) {
  const from = round % items.length;
  const order = [...items.slice(from), ...items.slice(0, from)];
  return round % 2 === 0 ? order : order.reverse();
}
