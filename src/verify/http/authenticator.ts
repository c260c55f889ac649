/** The middleware of every framework, without the framework: it takes headers and gives an identity or a refusal. */

import type { AgentIdentity } from "../../protocol/agent-identity.js";
import {
  findLoginViolation,
  parseLoginRestrictions,
  type LoginRestrictions,
} from "../../protocol/login-restrictions.js";
import { aBoolean, checkOptions, type OptionChecks } from "../../protocol/options.js";
import { whenSettled } from "../../runtime/thenable.js";
import { aRealm, aResourceMetadataUrl, DEFAULT_REALM } from "../outcome/challenge.js";
import { anAgentDirectory, type AgentDirectory } from "../assertions/agent-directory.js";
import { AssertionVerifier } from "../assertions/assertion-verifier.js";
import {
  accountIdOf,
  authorizationTexts,
  isB64token,
  readCredentials,
  refusalWithoutCredentials,
  type Scheme,
} from "./credentials.js";
import { requireNodeRequest, type CredentialsSource } from "./request-headers.js";
import { createErrorFactory, Refusal, type AgentIdentityErrorCode, type ErrorFactory } from "../outcome/errors.js";
import { digestOf, sha256 } from "../tokens/token-verifier.js";
import { published } from "../outcome/diagnostics.js";
import { ANONYMOUS, type Outcome, type Verdict } from "../outcome/verdict.js";
import { isVerifiedIdentity } from "../outcome/verified-identity.js";
import {
  askerOf,
  facadeOf,
  sharedVerifier,
  VERIFIER_OPTION_CHECKS,
  type Verifier,
  type VerifierOptions,
} from "../tokens/create-verifier.js";

/** Options of `agentIdentityAuth`, the same for every framework. */
export interface AgentIdentityAuthOptions extends VerifierOptions {
  /**
   * `true` leaves the token in the request's headers, for an upstream or another verifier behind the mount. Default `false`.
   * With `false`, `Bearer hidden.…` takes the token's place as soon as its unverified `iss` and `aud` are right, because the
   * token holds the agent's private key and logs copy headers. `/fetch` changes no `Request`: see `withoutCredentials`.
   */
  keepCredentials?: boolean | undefined;
  /**
   * `false` lets a request without an `Authorization` header pass, without identity. Wrong credentials are still refused.
   * Default `true`. `restrictTo`, `require`, `authenticate` and `upgrade` always require credentials.
   */
  credentialsRequired?: boolean | undefined;
  /** The `realm` of every challenge (RFC 9110 §11.5), in printable ASCII. Default `agent-identity`. */
  realm?: string | undefined;
  /** URL of the protected resource's metadata, named in every challenge (RFC 9728 §5.1). Default: none. */
  resourceMetadata?: string | undefined;
  /**
   * Also accepts `AgentAssertion`, the scheme of Codex clients, and looks up agents and tasks here. Mount
   * `agentIdentityErrorHandler` too: its answer tells clients when to register a task again. Default: none.
   */
  directory?: AgentDirectory | undefined;
  /** `false` accepts only `AgentAssertion`. Default `true`. */
  bearer?: boolean | undefined;
}

const OPTION_CHECKS: OptionChecks<AgentIdentityAuthOptions> = {
  credentialsRequired: aBoolean,
  keepCredentials: aBoolean,
  realm: aRealm,
  resourceMetadata: aResourceMetadataUrl,
  directory: anAgentDirectory,
  bearer: aBoolean,
  ...VERIFIER_OPTION_CHECKS,
};

/** Decides on one request. */
export type Authenticate<V = Verdict> = (request: CredentialsSource) => V | Promise<V>;

export interface Authenticator {
  readonly verifier: Verifier;
  /** Makes the error of a refusal, with the configured challenge. */
  readonly toError: ErrorFactory;
  /** Credentials are always required. */
  readonly authenticate: Authenticate<Outcome>;
  /** As the option `credentialsRequired` says. */
  readonly authenticateOnMount: Authenticate;
  /** @throws TypeError that names the fix */
  readonly restrictTo: (restrictions: LoginRestrictions) => Authenticate<Outcome>;
  /** @throws TypeError that names the fix */
  readonly require: (rule: IdentityRule) => Authenticate<Outcome>;
}

/** The rule of `require`. Only `true` lets a request through. Errors that the rule throws go to the framework. */
export type IdentityRule = (identity: AgentIdentity) => boolean | Promise<boolean>;

/**
 * @param hide takes the token out of a request; `undefined` where requests cannot be changed
 * @throws TypeError that names the fix
 */
export function createAuthenticator(
  baseUrl: string | URL,
  options?: AgentIdentityAuthOptions,
  hide?: (request: CredentialsSource, digest: string) => void,
): Authenticator {
  const where = "agentIdentityAuth";
  if (typeof (baseUrl as unknown) === "object" && "headers" in Object(baseUrl)) {
    throw new TypeError(
      `${where} is mounted without its call: write app.use(${where}("https://chatgpt.com/backend-api"))`,
    );
  }
  const checked = checkOptions(where, options, OPTION_CHECKS);
  const { credentialsRequired = true, realm = DEFAULT_REALM, resourceMetadata } = checked;
  const { directory, bearer = true, keepCredentials = false } = checked;
  const shared = sharedVerifier(where, baseUrl, checked);
  const { tokens } = shared;
  const asker = askerOf(checked);
  const assertions = directory && new AssertionVerifier(directory);
  const schemes: Scheme[] = [];
  if (bearer) schemes.push("Bearer");
  if (assertions) schemes.push("AgentAssertion");
  if (schemes.length === 0) throw new TypeError(`${where}: bearer: false needs a directory, or nobody could get in`);

  const verifyAssertion = published(
    "AgentAssertion",
    (envelope, accountId: string | string[] | undefined) =>
      checkGrammar(assertions?.verify(envelope, accountId) ?? new Refusal("scheme_unsupported"), envelope),
    () => undefined,
  );

  const authenticateAssertion = (envelope: string, request: CredentialsSource): Outcome | Promise<Outcome> => {
    const outcome = verifyAssertion(envelope, accountIdOf(request));
    if (outcome instanceof Refusal) hideUnread(request);
    return outcome;
  };

  const verifyToken = published(
    "Bearer",
    (token, digest: string) => checkGrammar(tokens.verify(token, digest, asker), token),
    (_token, digest) => tokens.remembered(digest),
  );

  const authenticateToken = (token: string, request: CredentialsSource): Outcome | Promise<Outcome> => {
    const digest = digestOf(token);
    const outcome = verifyToken(token, digest);
    if (!keepCredentials && isMeantHere(outcome, token)) hide?.(request, digest || sha256(token));
    return outcome;
  };

  /** Whether issuer and audience of the token are right. */
  const isMeantHere = (outcome: Outcome | Promise<Outcome>, token: string): boolean => {
    if (!(outcome instanceof Refusal) || MEANT.has(outcome.code)) return true;
    return !FOREIGN.has(outcome.code) && tokens.isMeant(token);
  };

  /** A token may stand in a header that breaks the grammar, or after another scheme than `Bearer`. */
  const hideUnread = (request: CredentialsSource): void => {
    const text = keepCredentials ? undefined : authorizationTexts(request).find((text) => tokens.isMeant(text));
    if (text !== undefined) hide?.(request, sha256(text));
  };

  const authenticateOr =
    <V>(withoutCredentials: (request: CredentialsSource, refusal: Refusal) => V): Authenticate<Outcome | V> =>
    (received) => {
      // Both properties are read once, because Express changes each request's prototype, and V8 then reads its properties slowly.
      const request: CredentialsSource = { headers: received.headers, rawHeaders: received.rawHeaders };
      const credentials = readCredentials(request, schemes);
      if (!(credentials instanceof Refusal)) {
        const { scheme, value } = credentials;
        return scheme === "Bearer" ? authenticateToken(value, request) : authenticateAssertion(value, request);
      }
      if (credentials.code === "credentials_missing") {
        requireNodeRequest(received);
        return withoutCredentials(request, credentials);
      }
      hideUnread(request);
      return credentials;
    };

  const authenticate = authenticateOr((request, refusal) => refusalWithoutCredentials(request) ?? refusal);

  const restrictedBy =
    (restrict: (outcome: Outcome) => Outcome | Promise<Outcome>): Authenticate<Outcome> =>
    (request) =>
      whenSettled(authenticate(request), restrict);

  return {
    verifier: facadeOf(shared, checked),
    toError: createErrorFactory({ realm, resourceMetadata }),
    authenticate,
    authenticateOnMount: credentialsRequired ? authenticate : authenticateOr(() => ANONYMOUS),
    restrictTo(restrictions) {
      return restrictedBy(createRestriction(restrictions));
    },
    require(rule) {
      return restrictedBy(createRequirement(rule));
    },
  };
}

/** Codes of tokens whose issuer and audience are right. */
const MEANT: ReadonlySet<AgentIdentityErrorCode> = new Set([
  "claims_invalid",
  "token_expired",
  "token_not_yet_valid",
  "key_untrusted",
  "signature_invalid",
  "keys_unavailable",
]);

/** Codes of tokens for other verifiers: these tokens stay in the request. */
const FOREIGN: ReadonlySet<AgentIdentityErrorCode> = new Set(["issuer_invalid", "audience_invalid"]);

/** Only malformed credentials can break the grammar of the header, so only these are checked against it. */
function checkGrammar(outcome: Outcome | Promise<Outcome>, value: string): Outcome | Promise<Outcome> {
  const isMalformed =
    outcome instanceof Refusal && (outcome.code === "token_malformed" || outcome.code === "assertion_malformed");
  return isMalformed && !isB64token(value) ? new Refusal("request_malformed") : outcome;
}

/** @throws TypeError for restrictions that restrict nobody */
function createRestriction(restrictions: LoginRestrictions): (outcome: Outcome) => Outcome {
  const parsed = parseLoginRestrictions("restrictTo", restrictions);
  if (Object.hasOwn(Object(restrictions) as object, "forcedChatgptWorkspaceId") && parsed.workspaceIds === undefined) {
    throw new TypeError(
      "restrictTo: forcedChatgptWorkspaceId is undefined, so every workspace would be let in: is the environment variable set?",
    );
  }
  if (parsed.workspaceIds === undefined && parsed.loginMethod !== "api") {
    throw new TypeError(
      "restrictTo: every agent identity would be let in: set forcedChatgptWorkspaceId, or mount the middleware itself",
    );
  }
  return (outcome) => {
    if (!isVerifiedIdentity(outcome)) return outcome;
    const violation = findLoginViolation(parsed, { mode: "agentIdentity", accountId: outcome.accountId });
    return violation ? new Refusal(violation.code, { reason: RESTRICTION_REASONS[violation.code] }) : outcome;
  };
}

/** Codex's words for these would put the agent's account into a log. */
const RESTRICTION_REASONS = {
  login_method_not_allowed: "agent identities are refused by forcedLoginMethod",
  workspace_not_allowed: "the agent's account is not in forcedChatgptWorkspaceId",
} as const;

/** @throws TypeError */
function createRequirement(rule: IdentityRule): (outcome: Outcome) => Outcome | Promise<Outcome> {
  if (typeof (rule as unknown) !== "function") {
    throw new TypeError('require takes a function, as in agents.require((identity) => identity.planType === "pro")');
  }
  return (outcome) => {
    if (!isVerifiedIdentity(outcome)) return outcome;
    const decide = (answer: unknown): Outcome =>
      answer === true ? outcome : new Refusal("identity_not_allowed", { reason: "the rule did not give true" });
    return whenSettled<unknown, Outcome>(rule(outcome), decide);
  };
}
