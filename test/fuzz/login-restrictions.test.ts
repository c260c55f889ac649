/** Whatever a login restriction is, it is refused at once, or lets in exactly whom it names. */

import { existsSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { agentIdentityAuth, createJwksResolver, type LoginRestrictions } from "../../src/index.js";
import { enforceLoginRestrictions, LoginError, type AuthConfig } from "../../src/login.js";
import { mint, signingKey } from "../support/agents.js";
import { createCodexHome } from "../support/homes.js";
import { attempt } from "./attempt.js";
import { fuzz } from "./budget.js";
import { json, nextMonth, text, usually } from "./values.js";

const base = "https://gw.example";
const jwks = createJwksResolver(base, { keySet: { keys: [signingKey.jwk] } });

/** Of the accounts that sign in; the odd ones are for lists only. */
const ACCOUNTS = ["acct-1", "acct-2", "ACCT-1", "acct-1,acct-2", "acct 1", "é", "__proto__"];
const tokens = new Map(ACCOUNTS.map((account_id) => [account_id, mint({ account_id, exp: nextMonth })]));
const account = fc.constantFrom("acct-1", "acct-1", ...ACCOUNTS);

const workspace = usually(
  8,
  account,
  fc.constantFrom("", " ", "\t\n", "\u00a0", " acct-1 ", "acct-1\n", "acct", "*"),
  text,
);
const list = usually(20, fc.array(workspace, { maxLength: 4 }), fc.array(json, { maxLength: 3 }));
const method = usually(12, fc.constantFrom("chatgpt", "chatgpt", "api", undefined, undefined), text, json);

const restrictions = usually(
  30,
  fc.record(
    {
      forcedLoginMethod: method,
      forcedChatgptWorkspaceId: usually(10, fc.oneof(list, list, workspace), json, fc.constant(undefined)),
    },
    { requiredKeys: [] },
  ),
  fc.dictionary(text, json),
  json,
  fc.constant(undefined),
);

interface Restricted {
  readonly method: unknown;
  readonly workspaces: readonly string[] | undefined;
}

const NAMES = ["forcedLoginMethod", "forcedChatgptWorkspaceId"];

/** Nothing where it has to be a TypeError. */
function parse(restrictions: unknown): Restricted | undefined {
  if (restrictions === undefined) return { method: undefined, workspaces: undefined };
  if (restrictions === null || typeof restrictions !== "object" || Array.isArray(restrictions)) return undefined;
  if (!Object.keys(restrictions).every((name) => NAMES.includes(name))) return undefined;
  const { forcedLoginMethod: method, forcedChatgptWorkspaceId: given } = restrictions as Record<string, unknown>;
  if (![undefined, "chatgpt", "api"].includes(method as string)) return undefined;
  if (given === undefined) return { method, workspaces: undefined };
  if (typeof given === "string" && given.includes(",")) return undefined; // meant for a list
  const ids: unknown[] = Array.isArray(given) ? given : [given];
  if (!ids.every((each) => typeof each === "string")) return undefined;
  const workspaces = ids.map((each) => each.trim()).filter((each) => each !== "");
  return workspaces.length > 0 ? { method, workspaces } : undefined;
}

test("restrictTo lets in whom it names, and never everyone", async () => {
  const agents = agentIdentityAuth(base, { jwks });
  const shares = { TypeError: 0.1, allowed: 0.1, login_method_not_allowed: 0.05, workspace_not_allowed: 0.1 };
  await fuzz({ runs: 400, shares }, fc.record({ restrictions, account }), async ({ restrictions, account }) => {
    const { method, workspaces } = parse(restrictions) ?? {};
    const handler = attempt(() => agents.restrictTo(restrictions as LoginRestrictions));
    const isUnset = Object.hasOwn(Object(restrictions) as object, "forcedChatgptWorkspaceId");
    if (workspaces === undefined && (method !== "api" || isUnset)) {
      expect(handler).toBeInstanceOf(TypeError);
      return "TypeError";
    }
    if (handler instanceof Error) throw handler;
    const req = { headers: { authorization: `Bearer ${tokens.get(account) ?? ""}` } };
    const error = await new Promise<unknown>((resolve) => {
      handler(req as never, {} as never, resolve);
    });
    const isElsewhere = workspaces?.includes(account) === false;
    const code = method === "api" ? "login_method_not_allowed" : isElsewhere ? "workspace_not_allowed" : undefined;
    if (code === undefined) expect(error).toBeUndefined();
    else expect(error).toMatchObject({ code, status: 403 });
    return code ?? "allowed";
  });
});

test("at start-up, whoever may not be signed in is signed out, in Codex's words", async () => {
  const { codexHome, authFile } = createCodexHome();
  const cases = fc.record({ restrictions, account: fc.option(account, { nil: "API key", freq: 4 }) });
  const shares = { TypeError: 0.1, allowed: 0.1, login_method_not_allowed: 0.05, workspace_not_allowed: 0.1 };
  await fuzz({ runs: 200, shares }, cases, async ({ restrictions, account }) => {
    const token = tokens.get(account);
    const content =
      token === undefined ? { OPENAI_API_KEY: "sk-x" } : { auth_mode: "agentIdentity", agent_identity: token };
    writeFileSync(authFile, JSON.stringify(content));
    const config = { chatgptBaseUrl: base, codexHome, env: {}, jwks, ...Object(restrictions) } as AuthConfig;
    const error: unknown = await enforceLoginRestrictions(config).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    // Spread into the configuration, they are always an object.
    const parsed = parse({ ...Object(restrictions) });
    if (parsed === undefined) {
      expect(error).toBeInstanceOf(TypeError);
      expect(existsSync(authFile)).toBe(true);
      return "TypeError";
    }
    const { method, workspaces } = parsed;
    const message =
      token === undefined
        ? method === "chatgpt" && "ChatGPT login is required, but an API key is currently being used."
        : method === "api"
          ? "API key login is required, but ChatGPT is currently being used."
          : workspaces?.includes(account) === false &&
            `Login is restricted to workspace(s) ${workspaces.join(", ")}, but current credentials belong to ${account}.`;
    expect(existsSync(authFile)).toBe(message === false);
    if (message === false) {
      expect(error).toBeUndefined();
      return "allowed";
    }
    expect(error).toBeInstanceOf(LoginError);
    const { message: told, code } = error as LoginError;
    expect(told).toBe(`${message} Logging out.`);
    expect(code).toBe(message.startsWith("Login is") ? "workspace_not_allowed" : "login_method_not_allowed");
    return code;
  });
});
