/**
 * The reference pages of `docs/`, from the comments and tables of the source. `test/reference.test.ts` compares them with the
 * files, and `npm run docs:reference` writes them.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { USAGE } from "../src/cli/arguments.js";
import { answerOf, Refusal, toVerifierError, type AgentIdentityErrorCode } from "../src/verify/outcome/errors.js";
import { headingAnchor } from "./heading-anchor.js";

/** The headings of the page, each with the interface whose members are the options. */
const OPTIONS: Readonly<Record<string, string>> = {
  agentIdentityAuth: "AgentIdentityAuthOptions",
  createVerifier: "VerifierOptions",
  "The option jwks, and createJwksResolver": "JwksOptions",
  restrictTo: "LoginRestrictions",
  agentIdentityErrorHandler: "ErrorHandlerOptions",
  "agentIdentityAuth of /fastify": "AgentIdentityPluginOptions",
  "agentIdentityAuth of /mcp": "McpAuthOptions",
  startTelemetry: "TelemetryOptions",
  "The functions of /login": "AuthConfig",
  registerTask: "RegisterTaskOptions",
  createIssuer: "IssuerOptions",
  "issuer.mint": "MintClaims",
  "issuer.router": "RouterOptions",
  "mint of createTestIssuer": "TestClaims",
};

const SOURCE = join(import.meta.dirname, "../src");
const NOTE = "<!-- Made from the source by `npm run docs:reference`: change the comments there. -->";
const NO_PRETTIER = "<!-- prettier-ignore -->";

const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => {
    const text = readFileSync(join(SOURCE, name), "utf8");
    return ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  });

const printer = ts.createPrinter({ removeComments: true });

/** @returns the page of each file in `docs/` */
export const referencePages = (): Record<string, string> => ({
  "options.md": optionsPage(),
  "errors.md": errorsPage(),
  "identity.md": identityPage(),
  "command.md": commandPage(),
});

function optionsPage(): string {
  const intro =
    "An option that is `undefined` counts as left out. An unknown name or a wrong value is a `TypeError` that names the fix.";
  return page("Options", intro, ...Object.entries(OPTIONS).map(([heading, name]) => optionsSection(heading, name)));
}

function optionsSection(heading: string, name: string): string {
  const declaration = interfaceOf(name);
  const bases = (declaration.heritageClauses ?? []).flatMap(({ types }) => types.map(baseOf));
  const inherited = bases.filter((base) => headingOf(base.name) === undefined);
  const members = [declaration, ...inherited.map((base) => interfaceOf(base.name))].flatMap(({ members }) => [
    ...members,
  ]);
  const rows = members.flatMap((member) => optionRows(member, name));
  const others = bases.map(({ name, except }) => {
    const heading = headingOf(name);
    return heading === undefined
      ? ""
      : ` It also takes the options of [${heading}](#${headingAnchor(heading)})${except}.`;
  });
  const text = `\`${name}\`: ${commentOf(declaration)}${others.join("")}`;
  return section(2, heading, text, table(["option and type", "default", "meaning"], rows));
}

const headingOf = (name: string): string | undefined =>
  Object.entries(OPTIONS).find(([, listed]) => listed === name)?.[0];

/** A base is an interface, or `Omit` of one. */
function baseOf({ expression, typeArguments = ts.factory.createNodeArray() }: ts.ExpressionWithTypeArguments) {
  const name = expression.getText();
  if (name !== "Omit") return { name, except: "" };
  const names = (typeArguments[1]?.getText() ?? "").replaceAll('"', "`").replaceAll(" | ", ", ");
  return { name: typeArguments[0]?.getText() ?? "", except: `, without ${names}` };
}

/** The row of an option, and one for each documented member of its object. */
function optionRows(member: ts.TypeElement, path: string): string[][] {
  if (!ts.isPropertySignature(member) || member.type === undefined) throw new Error(`${path}: not a property`);
  const name = member.name.getText();
  const { text, byDefault } = splitDefault(commentOf(member));
  const optional = member.questionToken !== undefined;
  if (text === "" || (optional && byDefault === undefined)) throw new Error(`${path}.${name}: no text, or no default`);
  const types = ts.isUnionTypeNode(member.type) ? member.type.types : [member.type];
  const inside = types.flatMap((type) => (ts.isTypeLiteralNode(type) ? [...type.members] : []));
  return [
    [`\`${name}\`<br>\`${typeText(member.type)}\``, optional ? (byDefault ?? "") : "required", text],
    ...inside
      .flatMap((inner) => optionRows(inner, name))
      .map(([cell = "", ...rest]) => [`\`${name}.${cell.slice(1)}`, ...rest]),
  ];
}

/** Takes the sentence that begins with `Default` out of a comment. */
function splitDefault(comment: string): { text: string; byDefault?: string | undefined } {
  const sentence = /(?:^|(?<=\.\**) )Default:? (.*?)\.(?= [A-Z`]|$)/;
  return { text: comment.replace(sentence, "").trim(), byDefault: sentence.exec(comment)?.[1] };
}

function typeText(type: ts.TypeNode): string {
  return printer
    .printNode(ts.EmitHint.Unspecified, type, type.getSourceFile())
    .replace(/\breadonly | \| undefined\b/g, "")
    .replace(/\s+/g, " ")
    .replace(/; }/g, " }")
    .replace(/^\((.*)\)$/, "$1");
}

function errorsPage(): string {
  const codes = errorTable();
  const rows = codes.map(({ code, status, todo }) => [`[\`${code}\`](#${code})`, String(status), todo]);
  const intro =
    "Every refusal is an `AgentIdentityError` with `status`, `code`, `headers`, and a fixed `message` that is safe to show. " +
    "`isAgentIdentityError(error)` recognises it. For some codes, `cause` is an `Error` with fields for your log: " +
    "[Why was it refused?](why-refused.md) has them, and says more about each code.";
  return page(
    "Errors",
    intro,
    table(["code", "status", "what to do"], rows),
    section(
      2,
      "Answers",
      "These are the answers of `agentIdentityErrorHandler`, with the default `realm`. The option `resourceMetadata` adds a " +
        "parameter to each challenge. A 503 also has `Retry-After`. For `task_invalid`, the body has Codex's own code, " +
        "`invalid_task_id`, which tells some clients to register again.",
      ...codes.map(({ code, answer }) => section(3, code, `\`\`\`http\n${answer}\n\`\`\``)),
    ),
  );
}

/** The codes in the order of the source, each with its comment there and its answer. */
function errorTable() {
  const table = files.flatMap(({ statements }) => [...statements]).find(declares("FAILURES"));
  if (table === undefined) throw new Error("no FAILURES");
  const codes: { code: string; status: number; todo: string; answer: string }[] = [];
  const visit = (node: ts.Node): void => {
    if (!ts.isPropertyAssignment(node)) {
      ts.forEachChild(node, visit);
      return;
    }
    const code = node.name.getText();
    const { status, headers, body } = answerOf(toVerifierError(new Refusal(code as AgentIdentityErrorCode)));
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
    codes.push({ code, status, todo: commentOf(node), answer: [`HTTP/1.1 ${status}`, ...lines, "", body].join("\n") });
  };
  visit(table);
  return codes;
}

const declares = (name: string) => (statement: ts.Statement) =>
  ts.isVariableStatement(statement) && statement.declarationList.declarations[0]?.name.getText() === name;

function identityPage(): string {
  const declaration = interfaceOf("AgentIdentity");
  const rows = declaration.members.filter(ts.isPropertySignature).map((member) => {
    const optional = member.questionToken === undefined ? "" : "?";
    return [`\`${member.name.getText()}${optional}\``, `\`${member.type?.getText() ?? ""}\``, commentOf(member)];
  });
  return page("The identity", commentOf(declaration), table(["member", "type", "meaning"], rows));
}

function commandPage(): string {
  return page("The command", `\`npx agent-identity-auth --help\` prints this:\n\n\`\`\`text\n${USAGE.trim()}\n\`\`\``);
}

function interfaceOf(name: string): ts.InterfaceDeclaration {
  const found = files
    .flatMap(({ statements }) => statements.filter(ts.isInterfaceDeclaration))
    .find((declaration) => declaration.name.text === name);
  if (found === undefined) throw new Error(`no interface ${name}`);
  return found;
}

/** The text of the doc comment in one line, without its tags. */
function commentOf(node: ts.Node): string {
  const [comment] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  return (ts.getTextOfJSDocComment(comment?.comment) ?? "").replace(/\{@link (\w+)\}/g, "`$1`").replace(/\s+/g, " ");
}

const page = (title: string, ...parts: string[]): string => `${section(1, title, NOTE, ...parts)}\n`;

const section = (level: number, heading: string, ...parts: string[]): string =>
  [`${"#".repeat(level)} ${heading}`, ...parts].join("\n\n");

function table(heads: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [NO_PRETTIER, line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}
