/** The real Codex client and our verifier judge the same tokens with the same key set, over real HTTP. */

import { afterAll, describe, expect, it } from "vitest";
import { createVerifier } from "../../dist/index.js";
import { signIn, type SignInVerdict } from "./codex-client.js";
import { makeSample, rows, type Row } from "./differential-rows.js";
import { startJwksServer } from "./jwks-server.js";
import { secondsSinceEpoch } from "./tokens.js";

interface Verdicts {
  codex: SignInVerdict;
  /** The code of our refusal. */
  ours: { accepted: true } | { accepted: false; code: string };
}

const table = new Map<Row, Verdicts>();

describe("a token is judged as by Codex", () => {
  it.concurrent.each(rows)("$name", async (row) => {
    const verdicts = await judge(row);
    table.set(row, verdicts);
    if (row.notCounted !== undefined) return;
    expect(summarize(verdicts), describeVerdicts(verdicts)).toBe(expectedOutcome(row, verdicts));
  });
});

it("covers tokens that both accept and tokens that both refuse", () => {
  const outcomes = [...table.values()].map(summarize);
  expect(outcomes.filter((outcome) => outcome === "both accept").length).toBeGreaterThan(50);
  expect(outcomes.filter((outcome) => outcome === "both refuse").length).toBeGreaterThan(50);
});

afterAll(() => {
  console.log(renderTable());
});

type Outcome = "both accept" | "both refuse" | "only Codex accepts" | "only we accept" | "only Codex refuses the keys";

function summarize({ codex, ours }: Verdicts): Outcome {
  if (codex.accepted) return ours.accepted ? "both accept" : "only Codex accepts";
  if (!ours.accepted) return "both refuse";
  return codex.refused === "keys" ? "only Codex refuses the keys" : "only we accept";
}

/** A listed difference must be there, too: the lists stay true. */
function expectedOutcome(row: Row, { codex }: Verdicts): Outcome {
  if (row.stricter !== undefined) return "only Codex accepts";
  if (row.lenient !== undefined) return "only Codex refuses the keys";
  return codex.accepted ? "both accept" : "both refuse";
}

async function judge(row: Row): Promise<Verdicts> {
  if (row.withinOneSecond === undefined) return judgeOnce(row);
  for (;;) {
    await startOfSecond();
    const second = secondsSinceEpoch();
    const verdicts = await judgeOnce(row);
    if (secondsSinceEpoch() === second) return verdicts;
  }
}

async function judgeOnce(row: Row): Promise<Verdicts> {
  const { token, jwks } = makeSample(row.recipe);
  const server = await startJwksServer(jwks);
  try {
    const [codex, ours] = await Promise.all([signIn(token, server.baseUrl), verify(token, server.baseUrl)]);
    return { codex, ours };
  } finally {
    await server.close();
  }
}

async function verify(token: string, baseUrl: string): Promise<Verdicts["ours"]> {
  try {
    await createVerifier(baseUrl, { jwks: {} }).verify(token);
    return { accepted: true };
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (typeof code !== "string") throw error;
    return { accepted: false, code };
  }
}

async function startOfSecond(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1000 - (Date.now() % 1000)));
}

function describeVerdicts({ codex, ours }: Verdicts): string {
  const theirWord = codex.accepted ? "accepts" : `refuses (${codex.message})`;
  return `Codex ${theirWord}; we ${ours.accepted ? "accept" : `refuse (${ours.code})`}`;
}

function renderTable(): string {
  const lines = [...table].map(([row, { codex, ours }]) => [
    row.name,
    codex.accepted ? "accepts" : codex.refused === "keys" ? "refuses the keys" : "refuses",
    ours.accepted ? "accepts" : `refuses: ${ours.code}`,
    row.stricter ?? row.lenient ?? (row.notCounted === undefined ? "" : `not counted: ${row.notCounted}`),
  ]);
  const cells = [["token", "Codex", "ours", "note"], ...lines];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  return cells
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
