/** `npm run bench:faults`: lets everything go wrong before every contestant that verifies, and writes FAULTS.md. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { format } from "prettier";
import { generate } from "selfsigned";
import { contestants } from "../contestants/express.js";
import { startChild } from "../processes.js";
import { table, versions } from "../report.js";
import { faults } from "./faults.js";
import { createTokens, PATIENCE, SHORT_AGE, measureFault } from "./stage.js";

/** Each with its option for the age, in ms, at which it fetches the key set again; one has none. */
const ageOptions = {
  "agent-identity-auth": "cacheMaxAge",
  jose: "cacheMaxAge",
  "express-oauth2-jwt-bearer": "cacheMaxAge",
  "express-jwt": "cacheMaxAge",
  "aws-jwt-verify": undefined,
  "fast-jwt": "ttl",
};
const names = Object.keys(ageOptions);

// The key endpoint speaks TLS, as in production. The contestants' processes trust this certificate.
const extensions = [{ name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }];
const { cert, private: key } = await generate([{ name: "commonName", value: "bench" }], { extensions });
const directory = mkdtempSync(join(tmpdir(), "agent-identity-auth-faults-"));
process.once("SIGINT", () => process.exit(130));
process.once("exit", () => rmSync(directory, { recursive: true }));
process.env.NODE_EXTRA_CA_CERTS = join(directory, "certificate.pem");
writeFileSync(process.env.NODE_EXTRA_CA_CERTS, cert);

const tokens = await createTokens();
const servers = Object.fromEntries(names.map((name) => [name, startChild("server.js")]));
const notes = [];
try {
  const rows = [];
  for (const fault of faults) {
    console.error(fault.title);
    const cells = {};
    const measureCell = async (name) => (cells[name] = await measureWithNotes(fault, name));
    if (fault.waits) await Promise.all(names.map(measureCell));
    else for (const name of names) await measureCell(name);
    rows.push([fault.title, ...names.map((name) => cells[name].cell + cells[name].notes.map(footnote).join(""))]);
  }
  writeFileSync(new URL("../FAULTS.md", import.meta.url), await render(rows));
} finally {
  await Promise.all(Object.values(servers).map((server) => server.stop()));
}

async function measureWithNotes(fault, name) {
  const cell = await measure(fault, name, {});
  const ownNotes = [];
  if (fault.tooOld && ageOptions[name] === undefined)
    ownNotes.push("It has no such age: it keeps a set until a token names a key that is not in it.");
  const options = fault.otherwise?.[name];
  if (options) {
    const given = Object.entries({ ...options.keyOptions, ...options.tokenOptions });
    const described = given.map(([option, value]) => `${option}: ${JSON.stringify(value)}`).join(", ");
    ownNotes.push(`With \`${described}\`: ${await measure(fault, name, options)}.`);
  }
  return { cell, notes: ownNotes };
}

async function measure(fault, name, { keyOptions, tokenOptions }) {
  const server = fault.freshProcess ? startChild("server.js") : servers[name];
  const age = fault.tooOld && ageOptions[name] !== undefined ? { [ageOptions[name]]: SHORT_AGE } : undefined;
  const options = { tokenOptions, keyOptions: age || keyOptions ? { ...age, ...keyOptions } : undefined };
  try {
    return await measureFault({ name, server, certificate: { cert, key }, tokens, options }, fault);
  } catch (error) {
    throw new Error(`${name}: ${fault.title}`, { cause: error });
  } finally {
    if (fault.freshProcess) await server.stop();
  }
}

/** The same text is the same note. */
function footnote(text) {
  if (!notes.includes(text)) notes.push(text);
  return ` [^${notes.indexOf(text) + 1}]`;
}

function render(rows) {
  const ages = names
    .filter((name) => ageOptions[name])
    .map((name) => `${contestants[name].title}: \`${ageOptions[name]}\``);
  const markdown = `
# When things go wrong

Written by \`npm run bench:faults\`, which takes some two minutes, on Node ${process.versions.node} with ${versions()}.
Every figure is from that run.

Each contestant is the one of the [benchmark](RESULTS.md), set up as its own README says, in a process of its own and before a key endpoint
of its own (https on loopback). A number of three digits is the status of the answer to a valid agent, unless the row says otherwise:
200 lets it in, 401 tells it that its token is bad, 500 that the server is broken, 503 that it may come back later. An error that a middleware
throws is answered with its status, or with 500 if it has none, as Express does. _Fetches_ are requests at the key endpoint.
[What each row does](#what-each-row-does) is below.

${table(["", ...names.map((name) => contestants[name].title)], rows, "---")}

${notes.map((text, i) => `[^${i + 1}]: ${text}`).join("\n")}

jose, aws-jwt-verify and fast-jwt only verify. The middleware around them was written for this comparison, and answers 401 whatever they throw
([by-hand.js](contestants/by-hand.js)). A more careful one can tell an endpoint's failures from a token's.

## What each row does

${faults.map(({ title, about }) => `- **${title}**: ${about}`).join("\n")}

"Too old" is ${SHORT_AGE} ms in these rows, set with the option that each has for it (${ages.join(", ")}). Everything else is
as the READMEs have it, except what a note names. An agent that has waited for ${PATIENCE / 1000} s has no answer.
`;
  return format(markdown, { parser: "markdown", printWidth: 120 });
}
