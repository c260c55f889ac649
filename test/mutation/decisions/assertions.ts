/** AgentAssertions: their envelope, their time, and what the directory says of agent and task. */

import { decisionsOf, type Decision } from "../decision.js";

const ASSERTIONS = "verify/assertion-verifier.test.ts";
const MALFORMED = `${ASSERTIONS} > assertion_malformed`;
const INVALID = `${ASSERTIONS} > assertion_invalid`;
const REGISTRATION = "issuer/issuer.test.ts > is refused for each fault";

/** As `src` lists them. */
const SMALL_ORDER_POINTS = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

export const DECISIONS_ON_ASSERTIONS: Decision[] = [
  ...decisionsOf("protocol/agent-assertion.ts", MALFORMED, [
    [
      "an envelope has at most 4 KiB",
      "envelope.length <= MAX_ENVELOPE_LENGTH ? decodeBase64urlJson(envelope) : undefined;",
      "decodeBase64urlJson(envelope);",
    ],
    ["an envelope has exactly its members", "if (!hasExactly(value, ENVELOPE_MEMBERS)) return undefined;", ""],
    ["an envelope has no member in place of another", "(names as string[]).includes(name) && ", "names.length > 0 && "],
    ["an envelope lacks no member", "entries.length === names.length &&", "entries.length <= names.length &&"],
    ["members of an envelope are strings", ' && typeof member === "string"', " && member !== undefined"],
    ["the agent's id has the form of an id", "return isAssertionId(agentRuntimeId) && ", "return "],
    ["the task's id has the form of an id", " && isAssertionId(taskId) && ", " && "],
    ["an id has no separators, spaces or control characters", "[^:/?#%\\s\\p{C}]{1,128}", "[^]{1,128}"],
    ["an id has no colon", "[^:/?#%", "[^/?#%"],
    ["an id has no slash", "[^:/?#%", "[^:?#%"],
    ["an id has no spaces", "%\\s\\p{C}]", "%\\p{C}]"],
    ["an id has no control characters", "%\\s\\p{C}]", "%\\s]"],
    ["an id is not empty", "]{1,128}$/u", "]{0,128}$/u"],
    ["an id has at most 128 characters", "]{1,128}$/u", "]{1,}$/u"],
    ["a timestamp has the form of one", " && parseTimestamp(timestamp) !== undefined", " && timestamp !== undefined"],
    [
      "a timestamp is written in one way",
      "/^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$/.test(timestamp) ? Date.parse(timestamp) : NaN;",
      "Date.parse(timestamp);",
    ],
    ["a timestamp is of a moment that exists", " && assertionTimestamp(new Date(milliseconds)) === timestamp", ""],
  ]),
  ...decisionsOf("verify/assertion-verifier.ts", INVALID, [
    [
      "an assertion is not older than the window",
      "return Math.abs(timestamp - nowInSeconds()) <= WINDOW;",
      "return timestamp - nowInSeconds() <= WINDOW;",
      `${ASSERTIONS} > s from now`,
    ],
    [
      "an assertion is not further in the future than the window",
      "return Math.abs(timestamp - nowInSeconds()) <= WINDOW;",
      "return nowInSeconds() - timestamp <= WINDOW;",
      `${ASSERTIONS} > s from now`,
    ],
    ["the window is 300 s", "const WINDOW = 300;", "const WINDOW = 310;", `${ASSERTIONS} > s from now`],
    [
      "the time of an assertion is looked at",
      `if (!isWithinWindow(issuedAt)) return new Refusal("assertion_stale");
    const message = assertionMessage`,
      "const message = assertionMessage",
      `${ASSERTIONS} > s from now`,
    ],
    [
      "an assertion ages although its signature is remembered",
      "return Math.abs(timestamp - nowInSeconds()) <= WINDOW;",
      "return Math.abs(timestamp - (startedAt ??= nowInSeconds())) <= WINDOW;\n}\nlet startedAt: number | undefined;\n{",
      `${ASSERTIONS} > an assertion ages`,
    ],
    [
      "an unknown agent is refused",
      `      await this.#isSigned(signed, DUMMY_KEY);
      return new Refusal("assertion_invalid");`,
      `      await this.#isSigned(signed, DUMMY_KEY);
      return { accountId: "", chatgptUserId: "", planType: "", chatgptAccountIsFedramp: false } as DirectoryAgent;`,
    ],
    [
      "an unknown agent costs a verification, as a known one does",
      "await this.#isSigned(signed, DUMMY_KEY);",
      "",
      `${ASSERTIONS} > assertion_invalid an unknown agent costs`,
    ],
    ["the signature must be the agent's", "return isSigned && !hasExpired", "return !hasExpired"],
    ["an agent that has expired is refused", "return isSigned && !hasExpired && !", "return isSigned && !"],
    [
      "an agent whose end is no time has expired",
      "!(agent.expiresAt > nowInSeconds())",
      "agent.expiresAt <= nowInSeconds()",
    ],
    ["the account header must be the agent's account", " && !isOtherAccount ? agent", " ? agent"],
    [
      "an empty account header is one as well",
      "signed.accountId !== undefined && signed.accountId !== agent.accountId",
      "Boolean(signed.accountId) && signed.accountId !== agent.accountId",
    ],
    [
      "an assertion is not signed for another task",
      "const message = assertionMessage(agentRuntimeId, taskId, timestamp);",
      'const message = assertionMessage(agentRuntimeId, "task-1", timestamp);',
    ],
    [
      "a task that is unknown or another agent's is refused",
      "task?.agentRuntimeId !== agentRuntimeId || ",
      "task === undefined || ",
      `${ASSERTIONS} > task_invalid`,
    ],
    [
      "a task that has expired is refused",
      " || !(task.expiresAt > nowInSeconds())",
      "",
      `${ASSERTIONS} > task_invalid`,
    ],
    [
      "a task ends on its time, not after it",
      "!(task.expiresAt > nowInSeconds())",
      "!(task.expiresAt >= nowInSeconds())",
      `${ASSERTIONS} > task_invalid`,
    ],
    [
      "a task whose end is no time has expired",
      "!(task.expiresAt > nowInSeconds())",
      "task.expiresAt <= nowInSeconds()",
      `${ASSERTIONS} > task_invalid`,
    ],
    [
      "an identity of an assertion is frozen",
      "return Object.freeze(identity);",
      "return identity;",
      `${ASSERTIONS} > an assertion becomes an identity`,
    ],
    [
      "who is refused as a signer has no identity",
      "const agent = await this.#findSigner(signed);\n    if (agent instanceof Refusal) return agent;",
      "const agent = (await this.#findSigner(signed)) as DirectoryAgent;",
    ],
    [
      "look-ups are bounded",
      "return await Promise.race([answer, timeout]);",
      "return await (void timeout, answer);",
      `${ASSERTIONS} > that hangs is a 503`,
    ],
    [
      "what a database says in its errors is not shown",
      "return unavailable(`${name} failed`);",
      "throw new Error(`${name} failed`);",
      `${ASSERTIONS} > that rejects is a 503`,
    ],
    [
      "a directory that fails accepts nobody",
      'const agent = await lookUp("findAgent", () => this.#directory.findAgent(signed.agentRuntimeId));\n    if (agent instanceof Refusal) return agent;',
      'const agent = await lookUp("findAgent", () => this.#directory.findAgent(signed.agentRuntimeId));\n    if (agent instanceof Refusal) return { chatgptAccountIsFedramp: false } as DirectoryAgent;',
      `${ASSERTIONS} > that fails is a 503`,
    ],
    [
      "a failing look-up of a task accepts nobody",
      "if (task instanceof Refusal) return task;",
      "if (task instanceof Refusal) return { agentRuntimeId } as AgentIdentity;",
      `${ASSERTIONS} > that fails at the task`,
    ],
    [
      "a good signature is remembered for its key only",
      "Buffer.concat([bytes, publicKey.bytes, message])",
      "Buffer.concat([bytes, message])",
      `${ASSERTIONS} > that has another key for the agent now`,
    ],
    [
      "a good signature is remembered for its message only",
      "Buffer.concat([bytes, publicKey.bytes, message])",
      "Buffer.concat([bytes, publicKey.bytes])",
      `${ASSERTIONS} > any one byte`,
    ],
    [
      "a good signature is remembered to the letter",
      "Buffer.concat([bytes, publicKey.bytes, message])",
      "Buffer.concat([publicKey.bytes, message])",
      `${ASSERTIONS} > any one byte`,
    ],
    [
      "only a good signature is remembered",
      "if (isSigned) this.#verdicts.set(verdict, true);",
      "this.#verdicts.set(verdict, true);",
    ],
    [
      "the public key of a directory is public",
      'publicKey.type === "public" && publicKey',
      "publicKey",
      `${ASSERTIONS} > that gives a private key`,
    ],
    [
      "the public key of a directory is of Ed25519",
      ' && publicKey.asymmetricKeyType === "ed25519"',
      "",
      `${ASSERTIONS} > that gives a key of another curve`,
    ],
    [
      "a public key that is none is no key",
      'if (typeof x !== "string") return undefined;',
      'if (typeof x !== "string") return DUMMY_KEY;',
      `${ASSERTIONS} > that gives no key`,
    ],
    [
      "a key of small order is no key",
      "publicKey === undefined || publicKey.isOfSmallOrder",
      "publicKey === undefined",
      "attacks/assertions.test.ts > a key of small order",
    ],
    [
      "a key that cannot be imported is no key",
      `    } catch {
      return undefined;
    }
    const imported`,
      `    } catch {
      return DUMMY_KEY;
    }
    const imported`,
      `${ASSERTIONS} > that gives a key that is none`,
    ],
    [
      "a key of small order is found whatever its sign",
      "(withoutSign[31] ?? 0) & 0x7f",
      "(withoutSign[31] ?? 0) & 0xff",
      "attacks/assertions.test.ts > a key of small order",
    ],
    [
      "a registration is of an id that is one",
      "if (!isAssertionId(agentRuntimeId) || issuedAt === undefined)",
      "if (issuedAt === undefined)",
      REGISTRATION,
    ],
    [
      "a registration has a timestamp that is one",
      "const issuedAt = parseTimestamp(timestamp);",
      'const issuedAt = parseTimestamp(timestamp) ?? parseTimestamp("2000-01-01T00:00:00Z");',
      REGISTRATION,
    ],
    [
      "the time of a registration is looked at",
      `if (!isWithinWindow(issuedAt)) return new Refusal("assertion_stale");
    const message = registrationMessage`,
      "const message = registrationMessage",
      REGISTRATION,
    ],
    [
      "a registration must be signed by its agent",
      "return agent instanceof Refusal ? agent : issuedAt;",
      "return agent instanceof Refusal && agent.code.length < 0 ? agent : issuedAt;",
      REGISTRATION,
    ],
  ]),
  ...decisionsOf(
    "verify/assertion-verifier.ts",
    "attacks/assertions.test.ts > a key of small order",
    SMALL_ORDER_POINTS.map((point) => [`a key of small order is found: ${point.slice(0, 8)}…`, `"${point}",`, ""]),
  ),
  {
    name: "the imported keys of agents are kept apart",
    edits: [
      { file: "verify/assertion-verifier.ts", find: "this.#keys.get(x)", replace: 'this.#keys.get("")' },
      {
        file: "verify/assertion-verifier.ts",
        find: "this.#keys.set(x, imported)",
        replace: 'this.#keys.set("", imported)',
      },
    ],
    noticedBy: `${INVALID} an agent that signs as another one`,
  },
  {
    name: "both look-ups are made each time",
    edits: [
      {
        file: "verify/assertion-verifier.ts",
        find: "  readonly #directory: AgentDirectory;",
        replace:
          "  readonly #directory: AgentDirectory;\n  readonly #agents = new Map<string, DirectoryAgent | Refusal | undefined>();",
      },
      {
        file: "verify/assertion-verifier.ts",
        find: 'const agent = await lookUp("findAgent", () => this.#directory.findAgent(signed.agentRuntimeId));',
        replace:
          'const agent = this.#agents.get(signed.agentRuntimeId) ?? (await lookUp("findAgent", () => this.#directory.findAgent(signed.agentRuntimeId)));\n' +
          "    this.#agents.set(signed.agentRuntimeId, agent);",
      },
    ],
    noticedBy: `${ASSERTIONS} > is asked both questions`,
  },
];
