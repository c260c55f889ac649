/** Tokens that somebody has changed without the key that signs them. */

import fc, { type Arbitrary } from "fast-check";
import { claims, signingKey, signToken } from "../support/agents.js";
import { json, nextMonth } from "./values.js";

type Mutation = (token: string) => string;

const nat = fc.nat({ max: 1_000_000 });

/** The characters of tokens, those next to them in other alphabets, and a few that are in none. */
const character = fc.oneof(
  fc.constantFrom(..."A Z a z 0 9 . = + / - _ ~ \t \n \0 \u00ff é 😀 \ud800".split(" "), " "),
  fc.string({ minLength: 1, maxLength: 1 }),
);

/** What is done to the characters from one place to another. */
function rewriteRange(rewrite: (range: string, character: string) => string): Arbitrary<Mutation> {
  return fc.tuple(nat, fc.nat({ max: 4 }), character).map(([at, length, character]) => (token) => {
    const start = at % (token.length + 1);
    const end = start + length;
    return token.slice(0, start) + rewrite(token.slice(start, end), character) + token.slice(end);
  });
}

const otherCase = (text: string) => (text === text.toUpperCase() ? text.toLowerCase() : text.toUpperCase());

const ofCharacters: Arbitrary<Mutation> = fc.oneof(
  rewriteRange((_range, character) => character),
  rewriteRange((range, character) => range + character),
  rewriteRange(() => ""),
  rewriteRange((range) => range + range),
  rewriteRange((range) => Array.from(range).reverse().join("")),
  rewriteRange((range) => otherCase(range)),
);

function rewritePart(rewrite: (part: string, choice: number) => string): Arbitrary<Mutation> {
  return fc.tuple(fc.nat({ max: 2 }), nat).map(
    ([index, choice]) =>
      (token) =>
        token
          .split(".")
          .map((part, i) => (i === index ? rewrite(part, choice) : part))
          .join("."),
  );
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Other spellings of the same bytes, for a decoder that is not strict. */
const otherSpelling: Arbitrary<Mutation> = fc.oneof(
  rewritePart((part) => part.padEnd(Math.ceil(part.length / 4) * 4, "=")),
  rewritePart((part) => `${part}=`),
  rewritePart((part) => part.replaceAll("-", "+").replaceAll("_", "/")),
  rewritePart((part, choice) => {
    const lastOne = ALPHABET.indexOf(part.at(-1) ?? "");
    return part.slice(0, -1) + (ALPHABET[lastOne ^ (1 + (choice % 15))] ?? "");
  }),
  rewritePart((part, choice) => part.slice(0, choice % part.length) + "\n" + part.slice(choice % part.length)),
  rewritePart((part) => Array.from(part, (c) => (c === "e" ? "%65" : c)).join("")),
);

/** Bytes are changed, and spelt as they should be. */
const ofBytes: Arbitrary<Mutation> = fc
  .tuple(fc.nat({ max: 2 }), nat, fc.nat({ max: 7 }), fc.nat({ max: 2 }))
  .map(([index, at, bit, what]) => (token) => {
    const parts = token.split(".");
    const bytes = Buffer.from(parts[index] ?? "", "base64url");
    const place = at % (bytes.length + 1);
    const changed = Buffer.of((bytes[place] ?? 0) ^ (1 << bit));
    const rest = bytes.subarray(what === 1 ? place : place + 1);
    parts[index] = Buffer.concat([bytes.subarray(0, place), what === 2 ? Buffer.of() : changed, rest]).toString(
      "base64url",
    );
    return parts.join(".");
  });

/** A member of the header or of the claims is another, or gone; whoever did it cannot sign. */
const ofMembers: Arbitrary<Mutation> = fc
  .tuple(
    fc.constantFrom<[part: number, name: string][]>(
      ...["alg", "kid", "crit", "b64", "typ", "jwk", "jku", "x5c"].map((name): [number, string] => [0, name]),
      ...Object.keys(claims()).map((name): [number, string] => [1, name]),
    ),
    fc.oneof(json, fc.constantFrom("none", "HS256", "PS256", "key-2", "stranger", "acct-2", "admin", undefined)),
  )
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
    const [mine, theirs] = [token.split("."), other.split(".")];
    return mine.map((part, i) => (which & (1 << i) ? (theirs[i] ?? "") : part)).join(".");
  });

const ofParts: Arbitrary<Mutation> = fc.tuple(fc.nat({ max: 2 }), fc.constantFrom("", "e30", "{}", ".")).map(
  ([index, part]) =>
    (token) =>
      token.split(".").toSpliced(index, 1, part).join("."),
);

/** These tokens, as they are or changed in one to three ways. */
export function mutated(tokens: Arbitrary<string>): Arbitrary<string> {
  const mutation = fc.oneof(
    { weight: 4, arbitrary: ofCharacters },
    { weight: 2, arbitrary: otherSpelling },
    { weight: 3, arbitrary: ofBytes },
    { weight: 4, arbitrary: ofMembers },
    { weight: 2, arbitrary: spliceIn(tokens) },
    { weight: 1, arbitrary: ofParts },
  );
  return fc
    .tuple(tokens, fc.array(mutation, { maxLength: 3 }))
    .map(([token, mutations]) => mutations.reduce((changed, mutate) => mutate(changed), token));
}

/** A good token of exactly so many characters. */
export function tokenOfLength(length: number): string {
  for (let more = 0; more < 4; more++) {
    const header = { alg: "RS256", kid: signingKey.kid, x: "x".repeat(more) };
    const shortest = signToken(header, claims({ exp: nextMonth, fill: "" })).length;
    for (let fill = Math.floor((length - shortest) * 0.75) - 2; fill < (length - shortest) * 0.75 + 3; fill++) {
      const token = signToken(header, claims({ exp: nextMonth, fill: "x".repeat(fill) }));
      if (token.length === length) return token;
    }
  }
  throw new Error(`no token has ${length} characters`);
}
