/** Stretches of time, in ms since the start of the run; both ends belong to them. */

export type Span = readonly [from: number, to: number];

export function overlap([aFrom, aTo]: Span, [bFrom, bTo]: Span): boolean {
  return aFrom <= bTo && bFrom <= aTo;
}

export function contains([outerFrom, outerTo]: Span, [from, to]: Span): boolean {
  return outerFrom <= from && to <= outerTo;
}

/** What both have in common; nothing, if it is empty. */
export function intersect(spans: readonly Span[], others: readonly Span[]): Span[] {
  return spans.flatMap(([aFrom, aTo]) =>
    others.map(([bFrom, bTo]): Span => [Math.max(aFrom, bFrom), Math.min(aTo, bTo)]).filter(([from, to]) => from <= to),
  );
}

/** All the time that is in none of them. */
export function gaps(spans: readonly Span[]): Span[] {
  const found: Span[] = [];
  let end = -Infinity;
  for (const [from, to] of spans.filter(([from, to]) => from <= to).sort(([a], [b]) => a - b)) {
    if (from > end) found.push([end, from]);
    end = Math.max(end, to);
  }
  return [...found, [end, Infinity]];
}
