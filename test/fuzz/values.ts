/** Values at the edges: of lengths, of integers, of Unicode and of types; and tokens that somebody has changed. */

import fc, { type Arbitrary } from "fast-check";
import { claims, now } from "../support/agents.js";

const codePoint = fc.oneof(fc.nat({ max: 0xff }), fc.nat({ max: 0xffff }), fc.nat({ max: 0x10ffff }));

export const oneOf = (...texts: string[]): Arbitrary<string> => fc.constantFrom(...texts);

/** Lone surrogates, astral characters, control characters and whatever else, in strings of few or very many. */
export const text: Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: fc.string({ unit: codePoint.map((code) => String.fromCodePoint(code)) }) },
  { weight: 1, arbitrary: oneOf("", " ", "\0", "\ud800", "\ufeff", "__proto__", "undefined", "0") },
  {
    weight: 1,
    arbitrary: fc.tuple(oneOf("x", "é", "😀"), fc.constantFrom(255, 256, 257)).map(([c, n]) => c.repeat(n)),
  },
);

/** One of them so many times as often as one of the others. */
export function usually<T, U = T>(times: number, usual: Arbitrary<T>, ...others: Arbitrary<U>[]): Arbitrary<T | U> {
  return fc.oneof({ weight: times, arbitrary: usual }, { weight: 1, arbitrary: fc.oneof(...others) });
}

/** What is good until then stays good for as long as anybody fuzzes. */
export const nextMonth: number = now() + 30 * 86_400;

const integer = fc.constantFrom(0, 1, -1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e300, 1.5, 1e-7);

/** Any JSON value, odd ones first. */
export const json: Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown[]>(null, true, false, "", [], {}, [""], [[]], { toString: 1 }),
  integer,
  text,
  fc.jsonValue({ maxDepth: 2 }),
);

/** Bytes that a failure shows as text. */
export function bytesOfText(bytes: Buffer | Uint8Array | string): Buffer {
  const buffer = Buffer.from(bytes as Buffer);
  return Object.assign(buffer, {
    [fc.toStringMethod]: () => `Buffer.from(${JSON.stringify(buffer.toString("latin1"))}, "latin1")`,
  });
}

type Mutation = (token: string) => string;
const nat = fc.nat({ max: 1_000_000 });

/** The characters of tokens, those next to them in other alphabets, and a few that are in none. */
const character = usually(1, oneOf(..."A Z a z 0 9 . = + / - _ ~ \t \n \0 \u00ff é 😀 \ud800".split(" "), " "), text);

/** Some characters are replaced, doubled, dropped or turned round. */
const ofCharacters: Arbitrary<Mutation> = fc
  .tuple(nat, fc.nat({ max: 4 }), character, fc.nat({ max: 4 }))
  .map(([at, length, character, way]) => (token) => {
    const start = at % (token.length + 1);
    const range = token.slice(start, start + length);
    const rewritten = [character, range + character, "", range + range, range.toLowerCase()][way] ?? "";
    return token.slice(0, start) + rewritten + token.slice(start + length);
  });

const rewritePart = (rewrite: (part: string, choice: number) => string): Arbitrary<Mutation> =>
  fc.tuple(fc.nat({ max: 2 }), nat).map(([index, choice]) => (token) => {
    const parts = token.split(".");
    return parts.map((part, i) => (i === index % parts.length ? rewrite(part, choice) : part)).join(".");
  });

/** Other spellings of the same bytes, other bytes, and parts that are gone. */
const ofParts: Arbitrary<Mutation> = fc.oneof(
  rewritePart((part) => part.padEnd(Math.ceil(part.length / 4) * 4, "=")),
  rewritePart((part) => part.replaceAll("-", "+").replaceAll("_", "/")),
  rewritePart(
    (part, choice) => part.slice(0, -1) + String.fromCharCode(part.charCodeAt(part.length - 1) + (choice % 16)),
  ),
  rewritePart((part, choice) => {
    const bytes = Buffer.from(part, "base64url");
    const at = choice % (bytes.length || 1);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (choice & 7));
    return bytes.toString("base64url");
  }),
  rewritePart((part, choice) => ["", "e30", "{}", `${part}.`][choice % 4] ?? ""),
);

const MEMBERS: [part: number, name: string][] = [
  ...["alg", "kid", "crit", "b64", "typ", "jwk"].map((name): [number, string] => [0, name]),
  ...Object.keys(claims()).map((name): [number, string] => [1, name]),
];
/** A member of the header or of the claims is another, or gone. */
const ofMembers: Arbitrary<Mutation> = fc
  .tuple(fc.constantFrom(...MEMBERS), usually(1, json, fc.constantFrom("none", "HS256", "key-2", "acct-2", undefined)))
  .map(([[index, name], value]) => (token) => {
    const parts = token.split(".");
    try {
      const members = JSON.parse(Buffer.from(parts[index] ?? "", "base64url").toString()) as object;
      parts[index] = Buffer.from(JSON.stringify({ ...members, [name]: value })).toString("base64url");
    } catch {
      // An earlier mutation has made it something else.
    }
    return parts.join(".");
  });

const spliceIn = (tokens: Arbitrary<string>): Arbitrary<Mutation> =>
  fc.tuple(tokens, fc.nat({ max: 6 })).map(([other, which]) => (token) => {
    const theirs = other.split(".");
    return token
      .split(".")
      .map((part, i) => (which & (1 << i) ? (theirs[i] ?? "") : part))
      .join(".");
  });

/** These tokens, as they are or changed in one to three ways, without the key. */
export function mutated(tokens: Arbitrary<string>): Arbitrary<string> {
  const mutation = fc.oneof(ofCharacters, ofParts, ofMembers, spliceIn(tokens));
  return fc
    .tuple(tokens, fc.array(mutation, { maxLength: 3 }))
    .map(([token, mutations]) => mutations.reduce((changed, mutate) => mutate(changed), token));
}
