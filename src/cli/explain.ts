/** `verify --explain`: what the verifier found in a token, check by check, in the order in which it checks. */

import { CODEX_AUDIENCE, CODEX_ISSUER, malformedClaims } from "../protocol/claims.js";
import { decodeBase64urlJsonObject, decodeCanonicalBase64url, type JsonObject } from "../protocol/encoding.js";
import { logText } from "../protocol/log-text.js";
import { nowInSeconds } from "../runtime/clock.js";
import { createVerifier } from "../verify/tokens/create-verifier.js";
import { MAX_TOKEN_LENGTH } from "../verify/tokens/unverified-token.js";
import { isAgentIdentityError, type AgentIdentityErrorCode } from "../verify/outcome/errors.js";

export interface Check {
  readonly name: string;
  /** `null`: an earlier check has failed, so this one was not made. */
  readonly ok: boolean | null;
  readonly found: string;
  readonly wanted: string;
}

export interface Explanation {
  readonly checks: readonly Check[];
  /** `undefined` if the token is accepted. */
  readonly code: string | undefined;
}

interface Step {
  readonly name: string;
  /** The codes with which the verifier ends here. */
  readonly codes: readonly AgentIdentityErrorCode[];
  readonly found: string;
  readonly wanted: string;
}

/** The verdict is the verifier's own. This function only shows what it was about: no private key, no signature, no token. */
export async function explain(baseUrl: string, token: string, account: string | undefined): Promise<Explanation> {
  const verifier = createVerifier(baseUrl, { warnings: false });
  const verdict = await verifier.verify(token).then(
    () => undefined,
    (error: unknown) => {
      if (!isAgentIdentityError(error)) throw error;
      return error;
    },
  );
  const parts = token.split(".");
  const [headerPart = "", payloadPart = "", signature = ""] = parts;
  const header = decodeBase64urlJsonObject(headerPart);
  const payload = decodeBase64urlJsonObject(payloadPart);
  const { url, kids, fetchedAt, lastError } = verifier.jwks.status();
  const age = fetchedAt === null ? "never fetched" : `fetched ${Math.round((Date.now() - fetchedAt) / 1000)} s ago`;
  const trouble = lastError === null ? "" : `; ${lastError}`;

  // The code token_malformed stands for the form, and for the header's other members.
  const isReadable =
    parts.length === 3 &&
    token.length <= MAX_TOKEN_LENGTH &&
    header !== undefined &&
    payload !== undefined &&
    signature !== "" &&
    decodeCanonicalBase64url(signature) !== undefined;
  const steps: Step[] = [
    {
      name: "form",
      codes: isReadable ? [] : ["token_malformed"],
      found: `${token.length} characters in ${parts.length} parts`,
      wanted: `a JWT: three parts of base64url, at most ${MAX_TOKEN_LENGTH} characters`,
    },
    { name: "alg", codes: ["algorithm_not_allowed"], found: show(header, "alg"), wanted: "RS256" },
    { name: "kid", codes: ["token_malformed"], found: show(header, "kid"), wanted: "a key id, without crit or b64" },
    { name: "iss", codes: ["issuer_invalid"], found: show(payload, "iss"), wanted: CODEX_ISSUER },
    { name: "aud", codes: ["audience_invalid"], found: show(payload, "aud"), wanted: CODEX_AUDIENCE },
    {
      name: "claims",
      codes: ["claims_invalid"],
      found: payload === undefined ? "" : malformedClaims(payload).join(", ") || "all there",
      wanted: "every claim, with its type",
    },
    {
      name: "exp",
      codes: ["token_expired"],
      found: moment(payload, "exp"),
      wanted: "a time to come, or 60 s ago at most",
    },
    {
      name: "nbf",
      codes: ["token_not_yet_valid"],
      found: payload !== undefined && "nbf" in payload ? moment(payload, "nbf") : "absent",
      wanted: "absent, or a time past, or in 60 s at most",
    },
    {
      name: "key",
      codes: ["key_untrusted", "keys_unavailable"],
      found: `${kids.length === 0 ? "no keys" : `keys ${kids.join(", ")}`} at ${url}, ${age}${trouble}`,
      wanted: `the key ${show(header, "kid")}`,
    },
    { name: "signature", codes: ["signature_invalid"], found: "", wanted: "of that key, over this header and payload" },
  ];

  const failedAt = verdict === undefined ? steps.length : steps.findIndex(({ codes }) => codes.includes(verdict.code));
  const checks: Check[] = steps.map(({ name, found, wanted }, i) => {
    return { name, ok: i < failedAt ? true : i === failedAt ? false : null, found, wanted };
  });
  if (account !== undefined) {
    const found = show(payload, "account_id");
    const ok = verdict === undefined ? payload?.["account_id"] === account : null;
    checks.push({ name: "account", ok, found, wanted: JSON.stringify(account) });
  }
  const isOtherAccount = checks.at(-1)?.name === "account" && checks.at(-1)?.ok === false;
  return { checks, code: verdict?.code ?? (isOtherAccount ? "workspace_not_allowed" : undefined) };
}

/** @param colour whether a terminal reads it */
export function renderExplanation({ checks, code }: Explanation, colour: boolean): string {
  const paint = (text: string, sgr: number) => (colour ? `\u001b[${sgr}m${text}\u001b[0m` : text);
  const lines = checks.map(({ name, ok, found, wanted }) => {
    const mark = ok === null ? "–" : ok ? paint("✓", 32) : paint("✗", 31);
    const details =
      ok === true ? found : ok === null ? "not checked" : `found ${found || "another one"}; wanted ${wanted}`;
    return `${mark} ${name.padEnd(9)} ${details}`.trimEnd();
  });
  return [...lines, code === undefined ? "accepted" : `refused: ${code}`].join("\n");
}

/** As JSON, without control characters: somebody else has written it. */
function show(object: JsonObject | undefined, name: string): string {
  const value = object?.[name];
  return value === undefined ? "nothing" : logText(JSON.stringify(value)).slice(0, 200);
}

function moment(payload: JsonObject | undefined, name: string): string {
  const seconds = payload?.[name];
  if (typeof seconds !== "number") return show(payload, name);
  const left = seconds - nowInSeconds();
  return `${seconds}, ${left >= 0 ? `in ${inWords(left)}` : `${inWords(-left)} ago`}`;
}

function inWords(seconds: number): string {
  const [unit, length] = (
    [
      ["day", 86_400],
      ["hour", 3_600],
      ["minute", 60],
    ] as const
  ).find(([, length]) => seconds >= length) ?? ["second", 1];
  const count = Math.floor(seconds / length);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}
