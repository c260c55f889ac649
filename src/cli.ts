#!/usr/bin/env node
/** The command `agent-identity-auth`: for operators, and for agents that are shell scripts. */

import { createRequire } from "node:module";
import { parseCommandLine, requireCommand, USAGE } from "./cli/arguments.js";
import { COMMANDS } from "./cli/commands.js";
import { printError } from "./cli/error-output.js";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** @returns the exit status */
async function main(args: string[]): Promise<number> {
  try {
    const line = parseCommandLine(args);
    if (line.values.help === true || line.name === "help") {
      process.stdout.write(USAGE);
      return 0;
    }
    if (line.values.version === true) {
      console.log(version);
      return 0;
    }
    const { text, json, exitCode = 0 } = await COMMANDS[requireCommand(line.name)](line);
    console.log(line.values.json === true ? JSON.stringify(json) : text);
    return exitCode;
  } catch (error) {
    return printError(error, args);
  }
}

void main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode; // not `process.exit`, which could cut the output
});
