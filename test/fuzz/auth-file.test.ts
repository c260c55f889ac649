/** Whatever stands in `auth.json`, the login side understands it, or refuses it by name and leaves it alone. */

import { createPublicKey } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import fc, { type Arbitrary } from "fast-check";
import { expect, test } from "vitest";
import {
  loadAuth,
  LoginError,
  loginStatus,
  loginWithAccessToken,
  loginWithApiKey,
  logout,
  type AuthConfig,
} from "../../src/login.js";
import { createJwksResolver } from "../../src/index.js";
import { mint, now, signingKey } from "../support/agents.js";
import { createCodexHome } from "../support/homes.js";
import { fuzz } from "./budget.js";
import { expectNothingOf, expectRefusal } from "./refusal.js";
import { mutated } from "./token-mutations.js";
import { identityOf, judgeToken, sentWith } from "./token-oracle.js";
import { bytesOfText, json, nextMonth, text, usually } from "./values.js";

const keys = [{ kid: signingKey.kid, publicKey: createPublicKey(signingKey.privateKey), usable: true }];
const good = mint({ exp: nextMonth });
const expired = mint({ exp: now() - 3_600 });

const apiKey = fc.oneof(
  fc.constantFrom("sk-0123456789abcdefghijklmnopqrstuvwxyz", " sk-with-space-around-it-0123456789\n", ""),
  text,
);
const token = fc.oneof(
  { weight: 6, arbitrary: fc.constant(good) },
  { weight: 2, arbitrary: mutated(fc.constantFrom(good, expired)) },
  {
    weight: 1,
    arbitrary: fc.oneof(text, fc.constantFrom("", "at-0123456789abcdefghijklmnopqrstuvwxyz", ` ${good}\n`)),
  },
);
const nothing = fc.constantFrom(null, undefined);
const mode = fc.constantFrom("agentIdentity", "agentIdentity", "agentIdentity", "apikey", "chatgpt", null, undefined);

/** Members that are `undefined` are left out. */
const content = fc.record({
  auth_mode: usually(20, mode, json),
  OPENAI_API_KEY: usually(20, fc.oneof(apiKey, nothing), json),
  agent_identity: usually(20, usually(4, token, nothing), json),
  tokens: usually(4, nothing, json),
  last_refresh: usually(4, nothing, json),
});

const bytes = fc.uint8Array({ maxLength: 100 }).map((each) => Buffer.from(each));
const whole = content.map((members) => Buffer.from(JSON.stringify(members, null, 2)));
const file: Arbitrary<Buffer> = fc
  .oneof(
    { weight: 25, arbitrary: whole },
    { weight: 1, arbitrary: bytes },
    {
      weight: 1,
      arbitrary: fc.oneof(json, fc.dictionary(text, json)).map((value) => Buffer.from(JSON.stringify(value))),
    },
    { weight: 1, arbitrary: fc.tuple(whole, fc.nat()).map(([all, at]) => all.subarray(0, at % all.length)) },
    { weight: 1, arbitrary: fc.tuple(whole, bytes).map((both) => Buffer.concat(both)) },
    { weight: 1, arbitrary: whole.map((all) => Buffer.concat([Buffer.from("\ufeff"), all])) },
  )
  .map(bytesOfText);

type Content = Record<string, unknown>;

/** The members of a file that Codex could have written. */
function membersOf(bytes: Buffer): Content | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
  const content = value as Content;
  const names = Object.keys(content);
  const known = ["auth_mode", "OPENAI_API_KEY", "agent_identity", "tokens"].filter((name) => names.includes(name));
  if (known.length === 0 && names.length > 0) return undefined;
  const isTextOrNothing = (member: unknown) => member === undefined || member === null || typeof member === "string";
  const { auth_mode: mode, OPENAI_API_KEY: key, agent_identity: identity } = content;
  const isReadable = isTextOrNothing(mode) && isTextOrNothing(key);
  return isReadable && (typeof identity === "object" || isTextOrNothing(identity)) ? content : undefined;
}

interface Expected {
  /** `apikey`, `accepted` for a token, or the code of the error. */
  readonly ending: string;
  /** What one is signed in with. */
  readonly secret?: string;
  /** Not to be overwritten by signing in. */
  readonly corrupt?: true;
}

function judge(bytes: Buffer): Expected {
  const content = membersOf(bytes);
  if (content === undefined) return { ending: "auth_file_invalid", corrupt: true };
  const { auth_mode: mode, OPENAI_API_KEY: key, agent_identity: token } = content;
  const hasKey = typeof key === "string";
  if (mode === "apikey" || ((mode === null || mode === undefined) && hasKey)) {
    return hasKey ? { ending: "apikey", secret: key } : { ending: "auth_file_invalid" };
  }
  if (mode !== "agentIdentity") return { ending: "credentials_unsupported" };
  if (typeof token !== "string") return { ending: "auth_file_invalid" };
  return { ending: judgeCredentials(token), secret: token };
}

const judgeCredentials = (token: string): string =>
  token.startsWith("at-") ? "credentials_unsupported" : judgeToken(token, keys, now());

const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

const CODES = ["auth_file_invalid", "credentials_unsupported", "credentials_empty"];

/** @returns the code */
function expectError(error: unknown, secret: string | undefined, everything: string): string {
  const sent = { ...sentWith(secret), texts: [everything, ...sentWith(secret).texts] };
  if (!(error instanceof LoginError)) return expectRefusal(error, sent);
  expect(CODES).toContain(error.code);
  expectNothingOf(sent, error);
  return error.code;
}

test("auth.json is one of Codex's, or an error that names it, and never overwritten then", async () => {
  const { codexHome, authFile } = createCodexHome();
  const jwks = createJwksResolver("https://gw.example", { keySet: { keys: [signingKey.jwk] } });
  const config: AuthConfig = { chatgptBaseUrl: "https://gw.example", codexHome, env: {}, jwks };
  const shares = {
    accepted: 0.1,
    apikey: 0.1,
    auth_file_invalid: 0.1,
    credentials_unsupported: 0.1,
    token_malformed: 0.01,
  };
  const cases = fc.record({ file, key: apiKey, token });
  await fuzz({ runs: 100, shares }, cases, async ({ file, key, token }) => {
    writeFileSync(authFile, file);
    const { ending, secret, corrupt } = judge(file);
    for (const outcome of [await settled(loadAuth(config)), await settled(loginStatus(config))]) {
      if (ending === "apikey") expect(outcome).toMatchObject({ mode: "apikey" });
      else if (ending === "accepted")
        expect(outcome).toMatchObject({ mode: "agentIdentity", identity: identityOf(secret ?? "") });
      else expect(expectError(outcome, secret, file.toString())).toBe(ending);
      if (ending === "auth_file_invalid") expect((outcome as Error).message).toContain(authFile);
      if (secret !== undefined && secret.length > 20) {
        expect(inspect(outcome) + JSON.stringify(outcome)).not.toContain(secret);
      }
    }
    if (ending === "apikey") expect(await loadAuth(config)).toHaveProperty("apiKey", secret);

    for (const [secret, login, expected] of [
      [key, loginWithApiKey, "signed in"],
      [token, loginWithAccessToken, judgeCredentials(token.trim())],
    ] as const) {
      writeFileSync(authFile, file);
      const outcome = await settled(login(config, secret));
      if (outcome instanceof Error) {
        // What is given is looked at first, and then the file.
        const code = expectError(outcome, secret, file.toString());
        const isRefused = expected !== "signed in" && expected !== "accepted";
        if (secret.trim() === "") expect(code).toBe("credentials_empty");
        else if (isRefused) expect(code).toBe(expected);
        else expect([code, corrupt]).toEqual(["auth_file_invalid", true]);
        expect(readFileSync(authFile).equals(file)).toBe(true);
      } else {
        expect(corrupt).toBeUndefined();
        expect(expected).toBeOneOf(["signed in", "accepted"]);
        expect(Object.values(JSON.parse(readFileSync(authFile, "utf8")) as Content)).toContain(secret.trim());
      }
    }

    writeFileSync(authFile, file);
    expect(await logout(config)).toBe(true);
    expect(existsSync(authFile)).toBe(false);
    expect(await loadAuth(config)).toBeUndefined();
    return ending;
  });
});
