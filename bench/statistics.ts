/** @param fraction 0.99 for the 99th percentile: the nearest rank */
export function percentile(values: readonly number[], fraction: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(Math.ceil(sorted.length * fraction) - 1, 0)] ?? NaN;
}

/** Of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

export interface PairedRatio {
  median: number;
  /** Between which two ratios the middle half lay: wide apart, if the machine was not quiet. */
  middleHalf: [number, number];
}

/** Pair by pair: a machine that is slower for a while is so for both, and their ratio does not show it. */
export function pairedRatio(values: readonly number[], references: readonly number[]): PairedRatio {
  const ratios = values.map((value, i) => value / (references[i] ?? NaN));
  return { median: median(ratios), middleHalf: [percentile(ratios, 0.25), percentile(ratios, 0.75)] };
}
