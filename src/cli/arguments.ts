/** The command line: its usage text, its options, and what is wrong with a command line that makes no sense. */

import { parseArgs } from "node:util";

export const USAGE = `Usage: agent-identity-auth <command> [options]

Commands
  login --with-access-token  reads an access token from standard input, verifies it, and writes auth.json
  login --with-api-key       reads an API key from standard input and writes auth.json
  status                     reads and verifies the credentials in use, and prints their kind
  logout                     removes auth.json
  verify [-]                 reads an access token from standard input and prints the identity of its agent, as JSON
  verify --explain           the same, but prints each check of the verifier: what it found, and what it wanted
  verify --explain --assertion
                             the same for the value of a header "AgentAssertion …", with the agent's public key
  doctor                     tries the key endpoint, the clock, auth.json and the environment, and says what to do
  jwks-url <base>            prints the JWKS URL of a base URL; reads and writes nothing
  serve                      runs your own backend on loopback, to try things out: writes a token to a temporary
                             file, prints commands to paste, and prints who calls, until Ctrl-C

Options
  --base-url <url>      the backend whose keys to trust, such as https://chatgpt.com/backend-api
  --explain             for verify: prints each check
  --account <id>        for verify: checks that the token is of this account too, and prints each check;
                        for serve: the account of the agent; default: acct-demo
  --assertion           for verify --explain: standard input is an assertion; needs --public-key, and no --base-url
  --public-key <key>    the agent's Ed25519 public key: a JWK as JSON, or a file with a JWK or a PEM
  --codex-home <dir>    the directory of auth.json; default: $CODEX_HOME, else ~/.codex
  --port <n>            the port of serve; default: 8080; 0 takes a free port
  --store <file>        a SQLite file in which serve keeps its keys, agents and tasks; default: memory; doctor tries it
  --json                prints JSON, errors too
  --help, -h, help      prints this text
  --version             prints the version of this package

status looks at $CODEX_ACCESS_TOKEN before auth.json, and at $CODEX_AGENT_IDENTITY if there is no auth.json. The command
reads secrets from standard input only. Exit status: 0 for success, 1 for a failure (one line on standard error), 2 for wrong usage.
`;

const OPTIONS = {
  "with-access-token": { type: "boolean" },
  "with-api-key": { type: "boolean" },
  "base-url": { type: "string" },
  "codex-home": { type: "string" },
  explain: { type: "boolean" },
  account: { type: "string" },
  assertion: { type: "boolean" },
  "public-key": { type: "string" },
  port: { type: "string" },
  store: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
} as const;

type OptionName = keyof typeof OPTIONS;

/** The options that each command reads. It ignores the others, so that a script may pass the same options to each command. */
const OPTIONS_BY_COMMAND = {
  login: ["with-access-token", "with-api-key", "base-url", "codex-home"],
  status: ["base-url", "codex-home"],
  logout: ["codex-home"],
  verify: ["base-url", "explain", "account", "assertion", "public-key"],
  doctor: ["base-url", "codex-home", "store"],
  "jwks-url": [],
  serve: ["port", "store", "account"],
} as const satisfies Record<string, readonly OptionName[]>;

export type CommandName = keyof typeof OPTIONS_BY_COMMAND;

const COMMAND_NAMES = Object.keys(OPTIONS_BY_COMMAND) as CommandName[];

export interface CommandLine {
  /** The first argument, as it was typed. */
  readonly name: string | undefined;
  readonly values: ReturnType<typeof parse>["values"];
  /** The arguments after it. */
  readonly positionals: readonly string[];
}

/** `message` repeats no value of the command line: the user may have put a token there by mistake. */
export class UsageError extends Error {}

/** @throws {UsageError} */
export function parseCommandLine(args: string[]): CommandLine {
  const { values, positionals } = parse(args);
  const [name, ...rest] = positionals;
  return { name, values, positionals: rest };
}

function parse(args: string[]) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch {
    throw new UsageError(findMistake(args)); // Node's message repeats arguments
  }
}

/** @throws {UsageError} */
export function refusePositionals(command: CommandName, positionals: readonly string[]): void {
  if (positionals.length > 0)
    throw new UsageError(`${command} takes no arguments, only options: ${optionsOf(command)}`);
}

/** @throws {UsageError} */
export function requireCommand(name: string | undefined): CommandName {
  if (isCommand(name)) return name;
  const problem = name === undefined ? "the command is missing" : `unknown command${mention("", name, COMMAND_NAMES)}`;
  throw new UsageError(`${problem}; commands: ${COMMAND_NAMES.join(", ")}`);
}

function isCommand(name: string | undefined): name is CommandName {
  return name !== undefined && Object.hasOwn(OPTIONS_BY_COMMAND, name);
}

function findMistake(args: string[]): string {
  const { positionals, tokens } = parseArgs({ args, options: OPTIONS, strict: false, tokens: true });
  const [command] = positionals;
  const known = isCommand(command) ? `options of ${command}: ${optionsOf(command)}` : `options: ${optionsOf()}`;
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { name, value, inlineValue } = token;
    if (!Object.hasOwn(OPTIONS, name)) {
      return `unknown option${mention(token.rawName.startsWith("--") ? "--" : "-", name, Object.keys(OPTIONS))}; ${known}`;
    }
    const takesValue = OPTIONS[name as OptionName].type === "string";
    if (!takesValue && value !== undefined) return `--${name} takes no value; ${known}`;
    if (takesValue && (value === undefined || (!inlineValue && value.startsWith("-")))) {
      return `--${name} needs a value; ${known}`;
    }
  }
  return `wrong options; ${known}`;
}

function optionsOf(command?: CommandName): string {
  const names = command === undefined ? Object.keys(OPTIONS) : [...OPTIONS_BY_COMMAND[command], "json", "help"];
  return names.map((name) => `--${name}`).join(", ");
}

/** Repeats a name only if it can be no secret, and names the known name that it resembles. */
function mention(dashes: string, name: string, known: readonly string[]): string {
  const mentioned = /^(?!at-|sk-)[a-z]+(-[a-z]+)*$/.test(name) && name.length <= 20 ? ` ${dashes}${name}` : "";
  const similar = [1, 2].flatMap((letters) => known.filter((candidate) => differAtMost(letters, name, candidate)))[0];
  return similar === undefined ? mentioned : `${mentioned} (did you mean ${dashes}${similar}?)`;
}

/** Whether the names are equal but for so many neighbouring letters: a letter too many, a wrong one, or two swapped. */
function differAtMost(letters: number, one: string, other: string): boolean {
  const [shorter, longer] = one.length < other.length ? [one, other] : [other, one];
  let start = 0;
  while (start < shorter.length && shorter[start] === longer[start]) start++;
  let end = 0;
  while (end < shorter.length - start && shorter.at(-1 - end) === longer.at(-1 - end)) end++;
  return longer.length - start - end <= letters;
}
