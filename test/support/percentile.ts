/** @param fraction 0.99 for the 99th percentile: the nearest rank */
export function percentile(values: readonly number[], fraction: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(Math.ceil(sorted.length * fraction) - 1, 0)] ?? NaN;
}
