/** `verify --explain`: each check of a token in the order in which the verifier makes them. The verdict is the verifier's own. */

import type { AgentIdentity } from "../protocol/agent-identity.js";
import {
  CODEX_AUDIENCE,
  CODEX_ISSUER,
  findClaimFailure,
  hasExpired,
  isInFuture,
  malformedClaims,
  type AgentIdentityClaims,
  type ClaimExpectations,
} from "../protocol/claims.js";
import { decodeBase64urlJsonObject, type JsonObject } from "../protocol/encoding.js";
import { logText } from "../protocol/log-text.js";
import { findLoginViolation } from "../protocol/login-restrictions.js";
import { nowInSeconds } from "../runtime/clock.js";
import { selectResolver } from "../verify/keys/jwks-registry.js";
import type { InternalJwksResolver } from "../verify/keys/jwks-resolver.js";
import { SILENT_ASKER } from "../verify/keys/key-asker.js";
import { isAgentIdentityError, Refusal, type AgentIdentityErrorCode } from "../verify/outcome/errors.js";
import { createVerifier } from "../verify/tokens/create-verifier.js";
import {
  decodeShape,
  hasExtensions,
  isKid,
  MAX_KID_LENGTH,
  MAX_TOKEN_LENGTH,
} from "../verify/tokens/unverified-token.js";

export interface Check {
  name: string;
  /** `null`: not checked, because an earlier check failed. */
  ok: boolean | null;
  found: string;
  wanted: string;
}

export interface Verdict {
  accepted: boolean;
  code?: AgentIdentityErrorCode;
}

export interface Explanation {
  checks: Check[];
  verdict: Verdict;
}

/** As the verifier has them without options. */
const EXPECTED: ClaimExpectations = {
  issuer: CODEX_ISSUER,
  audience: CODEX_AUDIENCE,
  clockTolerance: 60,
  maxTokenAge: undefined,
};

/** @throws TypeError for a base URL that cannot be one */
export async function explain(baseUrl: string, token: string, account: string | undefined): Promise<Explanation> {
  const keys = selectResolver("verify", baseUrl, {}, {});
  const outcome = await createVerifier(baseUrl, { jwks: keys, warnings: false })
    .verify(token)
    .catch((error: unknown) => {
      if (isAgentIdentityError(error)) return error;
      throw error;
    });
  const refusal = isAgentIdentityError(outcome) ? outcome : undefined;

  const form = formCheck(token, refusal?.cause?.reason);
  const checks = [form, ...(form.ok === true ? await contentChecks(token, keys, outcome) : NAMES.map(notChecked))];
  if (account !== undefined) checks.push(form.ok === true ? accountCheck(token, account) : notChecked(ACCOUNT));
  if (refusal !== undefined) return { checks, verdict: { accepted: false, code: refusal.code } };
  const accountIsWrong = checks.some(({ name, ok }) => name === ACCOUNT && ok === false);
  return { checks, verdict: accountIsWrong ? { accepted: false, code: "workspace_not_allowed" } : { accepted: true } };
}

const ACCOUNT = "--account";

type Outcome = AgentIdentity | { code: AgentIdentityErrorCode };

/** Of a token that has the form. */
async function contentChecks(token: string, keys: InternalJwksResolver, outcome: Outcome): Promise<Check[]> {
  const [header = {}, payload = {}] = decodeShape(token) ?? [];
  const show = displayOf(token, payload);
  return [
    ...headerChecks(header, outcome, show),
    ...claimChecks(payload, show),
    await keyCheck(header["kid"], keys, show),
    signatureCheck(outcome),
  ];
}

function accountCheck(token: string, account: string): Check {
  const [, payload = {}] = decodeShape(token) ?? [];
  const { account_id: found } = payload;
  const restrictions = { loginMethod: undefined, workspaceIds: [account.trim()] };
  const accountId = typeof found === "string" ? found : undefined;
  return {
    name: ACCOUNT,
    ok: findLoginViolation(restrictions, { mode: "agentIdentity", accountId }) === undefined,
    found: displayOf(token, payload)(found),
    wanted: quote(account),
  };
}

function formCheck(token: string, reason: string | undefined): Check {
  const parts = token === "" ? 0 : token.split(".").length;
  const isWellFormed = token.length <= MAX_TOKEN_LENGTH && decodeShape(token) !== undefined;
  const found = `${count(parts, "part")}, ${count(token.length, "character")}`;
  const problem = isWellFormed ? undefined : (reason ?? findFormProblem(token, parts));
  return {
    name: "form",
    ok: isWellFormed,
    found: problem === undefined ? found : `${found}: ${problem}`,
    wanted: `a JWT: three parts in canonical base64url with a dot between them, at most ${MAX_TOKEN_LENGTH} characters`,
  };
}

/** Only names the part. Whether the form is wrong is for `decodeShape` to say. */
function findFormProblem(token: string, parts: number): string {
  if (token === "") return "standard input was empty";
  if (token.length > MAX_TOKEN_LENGTH) return "too long";
  if (parts !== 3) return "not a JWT";
  const [header = "", payload = ""] = token.split(".");
  if (decodeBase64urlJsonObject(header) === undefined) return "the header is no JSON object in base64url";
  if (decodeBase64urlJsonObject(payload) === undefined) return "the payload is no JSON object in base64url";
  return "the signature is missing or is not canonical base64url";
}

type Show = (value: unknown) => string;

/** How values of the token are shown: quoted and cleaned, and never one that holds the private key or a part of the token. */
function displayOf(token: string, payload: JsonObject): Show {
  const privateKey = payload["agent_private_key"];
  const secrets = [...token.split("."), ...(typeof privateKey === "string" ? [privateKey] : [])].filter(
    ({ length }) => length >= 8,
  );
  return (value) => {
    if (value === undefined) return "nothing";
    if (Array.isArray(value)) return "an array";
    if (typeof value === "object" && value !== null) return "an object";
    if (typeof value !== "string") return JSON.stringify(value);
    return secrets.some((secret) => value.includes(secret)) ? "a text that holds a secret" : quote(value);
  };
}

export function quote(text: string): string {
  return JSON.stringify(logText(text));
}

/** The verifier looks at `alg` before anything else of the content, so its verdict says whether `alg` is right. */
function headerChecks(header: JsonObject, outcome: Outcome, show: Show): Check[] {
  const { alg, kid } = header;
  const checks: Check[] = [
    {
      name: "alg",
      ok: !("code" in outcome && outcome.code === "algorithm_not_allowed"),
      found: show(alg),
      wanted: '"RS256"',
    },
    { name: "kid", ok: isKid(kid), found: show(kid), wanted: `a text of 1 to ${MAX_KID_LENGTH} characters` },
  ];
  if (hasExtensions(header)) {
    checks.push({ name: "header", ok: false, found: "crit, or b64: false", wanted: "neither of them" });
  }
  return checks;
}

const A_TIME = "a time in whole seconds";
const AN_ID = "a text that is not empty";

/** Every claim but `iss` and `aud`, with what is wanted. Whether it is so is for `malformedClaims` to say. */
const CLAIMS: Record<Exclude<keyof AgentIdentityClaims, "iss" | "aud">, string> = {
  iat: A_TIME,
  exp: A_TIME,
  nbf: `${A_TIME}, or nothing`,
  sub: "no object and no array",
  agent_runtime_id: AN_ID,
  agent_private_key: "a text",
  account_id: AN_ID,
  chatgpt_user_id: AN_ID,
  email: "a text, null or nothing",
  plan_type: "a text",
  chatgpt_account_is_fedramp: "true or false",
};

const typeCheckName = (claim: string) => (claim === "exp" || claim === "nbf" ? `${claim} (type)` : claim);

/** The checks after the form. */
const NAMES = ["alg", "kid", "iss", "aud", ...Object.keys(CLAIMS).map(typeCheckName), "exp", "nbf", "key", "signature"];

function claimChecks(payload: JsonObject, show: Show): Check[] {
  const now = nowInSeconds();
  const { issuer, audience, clockTolerance } = EXPECTED;
  const asked = (claims: JsonObject) => findClaimFailure(claims, EXPECTED, now);
  const checks: Check[] = [
    { name: "iss", ok: asked(payload) !== "issuer_invalid", found: show(payload["iss"]), wanted: quote(issuer) },
    {
      name: "aud",
      ok: asked({ ...payload, iss: issuer }) !== "audience_invalid",
      found: show(payload["aud"]),
      wanted: quote(audience),
    },
  ];
  const malformed = malformedClaims(payload);
  for (const [name, wanted] of Object.entries(CLAIMS)) {
    const value = payload[name];
    const isPrivateKey = name === "agent_private_key" && typeof value === "string";
    checks.push({
      name: typeCheckName(name),
      ok: !malformed.includes(name),
      found: isPrivateKey ? `a text of ${count(value.length, "character")}, which is never shown` : show(value),
      wanted,
    });
  }
  const { exp, nbf = 0 } = payload;
  const tolerance = `clock tolerance ${clockTolerance} s`;
  checks.push(
    !malformed.includes("exp")
      ? {
          name: "exp",
          ok: !hasExpired(exp as number, clockTolerance, now),
          found: fromNow(exp as number, now),
          wanted: `in the future, ${tolerance}`,
        }
      : notChecked("exp"),
    !malformed.includes("nbf")
      ? {
          name: "nbf",
          ok: !isInFuture(nbf as number, clockTolerance, now),
          found: payload["nbf"] === undefined ? "nothing" : fromNow(nbf as number, now),
          wanted: `in the past or nothing, ${tolerance}`,
        }
      : notChecked("nbf"),
  );
  return checks;
}

async function keyCheck(kid: unknown, keys: InternalJwksResolver, show: Show): Promise<Check> {
  if (!isKid(kid)) return notChecked("key");
  const wanted = "a usable key of the backend that issued the token";
  const key = await keys.key(kid, SILENT_ASKER);
  const { url, kids, fetchedAt } = keys.status();
  const ok = !(key instanceof Refusal);
  if (fetchedAt === null) {
    const reason = key instanceof Refusal ? key.details?.reason : undefined;
    const found = `there are no keys from ${url} (${reason ?? "no answer"})`;
    return { name: "key", ok, found, wanted: `${wanted}: check --base-url with agent-identity-auth doctor` };
  }
  const age = `fetched ${Math.max(0, Math.round((Date.now() - fetchedAt) / 1000))} s ago`;
  if (ok) return { name: "key", ok, found: `${show(kid)} is one of ${kids.length} at ${url}, ${age}`, wanted };
  const has = kids.slice(0, 8).map(quote).join(", ");
  return {
    name: "key",
    ok,
    found: `${show(kid)} is not among the usable keys at ${url}, ${age}: ${has}${kids.length > 8 ? ", …" : ""}`,
    wanted: `${wanted}: compare --base-url with that backend; agent-identity-auth doctor names the unusable keys`,
  };
}

/** The verifier alone has checked it, and only after everything else. */
function signatureCheck(outcome: Outcome): Check {
  if ("code" in outcome && outcome.code !== "signature_invalid") return notChecked("signature");
  const ok = !("code" in outcome);
  const found = ok ? "made with this key" : "not made with this key, or the token was altered";
  return { name: "signature", ok, found, wanted: "made with this key" };
}

export function notChecked(name: string): Check {
  return { name, ok: null, found: "not checked, because an earlier check failed", wanted: "" };
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** Such as "in 6 days" and "2 hours ago". Both in seconds since the epoch. */
export function fromNow(time: number, now: number): string {
  const difference = time - now;
  const [unit, seconds] = UNITS.find(([, length]) => Math.abs(difference) >= length) ?? (["second", 1] as const);
  return new Intl.RelativeTimeFormat("en").format(Math.trunc(difference / seconds), unit);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** One line for each check. */
export function renderExplanation({ checks, verdict }: Explanation, withColour: boolean): string {
  const paint = (code: number, text: string) => (withColour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(({ name, ok, found, wanted }) => {
    const label = name.padEnd(width);
    if (ok === null) return `– ${label}  ${found}`;
    return ok ? `${paint(32, "✓")} ${label}  ${found}` : `${paint(31, "✗")} ${label}  found ${found}; wanted ${wanted}`;
  });
  const { accepted, code = "" } = verdict;
  const last = accepted
    ? paint(32, "accepted")
    : `${paint(31, "refused")}: ${code}; docs/why-refused.md of this package says what to do`;
  return [...lines, "", last].join("\n");
}
