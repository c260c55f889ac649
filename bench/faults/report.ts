/** FAULTS.md. */

import { format } from "prettier";
import type { Contestant } from "../contestants.js";
import { versionOf } from "../machine.js";
import { PATIENCE, type ContestantOptions } from "./stage.js";
import { SHORT_AGE, type Fault } from "./faults.js";
import { ageOptions, peerNames, type PeerName } from "./peers.js";

export interface Row {
  readonly fault: Fault;
  readonly cells: Readonly<Record<PeerName, string>>;
  readonly otherwise: Partial<Record<PeerName, { options: ContestantOptions; cell: string }>>;
}

export async function renderFaults(rows: readonly Row[], peers: Record<PeerName, Contestant>): Promise<string> {
  const notes = new Notes();
  const table = [
    ["", ...peerNames.map((name) => (name === "agent-identity-auth" ? `**${peers[name].title}**` : peers[name].title))],
    ["---", ...peerNames.map(() => "---")],
    ...rows.map((row) => [row.fault.title, ...peerNames.map((name) => renderCell(row, name, notes))]),
  ];
  const packages = new Set(peerNames.flatMap((name) => peers[name].packages));
  const markdown = `
# When things go wrong

Written by \`npm run bench:faults\`, which takes some two minutes, on Node ${process.versions.node} with ${[...packages].map((name) => `${name} ${versionOf(name)}`).join(", ")}.
Every figure is from that run.

Each contestant is the one of the [benchmark](RESULTS.md), set up as its own README says, in a process of its own and before a key endpoint
of its own (https on loopback). A number of three digits is the status of the answer to a valid agent, unless the row says otherwise:
200 lets it in, 401 tells it that its token is bad, 500 that the server is broken, 503 that it may come back later. What a middleware
throws is answered with its status, or with 500 if it has none, as Express does. _Fetches_ are requests at the key endpoint.
[What each row does](#what-each-row-does) is below.

${table.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}

${notes.render()}

jose, aws-jwt-verify and fast-jwt only verify: the middleware around them is one's own, and here it answers 401 whatever they throw
([by-hand.ts](contestants/by-hand.ts)). A more careful one can tell an endpoint's failures from a token's.

## What each row does

${rows.map(({ fault }) => `- **${fault.title}**: ${fault.about}`).join("\n")}

"Too old" is ${SHORT_AGE} ms in these rows, set with the option that each has for it (${describeAgeOptions(peers)}). Everything else is
as the READMEs have it, but for what a note names. An agent that has waited for ${PATIENCE / 1000} s has no answer.
`;
  return format(markdown, { parser: "markdown", printWidth: 120, proseWrap: "always" });
}

function renderCell({ fault, cells, otherwise }: Row, name: PeerName, notes: Notes): string {
  const marks: string[] = [];
  if (fault.shortAge && ageOptions[name] === undefined) {
    marks.push(notes.add("It has no such age: it keeps a set until a token names a key that is not in it."));
  }
  const other = otherwise[name];
  if (other) marks.push(notes.add(`With \`${describeOptions(other.options)}\`: ${other.cell}.`));
  return cells[name] + marks.join("");
}

function describeOptions({ keyOptions, tokenOptions }: ContestantOptions): string {
  return Object.entries({ ...keyOptions, ...tokenOptions })
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
    .join(", ");
}

function describeAgeOptions(peers: Record<PeerName, Contestant>): string {
  return peerNames
    .flatMap((name) => (ageOptions[name] === undefined ? [] : [`${peers[name].title}: \`${ageOptions[name]}\``]))
    .join(", ");
}

/** Footnotes, numbered in the order in which they come; the same text is the same note. */
class Notes {
  readonly #texts: string[] = [];

  add(text: string): string {
    if (!this.#texts.includes(text)) this.#texts.push(text);
    return ` [^${this.#texts.indexOf(text) + 1}]`;
  }

  render(): string {
    return this.#texts.map((text, i) => `[^${i + 1}]: ${text}`).join("\n");
  }
}
