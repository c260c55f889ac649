/** The command: what it takes from the command line, what it prints, and what its exit status says. */

import { decisionsOf, type Decision } from "../decision.js";

const COMMAND = "package/cli.test.ts";
const USAGE = `${COMMAND} > wrong usage`;
const SERVE = `${COMMAND} > serve`;

export const DECISIONS_ON_THE_COMMAND: Decision[] = [
  ...decisionsOf("cli.ts", USAGE, [
    [
      "verify takes no token from the command line",
      'if (input !== "-" || rest.length > 0) throw new UsageError("verify reads the token from standard input only");',
      "void rest;",
      `${USAGE} is exit 2, and repeats nothing of the command line ["verify"`,
    ],
    [
      "login takes no token from the command line",
      "  async login({ values, positionals }) {\n    none(positionals);",
      "  async login({ values }) {",
      `${USAGE} is exit 2, and repeats nothing of the command line ["login"`,
    ],
    [
      "what is wrong with the command line is said without it",
      '  } catch {\n    throw new UsageError("there is no such option, or its value is missing");',
      "  } catch (error) {\n    throw new UsageError(String(error));",
      `${USAGE} is exit 2, and repeats nothing of the command line ["login"`,
    ],
    [
      "the command has no default base URL",
      "  if (base === undefined)\n",
      '  if (base === undefined) return "https://chatgpt.com";\n  if (base === "")\n',
      `${USAGE} is exit 2, and repeats nothing of the command line ["status"`,
    ],
    [
      "a command is one of ours",
      "Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined",
      "COMMANDS[name]",
      `${USAGE} is exit 2, and repeats nothing of the command line ["constructor"`,
    ],
    [
      "wrong usage has its own exit status",
      "return usage ? 2 : 1;",
      "return 1;",
      `${USAGE} is exit 2, and repeats nothing of the command line ["signin"`,
    ],
    [
      "a failure has an exit status that says so",
      "return usage ? 2 : 1;",
      "return usage ? 2 : 0;",
      `${COMMAND} > prints the identity`,
    ],
    [
      "being signed out has an exit status that says so",
      "...(status.mode === undefined && { exitCode: 1 })",
      "exitCode: undefined",
      `${COMMAND} > with an access token`,
    ],
    [
      "an error is printed in one line that is ours",
      'else if (code === "credentials_empty") console.error(message);',
      "else if (code !== undefined) console.error(error);",
      `${COMMAND} > failures are one line`,
    ],
  ]),
  ...decisionsOf("cli/serve.ts", SERVE, [
    ["serve is for this machine only", 'server.listen(port, "127.0.0.1", resolve);', "server.listen(port, resolve);"],
    ["serve lets nobody in without credentials", "if (error !== undefined || agent === undefined) {", "if (false) {"],
    [
      "serve prints no query",
      'const path = req.url?.split("?", 1)[0] ?? "";',
      'const path = req.url?.replace("/whoami?", "/whoami") ?? "";',
    ],
    ["only its owner reads the token of serve", "{ mode: 0o600 }", "{ mode: 0o644 }"],
    ["serve leaves no token behind", "rmSync(directory, { recursive: true, force: true });", "void rmSync;"],
  ]),
];
