/**
 * The mutation check: takes each security decision of `src` away in turn, in a copy of the tree, and shows that a test
 * fails for it. A decision whose removal nothing notices is a missing test.
 *
 * `npm run test:mutation -- --only <part of a name>` checks some of them.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Decision, Edit, Redundancy } from "./decision.js";
import { DECISIONS } from "./decisions.js";
import { REDUNDANT } from "./redundant.js";
import { killRuns, parseSelection, Tree, whyOutOfDate, type Run } from "./tree.js";

/** At once, each in a copy of its own. */
const WORKERS = 2;

interface Check {
  name: string;
  noticedBy: string;
  edits: Edit[];
  /** What is wrong with this run, or what is right about it. */
  judge: (run: Run) => { ok: boolean; verdict: string };
}

const { only = "" } = parseArgs({ options: { only: { type: "string" } } }).values;
const isWanted = ({ name }: Decision) => name.toLowerCase().includes(only.toLowerCase());
const checks = [
  ...DECISIONS.filter(isWanted).map(checkOfDecision),
  ...REDUNDANT.filter(isWanted).flatMap(checksOfRedundancy),
];

const folder = mkdtempSync(join(tmpdir(), "agent-identity-auth-mutation-"));
const removeFolder = () => {
  killRuns();
  rmSync(folder, { recursive: true, force: true });
};
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => {
    removeFolder();
    process.exit(code);
  });
}

try {
  process.exitCode = await main();
} finally {
  removeFolder();
}

async function main(): Promise<number> {
  const startedAt = Date.now();
  const problems = [...outOfDate(), ...sameName()];
  if (checks.length === 0) problems.push(`no decision has a name with ${JSON.stringify(only)} in it`);
  if (problems.length > 0) {
    console.error(`The table is out of date:\n${problems.join("\n")}`);
    console.log(`0 passed, ${String(problems.length)} failed`);
    return 1;
  }
  const trees = Array.from({ length: WORKERS }, (_, i) => new Tree(join(folder, String(i))));
  const [tree] = trees as [Tree];
  const unmutated = await tree.run([], [...new Set(checks.map(({ noticedBy }) => noticedBy))]);
  const failing = failuresOf(unmutated);
  if (failing.length > 0) {
    console.error(`The tests have to pass before anything is taken away:\n${failing.join("\n")}`);
    console.log(`0 passed, ${String(failing.length)} failed`);
    return 1;
  }
  console.log(`unmutated: ${String(unmutated.tests.length)} tests pass (${String(Date.now() - startedAt)} ms)\n`);

  let failed = 0;
  const queue = checks.entries();
  const lines: string[] = [];
  const work = async (own: Tree) => {
    for (const [i, check] of queue) {
      const began = Date.now();
      const { ok, verdict } = check.judge(await own.run(check.edits, [check.noticedBy]));
      if (!ok) failed++;
      lines[i] =
        `${ok ? "ok  " : "FAIL"} ${check.name.padEnd(76)} ${String(Date.now() - began).padStart(6)} ms  ${verdict}`;
      while (next < lines.length && lines[next] !== undefined) console.log(lines[next++]);
    }
  };
  let next = 0;
  await Promise.all(trees.map(work));
  console.log(`\n${String(REDUNDANT.filter(isWanted).length)} of them are not noticed alone, for the reasons given`);
  console.log(`${String(Math.round((Date.now() - startedAt) / 1000))} s`);
  console.log(`${String(checks.length - failed)} passed, ${String(failed)} failed`);
  return failed > 0 ? 1 : 0;
}

function outOfDate(): string[] {
  const edits = [
    ...DECISIONS.flatMap((decision) => decision.edits),
    ...REDUNDANT.flatMap(({ edits: alone, behind = [] }) => [...alone, ...behind]),
  ];
  return [...new Set(edits.map(whyOutOfDate))].filter((problem) => problem !== undefined);
}

function sameName(): string[] {
  const names = [...DECISIONS, ...REDUNDANT].map(({ name }) => name);
  return names.filter((name, i) => names.indexOf(name) !== i).map((name) => `there are two decisions named: ${name}`);
}

/** Of the run without any edit: each selection must name tests, and all must pass. */
function failuresOf({ tests, broken }: Run): string[] {
  const unknown = checks
    .map(({ noticedBy }) => noticedBy)
    .filter((selection, i, all) => {
      const { file, name } = parseSelection(selection);
      return all.indexOf(selection) === i && !tests.some((test) => test.file === file && test.name.includes(name));
    });
  return [
    ...(broken === undefined ? [] : [broken]),
    ...unknown.map((selection) => `there is no such test: ${selection}`),
    ...tests.filter(({ passed }) => !passed).map(({ file, name, failure }) => `${file} > ${name}\n${failure}`),
  ];
}

function checkOfDecision({ name, noticedBy, edits }: Decision): Check {
  return { name, noticedBy, edits, judge: mustBeNoticed };
}

function checksOfRedundancy({ name, noticedBy, edits, reason, behind, saying = "" }: Redundancy): Check[] {
  const alone: Check = {
    name,
    noticedBy,
    edits,
    judge(run) {
      // A test may notice a lesser thing, such as another code, as long as nobody gets in.
      const noticed = run.tests.find(({ passed, failure }) => !passed && failure.includes(saying));
      if (run.broken !== undefined) return { ok: false, verdict: `no test ran: ${run.broken}` };
      if (noticed) return { ok: false, verdict: `it is noticed, and so is no redundancy: ${noticed.name}` };
      return { ok: true, verdict: `not noticed: ${reason}` };
    },
  };
  if (behind === undefined) return [alone];
  const both: Check = {
    name: `${name}, and what stands behind it`,
    noticedBy,
    edits: [...edits, ...behind],
    judge: (run) => mustBeNoticed(run, saying),
  };
  return [alone, both];
}

/** A failed test notices; an import that fails does not. */
function mustBeNoticed({ tests, broken }: Run, saying = ""): { ok: boolean; verdict: string } {
  const failed = tests.find(({ passed }) => !passed);
  if (broken !== undefined) return { ok: false, verdict: `no test ran: ${broken}` };
  if (failed === undefined) return { ok: false, verdict: "SURVIVES: no test notices" };
  if (!failed.failure.includes(saying)) return { ok: false, verdict: `noticed, but not for ${saying}: ${failed.name}` };
  return { ok: true, verdict: `${failed.file} > ${failed.name}`.replace(/\s+/g, " ").slice(0, 140) };
}
