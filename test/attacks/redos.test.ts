/** No regular expression of `src/` takes time that grows faster than what it reads. */

import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { expect, test } from "vitest";

const src = new URL("../../src/", import.meta.url);

/** Every regular expression, by the compiler's own parser; and every other way to make one. */
function findRegularExpressions(): { literals: Set<string>; computed: string[] } {
  const literals = new Set<string>();
  const computed: string[] = [];
  for (const file of readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))) {
    const source = ts.createSourceFile(file, readFileSync(new URL(file, src), "utf8"), ts.ScriptTarget.Latest, true);
    const visit = (node: ts.Node): void => {
      if (ts.isRegularExpressionLiteral(node)) literals.add(node.text);
      if (ts.isIdentifier(node) && node.text === "RegExp") computed.push(`${file}: ${node.parent.getText()}`);
      // These make an expression of a string.
      if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
        const [argument] = node.arguments;
        const makesOne = ["match", "matchAll", "search"].includes(node.expression.name.text);
        if (makesOne && argument && ts.isStringLiteralLike(argument)) computed.push(`${file}: ${node.getText()}`);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  return { literals, computed };
}

/** What the expressions begin with, what they repeat, and what makes them fail in the end. */
const BEGINNINGS = [
  "",
  "a",
  "https://",
  "127",
  "application/json",
  "/v1/agent/",
  "/v1/agent/x",
  "2026-01-01T00:00:00Z",
];
const KEYS = ["302e020100300506032b657004220420", "3051020101300506032b657004220420"];
const REPEATED = [
  ...[
    ...Array.from(' \t\n/=.-0aA\\"~:\u00e9\u200b\ud800\u{1f511}'),
    "://",
    ".1",
    "a=",
    "a-",
    " \t",
    "/v1/agent/",
    "812100",
  ],
  ...["/task/register", "/v1/agent/x/task/register", "application/json ", "2026-01-01T00:00:00Z"],
];
const ENDS = ["", "\0", "x", "/", "*"];

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
function growth(expression: RegExp, [before, repeated, after]: [string, string, string]): number {
  const ofLength = (length: number) => before + repeated.repeat(Math.ceil(length / repeated.length)) + after;
  const [short, long] = [ofLength(SHORT), ofLength(FACTOR * SHORT)];
  let best = Infinity;
  // A slow machine is asked again, and a slow expression stays slow.
  for (let attempt = 0; attempt < 6 && best >= LIMIT / 2; attempt++) {
    const duration = measure(expression, long, 1);
    // So little is no danger, and too little to compare.
    if (duration < 0.02) return 0;
    best = Math.min(best, duration / measure(expression, short, FACTOR));
  }
  return best;
}

const compile = (literal: string): RegExp => {
  const end = literal.lastIndexOf("/");
  return new RegExp(literal.slice(1, end), literal.slice(end + 1));
};

const { literals, computed } = findRegularExpressions();

test("nothing in src makes a regular expression of a string, and the probe finds one that is slow", () => {
  expect(literals.size).toBeGreaterThan(10);
  expect(computed).toEqual([]);
  expect(growth(/a+$/, ["", "a", "b"])).toBeGreaterThan(LIMIT);
  expect(growth(/^a+$/, ["", "a", "b"])).toBeLessThan(LIMIT);
});

test.each([...literals])("the time for a character does not grow: %s", (literal) => {
  const expression = compile(literal);
  for (const before of [...BEGINNINGS, ...KEYS]) {
    for (const repeated of REPEATED) {
      for (const after of ENDS) {
        const hostile: [string, string, string] = [before, repeated, after];
        expect(growth(expression, hostile), JSON.stringify(hostile)).toBeLessThan(LIMIT);
      }
    }
  }
});
