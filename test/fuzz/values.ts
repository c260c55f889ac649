/** Values at the edges: of lengths, of integers, of Unicode and of types. */

import fc, { type Arbitrary } from "fast-check";
import { now } from "../support/agents.js";

const codePoint = fc.oneof(fc.nat({ max: 0xff }), fc.nat({ max: 0xffff }), fc.nat({ max: 0x10ffff }));

/** Lone surrogates, astral characters, control characters and whatever else, in strings of few or very many. */
export const text: Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: codePoint.map((code) => String.fromCodePoint(code)) }) },
  { weight: 1, arbitrary: fc.constantFrom("", " ", "\0", "\ud800", "\ufeff", "__proto__", "undefined", "0") },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom("x", "é", "😀"), lengthAround(256)).map(([c, n]) => c.repeat(n)) },
);

/** One of them so many times as often as one of the others. */
export function usually<T, U = T>(times: number, usual: Arbitrary<T>, ...others: Arbitrary<U>[]): Arbitrary<T | U> {
  return fc.oneof({ weight: times, arbitrary: usual }, { weight: 1, arbitrary: fc.oneof(...others) });
}

/** `length` and its neighbours, or hardly anything. */
export function lengthAround(length: number): Arbitrary<number> {
  return fc.constantFrom(0, 1, length - 1, length, length + 1);
}

/** So that what is good stays good for as long as anybody fuzzes. */
export const nextMonth: number = now() + 30 * 86_400;

export const integer: Arbitrary<number> = fc.constantFrom(
  ...[0, 1, -1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER, 2 ** 53, -(2 ** 53), 1e300, 1.5, 1e-7],
);

/** So many seconds from now at the most; more often a round number of them, or one beside it. */
export function secondsFromNow(...offsets: number[]): Arbitrary<number> {
  return fc
    .tuple(fc.constantFrom(...offsets), fc.integer({ min: -2, max: 2 }))
    .map(([offset, beside]) => now() + offset + beside);
}

/** Bytes that a failure shows as text. */
export function bytesOfText(bytes: Buffer | Uint8Array | string): Buffer {
  const buffer = Buffer.from(bytes as Buffer);
  return Object.assign(buffer, {
    [fc.toStringMethod]: () => `Buffer.from(${JSON.stringify(buffer.toString("latin1"))}, "latin1")`,
  });
}

/** Any JSON value, odd ones first. */
export const json: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown[]>(null, true, false, "", [], {}, [""], [[]], { toString: 1 }),
  integer,
  text,
  fc.jsonValue({ maxDepth: 2 }),
);
