/** Whatever a login restriction is, and whatever stands in `auth.json`: refused by name, or as it says; never overwritten then. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { agentIdentityAuth, createJwksResolver, createVerifier, type LoginRestrictions } from "../../src/index.js";
import {
  enforceLoginRestrictions,
  loadAuth,
  LoginError,
  loginStatus,
  loginWithAccessToken,
  loginWithApiKey,
  logout,
  type AuthConfig,
} from "../../src/login.js";
import { mint, now, signingKey } from "../support/agents.js";
import { createCodexHome } from "../support/homes.js";
import { expectNothingOf, expectRefusal, sentWith } from "../support/refusals.js";
import { attempt, fuzz, settled } from "./budget.js";
import { bytesOfText, json, mutated, nextMonth, oneOf, text, usually } from "./values.js";

const base = "https://gw.example";
const jwks = createJwksResolver(base, { keySet: { keys: [signingKey.jwk] } });

const ACCOUNTS = ["acct-1", "acct-2", "ACCT-1", "acct-1,acct-2", "acct 1", "é", "__proto__"];
const tokens = new Map(ACCOUNTS.map((account_id) => [account_id, mint({ account_id, exp: nextMonth })]));
const account = oneOf("acct-1", "acct-1", ...ACCOUNTS);
const workspace = usually(8, account, oneOf("", " ", "\t\n", "\u00a0", " acct-1 ", "acct-1\n", "acct", "*"), text);
const list = usually(20, fc.array(workspace, { maxLength: 4 }), fc.array(json, { maxLength: 3 }));
const restrictions = usually(
  30,
  fc.record(
    {
      forcedLoginMethod: usually(12, fc.constantFrom("chatgpt", "chatgpt", "api", undefined, undefined), text, json),
      forcedChatgptWorkspaceId: usually(10, fc.oneof(list, list, workspace), json, fc.constant(undefined)),
    },
    { requiredKeys: [] },
  ),
  fc.dictionary(text, json),
  json,
);

/** Whether the restrictions say so, in words, that this account may come in. */
function names(restrictions: unknown, account: string): boolean {
  const { forcedLoginMethod: method, forcedChatgptWorkspaceId: ids } = restrictions as LoginRestrictions;
  return method !== "api" && [ids].flat().some((id) => id?.trim() === account);
}

test("restrictTo lets in whom it names, and never everyone", async () => {
  const agents = agentIdentityAuth(base, { jwks });
  const endings = { TypeError: 0.1, allowed: 0.1, login_method_not_allowed: 0.05, workspace_not_allowed: 0.1 };
  await fuzz(400, endings, fc.record({ restrictions, account }), async ({ restrictions, account }) => {
    const handler = attempt(() => agents.restrictTo(restrictions as LoginRestrictions));
    if (handler instanceof Error) {
      expect(handler).toBeInstanceOf(TypeError);
      return "TypeError";
    }
    const req = { headers: { authorization: `Bearer ${tokens.get(account) ?? ""}` } };
    const outcome = await settled(handler.authenticate(req));
    expect(outcome instanceof Error).toBe(!names(restrictions, account));
    return outcome instanceof Error ? expectRefusal(outcome, { texts: [] }) : "allowed";
  });
});

test("at start-up, credentials that violate a restriction are signed out", async () => {
  const { codexHome, authFile } = createCodexHome();
  const cases = fc.record({ restrictions, account: fc.option(account, { nil: undefined, freq: 4 }) });
  const endings = { TypeError: 0.1, allowed: 0.1, login_method_not_allowed: 0.05, workspace_not_allowed: 0.1 };
  await fuzz(150, endings, cases, async ({ restrictions, account }) => {
    const token = tokens.get(account ?? "");
    const content = token ? { auth_mode: "agentIdentity", agent_identity: token } : { OPENAI_API_KEY: "sk-x" };
    writeFileSync(authFile, JSON.stringify(content));
    const given = Object(restrictions) as LoginRestrictions;
    const config = { chatgptBaseUrl: base, codexHome, env: {}, jwks, ...given } as AuthConfig;
    const outcome = await settled(enforceLoginRestrictions(config));
    if (outcome instanceof TypeError) {
      expect(existsSync(authFile)).toBe(true);
      return "TypeError";
    }
    const isSignedOut = outcome instanceof LoginError;
    expect([outcome === undefined, existsSync(authFile)]).toEqual([!isSignedOut, !isSignedOut]);
    const { forcedLoginMethod: method, forcedChatgptWorkspaceId: ids } = given;
    const mayStay =
      account === undefined ? method !== "chatgpt" : method !== "api" && (ids === undefined || names(given, account));
    expect(isSignedOut).toBe(!mayStay);
    if (!isSignedOut) return "allowed";
    expect(outcome.message).toMatch(/ Logging out\.$/);
    return outcome.code;
  });
});

const good = mint({ exp: nextMonth });
const apiKey = usually(
  2,
  oneOf("sk-0123456789abcdefghijklmnopqrstuvwxyz", " sk-with-space-around-it-0123456789\n", ""),
  text,
);
const token = fc.oneof(
  { weight: 6, arbitrary: oneOf(good) },
  { weight: 2, arbitrary: mutated(oneOf(good, mint({ exp: now() - 3_600 }))) },
  { weight: 1, arbitrary: usually(1, text, oneOf("", "at-0123456789abcdefghijklmnopqrstuvwxyz", ` ${good}\n`)) },
);
const nothing = fc.constantFrom(null, undefined);
/** Members that are `undefined` are left out. */
const whole = fc
  .record({
    auth_mode: usually(
      20,
      fc.constantFrom("agentIdentity", "agentIdentity", "apikey", "chatgpt", null, undefined),
      json,
    ),
    OPENAI_API_KEY: usually(20, usually(1, apiKey, nothing), json),
    agent_identity: usually(20, usually(4, token, nothing), json),
    tokens: usually(4, nothing, json),
  })
  .map((members) => JSON.stringify(members, null, 2));
const bytes = fc.uint8Array({ maxLength: 100 });
const file = usually(
  12,
  whole.map(bytesOfText),
  bytes.map(bytesOfText),
  fc.oneof(json, fc.dictionary(text, json)).map((value) => bytesOfText(JSON.stringify(value))),
  fc.tuple(whole, fc.nat()).map(([all, at]) => bytesOfText(all.slice(0, at % all.length))),
  fc.tuple(whole, bytes).map(([all, more]) => bytesOfText(Buffer.concat([Buffer.from(all), more]))),
  whole.map((all) => bytesOfText(`\ufeff${all}`)),
);

const verifier = createVerifier(base, { jwks });
/** @returns the code of an error that has nothing of the file or of what was given in it */
function codeOf(error: unknown, ...texts: string[]): string {
  const sent = { texts: texts.flatMap((each) => sentWith(each).texts) };
  if (!(error instanceof LoginError)) return expectRefusal(error, { ...sent, kid: texts.join() });
  expect(error.code).toBeOneOf(["auth_file_invalid", "credentials_unsupported", "credentials_empty"]);
  expectNothingOf(sent, error);
  return error.code;
}

test("auth.json holds credentials that are good, or the error names it, and it is not overwritten then", async () => {
  const { codexHome, authFile } = createCodexHome();
  const config: AuthConfig = { chatgptBaseUrl: base, codexHome, env: {}, jwks };
  const endings = { agentIdentity: 0.1, apikey: 0.1, auth_file_invalid: 0.1, credentials_unsupported: 0.05 };
  await fuzz(100, endings, fc.record({ file, key: apiKey, token }), async ({ file, key, token }) => {
    writeFileSync(authFile, file);
    const [loaded, status] = [await settled(loadAuth(config)), await settled(loginStatus(config))];
    let ending: string;
    if (loaded instanceof Error) {
      ending = codeOf(loaded, file.toString());
      expect(codeOf(status, file.toString())).toBe(ending);
      if (ending === "auth_file_invalid") expect(loaded.message).toContain(authFile);
    } else {
      const content = JSON.parse(file.toString()) as { OPENAI_API_KEY?: string; agent_identity?: string };
      const { mode, apiKey, identity } = loaded as { mode: string; apiKey?: string; identity?: object };
      expect(status).toMatchObject({ mode });
      if (mode === "apikey") expect(apiKey).toBe(content.OPENAI_API_KEY);
      else expect(identity).toEqual(await verifier.verify(content.agent_identity ?? ""));
      const secret = (mode === "apikey" ? content.OPENAI_API_KEY : content.agent_identity) ?? "";
      if (secret.length > 20)
        expect(inspect([loaded, status]) + JSON.stringify([loaded, status])).not.toContain(secret);
      ending = mode;
    }

    const isGood = !((await settled(verifier.verify(token.trim()))) instanceof Error);
    for (const [secret, login, mayBe] of [
      [key, loginWithApiKey, key.trim() !== ""],
      [token, loginWithAccessToken, isGood],
    ] as const) {
      writeFileSync(authFile, file);
      const outcome = await settled(login(config, secret));
      if (outcome instanceof Error) {
        const code = codeOf(outcome, secret, file.toString());
        // What is given is looked at first, and then the file.
        if (mayBe) expect(code).toBe("auth_file_invalid");
        expect(readFileSync(authFile).equals(file)).toBe(true);
      } else {
        expect(mayBe).toBe(true);
        expect(Object.values(JSON.parse(readFileSync(authFile, "utf8")) as object)).toContain(secret.trim());
      }
    }

    writeFileSync(authFile, file);
    expect(await logout(config)).toBe(true);
    expect(existsSync(authFile)).toBe(false);
    expect(await loadAuth(config)).toBeUndefined();
    return ending;
  });
});
