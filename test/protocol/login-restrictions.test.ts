import { describe, expect, test } from "vitest";
import {
  findLoginViolation,
  parseLoginRestrictions,
  type LoginRestrictions,
  type SignedInAs,
} from "../../src/protocol/login-restrictions.js";

const agent: SignedInAs = { mode: "agentIdentity", accountId: "acct-1" };
const withoutAccount: SignedInAs = { mode: "agentIdentity", accountId: undefined };
const apiKey: SignedInAs = { mode: "apikey", accountId: undefined };

function check(restrictions: LoginRestrictions, signedIn: SignedInAs) {
  return findLoginViolation(parseLoginRestrictions("test", restrictions), signedIn);
}

describe("allowed", () => {
  test.each<[string, SignedInAs, LoginRestrictions]>([
    ["an agent identity where nothing is restricted", agent, {}],
    ["an agent identity where ChatGPT is forced", agent, { forcedLoginMethod: "chatgpt" }],
    ["an agent identity of the workspace", agent, { forcedChatgptWorkspaceId: "acct-1" }],
    ["an agent identity of one of the workspaces", agent, { forcedChatgptWorkspaceId: ["x", "acct-1"] }],
    ["a list with blank entries", agent, { forcedChatgptWorkspaceId: ["", "acct-1", " "] }],
    ["white space around an id", agent, { forcedChatgptWorkspaceId: ["x", " acct-1 "] }],
    ["both restrictions met", agent, { forcedLoginMethod: "chatgpt", forcedChatgptWorkspaceId: "acct-1" }],
    ["an API key where API keys are forced", apiKey, { forcedLoginMethod: "api" }],
    ["an API key beside a workspace restriction", apiKey, { forcedChatgptWorkspaceId: ["x"] }],
    ["an API key with both", apiKey, { forcedLoginMethod: "api", forcedChatgptWorkspaceId: "x" }],
    ["explicit undefined", agent, { forcedLoginMethod: undefined, forcedChatgptWorkspaceId: undefined }],
  ])("%s", (_, signedIn, restrictions) => {
    expect(check(restrictions, signedIn)).toBeUndefined();
  });
});

describe("not allowed, in Codex's words", () => {
  test.each<[SignedInAs, LoginRestrictions, string, string]>([
    [
      agent,
      { forcedLoginMethod: "api" },
      "login_method_not_allowed",
      "API key login is required, but ChatGPT is currently being used.",
    ],
    [
      apiKey,
      { forcedLoginMethod: "chatgpt" },
      "login_method_not_allowed",
      "ChatGPT login is required, but an API key is currently being used.",
    ],
    [
      agent,
      { forcedChatgptWorkspaceId: ["x", "y"] },
      "workspace_not_allowed",
      "Login is restricted to workspace(s) x, y, but current credentials belong to acct-1.",
    ],
    [
      agent,
      { forcedChatgptWorkspaceId: "ACCT-1" },
      "workspace_not_allowed",
      "Login is restricted to workspace(s) ACCT-1, but current credentials belong to acct-1.",
    ],
    ...["acct", "acct-12"].map((id): [SignedInAs, LoginRestrictions, string, string] => [
      agent,
      { forcedChatgptWorkspaceId: id },
      "workspace_not_allowed",
      `Login is restricted to workspace(s) ${id}, but current credentials belong to acct-1.`,
    ]),
    [
      { ...agent, accountId: "" },
      { forcedChatgptWorkspaceId: ["", "x"] },
      "workspace_not_allowed",
      "Login is restricted to workspace(s) x, but current credentials belong to .",
    ],
    [
      withoutAccount,
      { forcedChatgptWorkspaceId: ["x"] },
      "workspace_not_allowed",
      "Login is restricted to workspace(s) x, but current credentials lack a workspace identifier.",
    ],
    [
      agent,
      { forcedLoginMethod: "api", forcedChatgptWorkspaceId: "x" },
      "login_method_not_allowed",
      "API key login is required, but ChatGPT is currently being used.",
    ],
  ])("%j %j", (signedIn, restrictions, code, message) => {
    expect(check(restrictions, signedIn)).toEqual({ code, message });
  });
});

describe("what could silently mean everyone is a TypeError", () => {
  test.each([
    [{ forcedLoginMethod: "apikey" }, /forcedLoginMethod must be "chatgpt" or "api"/],
    [{ forcedLoginMethod: "" }, /forcedLoginMethod/],
    [{ forcedLoginMethod: null }, /forcedLoginMethod/],
    [{ forcedChatgptWorkspaceId: "" }, /forcedChatgptWorkspaceId/],
    [{ forcedChatgptWorkspaceId: "  " }, /forcedChatgptWorkspaceId/],
    [{ forcedChatgptWorkspaceId: [] }, /forcedChatgptWorkspaceId/],
    [{ forcedChatgptWorkspaceId: ["", " "] }, /forcedChatgptWorkspaceId/],
    [{ forcedChatgptWorkspaceId: [undefined] }, /forcedChatgptWorkspaceId/],
    [{ forcedChatgptWorkspaceId: ["acct-1", 7] }, /forcedChatgptWorkspaceId/],
    [{ forcedChatgptWorkspaceId: null }, /forcedChatgptWorkspaceId/],
    [{ forcedChatgptWorkspaceId: {} }, /forcedChatgptWorkspaceId/],
    [{ forcedChatgptWorkspaceId: "x,acct-1" }, /forcedChatgptWorkspaceId/],
    [{ workspace: "acct-1" }, /there is no option "workspace"; the options are forcedLoginMethod, forced/],
    [null, /must be an object/],
    ["acct-1", /must be an object/],
    [["acct-1"], /must be an object/],
  ])("%j", (restrictions, message) => {
    const parse = () => parseLoginRestrictions("restrictTo", restrictions as LoginRestrictions);
    expect(parse).toThrow(TypeError);
    expect(parse).toThrow(message);
  });
});
