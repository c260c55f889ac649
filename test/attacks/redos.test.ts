/** No regular expression of `src/` takes time that grows faster than what it reads. */

import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const src = new URL("../../src/", import.meta.url);

interface Found {
  file: string;
  literal: string;
}

/** Every regular expression, by the compiler's own parser; and every other way to make one. */
function findRegularExpressions(): { literals: Found[]; computed: Found[] } {
  const literals: Found[] = [];
  const computed: Found[] = [];
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  for (const file of files) {
    const source = ts.createSourceFile(file, readFileSync(new URL(file, src), "utf8"), ts.ScriptTarget.Latest, true);
    const visit = (node: ts.Node): void => {
      if (ts.isRegularExpressionLiteral(node)) literals.push({ file, literal: node.text });
      if (ts.isIdentifier(node) && node.text === "RegExp") computed.push({ file, literal: node.parent.getText() });
      // A string is made an expression by these.
      const method =
        ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression) && node.expression.name;
      if (method && ["match", "matchAll", "search"].includes(method.text)) {
        const [argument] = node.arguments;
        if (argument && ts.isStringLiteralLike(argument)) computed.push({ file, literal: node.getText() });
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return { literals, computed };
}

/** What is repeated, after what, before what. */
type Hostile = [before: string, repeated: string, after: string];

/** Each expression, and what it is most likely to try in many ways. */
const TABLE: Record<string, Hostile[]> = {
  // protocol/base-url: options of ours
  "/^https?:\\/\\/[^\\s\\\\/][^\\s\\\\]*$/i": [
    ["https://", "a", " "],
    ["http", "://", "\\"],
  ],
  "/^127(\\.\\d{1,3}){3}$/": [
    ["127", ".1", "x"],
    ["127.", "1", ""],
  ],
  // protocol/printable, which reads 256 characters of a kid
  "/\\p{C}/gu": [
    ["", "\u200b", ""],
    ["", "a", "\u0000"],
  ],
  // cli/arguments: a name on the command line
  "/^(?!at-|sk-)[a-z]+(-[a-z]+)*$/": [
    ["", "a-", "-"],
    ["", "a", "1"],
  ],
  // issuer/create-issuer: an option of ours
  "/^[\\w.-]{1,64}$/": [["", "a", ":"]],
  // protocol/agent-assertion
  "/^[^:/?#%\\s\\p{C}]{1,128}$/u": [
    ["", "a", ":"],
    ["", "\u{1f511}", ""],
  ],
  "/^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$/": [
    ["", "1", ""],
    ["", "2026-01-01T00:00:00Z", "x"],
    ["2026-01-01T00:00:00Z", "\n", ""],
  ],
  // verify/credentials: the header
  "/^[!#$%&'*+.^_`|~\\w-]*/": [
    ["", "a", ""],
    ["", "a", " "],
  ],
  "/./": [["", "a", ""]],
  "/^[A-Za-z0-9._~+/-]+=*$/": [
    ["", "a", "*"],
    ["a", "=", "a"],
    ["", "a=", "*"],
  ],
  "/^[ \\t]*$/": [
    ["", " ", "x"],
    ["", " \t", "x"],
  ],
  // verify/challenge: options of ours
  "/^[\\x20-\\x7e]+$/": [["", " ", "\n"]],
  "/^https?:\\/\\/[\\x21-\\x7e]+$/i": [["https://", "a", " "]],
  '/["\\\\]/g': [
    ["", '"', ""],
    ["", "\\", "a"],
  ],
  // verify/jwks-fetch: codes of errors, and Retry-After
  "/^[A-Z][A-Z0-9_]*$/": [["", "A", "a"]],
  "/^\\d+$/": [["", "1", "x"]],
  // issuer/codex-router: a path and a header
  "/\\/v1\\/agent\\/([^/]+)\\/task\\/register$/": [
    ["", "/v1/agent/", ""],
    ["", "/v1/agent/x", ""],
    ["", "/v1/agent/x/task/register", "/"],
    ["/v1/agent/", "x", "/task/registers"],
  ],
  "/^application\\/json *(;|$)/i": [
    ["application/json", " ", "x"],
    ["", "application/json ", "x"],
  ],
  // login/agent-key: the hexadecimal of a key
  "/^302e020100300506032b657004220420([0-9a-f]{64})$/": [["302e020100300506032b657004220420", "0", "x"]],
  "/^3051020101300506032b657004220420([0-9a-f]{64})812100([0-9a-f]{64})$/": [
    ["3051020101300506032b657004220420", "0", "x"],
    ["3051020101300506032b657004220420", "812100", "x"],
  ],
};

const anything: Hostile[] = [
  " ",
  "\t",
  "\n",
  "/",
  "=",
  ".",
  "-",
  "0",
  "a",
  "A",
  "\\",
  '"',
  "~",
  "\u00e9",
  "\ud800",
].flatMap((repeated): Hostile[] => [
  ["", repeated, ""],
  ["", repeated, "\u0000"],
  ["", repeated, "x"],
  ["a", repeated, "/"],
]);

const compile = (literal: string): RegExp => {
  const end = literal.lastIndexOf("/");
  return new RegExp(literal.slice(1, end), literal.slice(end + 1));
};

/** The best of some runs, in ms. */
function measure(expression: RegExp, text: string, times: number): number {
  let best = Infinity;
  for (let run = 0; run < 3; run++) {
    const startedAt = performance.now();
    for (let i = 0; i < times; i++) text.replace(expression, "");
    best = Math.min(best, performance.now() - startedAt);
  }
  return best;
}

const SHORT = 500;
const FACTOR = 8;
/** Linear time makes 1 of it and quadratic time 8. */
const LIMIT = 4;

/** How many times as long a long text takes as short ones that are as long together. */
function growth(literal: string, [before, repeated, after]: Hostile): number {
  const expression = compile(literal);
  const ofLength = (length: number) => before + repeated.repeat(Math.ceil(length / repeated.length)) + after;
  const [short, long] = [ofLength(SHORT), ofLength(FACTOR * SHORT)];
  let best = Infinity;
  // A slow machine is asked again, and a slow expression stays one.
  for (let attempt = 0; attempt < 4 && best >= LIMIT / 2; attempt++) {
    best = Math.min(best, measure(expression, long, 1) / measure(expression, short, FACTOR));
  }
  return best;
}

test("the table has every regular expression of src, and nothing makes one of a string", () => {
  const { literals, computed } = findRegularExpressions();
  expect(literals.length).toBeGreaterThan(10);
  expect(literals.filter(({ literal }) => !(literal in TABLE))).toEqual([]);
  expect(Object.keys(TABLE).filter((literal) => !literals.some((found) => found.literal === literal))).toEqual([]);
  expect(computed).toEqual([]);
});

test("the probe finds an expression that is slow", () => {
  expect(growth("/a+$/", ["", "a", "b"])).toBeGreaterThan(LIMIT);
  expect(growth("/^a+$/", ["", "a", "b"])).toBeLessThan(LIMIT);
});

describe("the time for a character does not grow", () => {
  test.each(Object.entries(TABLE))("%s", (literal, hostile) => {
    for (const text of [...hostile, ...anything])
      expect(growth(literal, text), JSON.stringify(text)).toBeLessThan(LIMIT);
  });
});
