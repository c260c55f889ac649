/**
 * The mutation check: takes each security decision of `src` away in turn, in a copy of the tree, and shows that a test
 * fails for it. A decision whose removal nothing notices is a missing test.
 *
 * `npm run test:mutation -- --only <part of a name>` checks some of them; several `--only` add up.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Decision, Edit, Redundancy } from "./decision.js";
import { DECISIONS } from "./decisions.js";
import { REDUNDANT } from "./redundant.js";
import { parseSelection, Tree, whyOutOfDate, type Run } from "./tree.js";

/** At once, each in a copy of its own. */
const WORKERS = 2;

interface Check {
  name: string;
  noticedBy: string;
  edits: Edit[];
  /** What is wrong with this run, or what is right about it. */
  judge: (run: Run) => { ok: boolean; verdict: string };
}

const { only = [""] } = parseArgs({ options: { only: { type: "string", multiple: true } } }).values;
const isWanted = ({ name }: Decision) => only.some((part) => name.toLowerCase().includes(part.toLowerCase()));
const checks = [
  ...DECISIONS.filter(isWanted).map(checkOfDecision),
  ...REDUNDANT.filter(isWanted).flatMap(checksOfRedundancy),
];

const folder = mkdtempSync(join(tmpdir(), "agent-identity-auth-mutation-"));
const removeFolder = () => {
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
  if (checks.length === 0) problems.push(`no decision has a name with ${only.join(" or ")} in it`);
  if (problems.length > 0) {
    console.error(`The table is out of date:\n${problems.join("\n")}`);
    console.log(`0 passed, ${String(problems.length)} failed`);
    return 1;
  }
  const trees = await Promise.all(Array.from({ length: WORKERS }, (_, i) => Tree.copy(join(folder, String(i)))));
  const selections = [...new Set(checks.map(({ noticedBy }) => noticedBy))];
  const unmutated = await share(trees, [...new Set(selections.map(fileOf))], (tree, file) =>
    tree.run(
      [],
      selections.filter((selection) => fileOf(selection) === file),
    ),
  );
  const failing = [...unmutated.flatMap(failuresOf), ...unknownSelections(selections, unmutated)];
  if (failing.length > 0) {
    console.error(`The tests have to pass before anything is taken away:\n${failing.join("\n")}`);
    console.log(`0 passed, ${String(failing.length)} failed`);
    return 1;
  }
  console.log(
    `unmutated: ${String(unmutated.flatMap(({ tests }) => tests).length)} tests pass (${String(Date.now() - startedAt)} ms)\n`,
  );

  const failed = new Set<string>();
  await share(trees, checks, async (tree, check) => {
    const began = Date.now();
    const { ok, verdict } = check.judge(await tree.run(check.edits, [check.noticedBy]));
    if (!ok) failed.add(check.name);
    const duration = `${String(Date.now() - began).padStart(6)} ms`;
    console.log(`${ok ? "ok  " : "FAIL"} ${check.name.padEnd(76)} ${duration}  ${verdict}`);
  });
  await Promise.all(trees.map((own) => own.close()));
  const decisions = DECISIONS.filter(isWanted);
  const redundant = REDUNDANT.filter(isWanted);
  const missed = decisions.filter(({ name }) => failed.has(name));
  console.log(
    `\n${String(decisions.length + redundant.length)} decisions: ` +
      `${String(decisions.length - missed.length)} noticed by a test when they are taken away, ` +
      `${String(missed.length)} not; ${String(redundant.length)} redundant, for the reasons given`,
  );
  console.log(`${String(Math.round((Date.now() - startedAt) / 1000))} s`);
  console.log(`${String(checks.length - failed.size)} passed, ${String(failed.size)} failed`);
  return failed.size > 0 ? 1 : 0;
}

/** Each tree takes the next item as soon as it has done one. The results are in the order of the items. */
async function share<T, R>(trees: Tree[], items: T[], act: (tree: Tree, item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const work = async (tree: Tree) => {
    for (const [i, item] of queue) results[i] = await act(tree, item);
  };
  await Promise.all(trees.map(work));
  return results;
}

function fileOf(selection: string): string {
  return parseSelection(selection).file;
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

/** Of a run without any edit. */
function failuresOf({ tests, broken }: Run): string[] {
  const failed = tests.filter(({ passed }) => !passed);
  return [
    ...(broken === undefined ? [] : [broken]),
    ...failed.map(({ file, name, failure }) => `${file} > ${name}\n${failure}`),
  ];
}

function unknownSelections(selections: string[], runs: Run[]): string[] {
  const tests = runs.flatMap((run) => run.tests);
  return selections
    .filter((selection) => {
      const { file, name } = parseSelection(selection);
      return !tests.some((test) => test.file === file && test.name.includes(name));
    })
    .map((selection) => `there is no such test: ${selection}`);
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
