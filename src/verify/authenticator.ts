/** What every framework's middleware does, without the framework: headers in, identity or refusal out. */

import { findLoginViolation, parseLoginRestrictions, type LoginRestrictions } from "../protocol/login-restrictions.js";
import { aBoolean, checkOptions, type OptionChecks } from "../protocol/options.js";
import { isThenable } from "../protocol/thenable.js";
import { printable } from "../protocol/printable.js";
import { aRealm, aResourceMetadataUrl, DEFAULT_REALM } from "./challenge.js";
import { anAgentDirectory, type AgentDirectory } from "./agent-directory.js";
import { AssertionVerifier } from "./assertion-verifier.js";
import { accountIdOf, isB64token, readCredentials, type CredentialsSource, type Scheme } from "./credentials.js";
import { createErrorFactory, Refusal, type ErrorFactory } from "./errors.js";
import { traceVerification } from "./trace.js";
import { ANONYMOUS, type Outcome, type Verdict } from "./verdict.js";
import { isVerifiedIdentity } from "./verified-identity.js";
import { selectVerifier, VERIFIER_OPTION_CHECKS, type Verifier, type VerifierOptions } from "./verifier.js";

/** Options of `agentIdentityAuth`, the same for every framework. */
export interface AgentIdentityAuthOptions extends VerifierOptions {
  /**
   * `false` lets a request without an `Authorization` header pass, without identity; any other failure still fails.
   * Default `true`. `restrictTo` and `authenticate` always require credentials.
   */
  credentialsRequired?: boolean | undefined;
  /** The `realm` of every challenge (RFC 9110 §11.5), in printable ASCII. Default `agent-identity`. */
  realm?: string | undefined;
  /** URL of the protected resource's metadata, named in every challenge (RFC 9728 §5.1). Default: none. */
  resourceMetadata?: string | undefined;
  /**
   * Accepts `AgentAssertion` too, which is what Codex clients send, and looks agents and tasks up here. Then
   * `agentIdentityErrorHandler` is a must: its answer says when a task has to be registered anew. Default: none.
   */
  directory?: AgentDirectory | undefined;
  /** `false` accepts `AgentAssertion` only. Default `true`. */
  bearer?: boolean | undefined;
}

const OPTION_CHECKS: OptionChecks<AgentIdentityAuthOptions> = {
  credentialsRequired: aBoolean,
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
  readonly authenticateAsConfigured: Authenticate;
  /** @throws TypeError that names the fix */
  readonly restrictTo: (restrictions: LoginRestrictions) => Authenticate<Outcome>;
}

/** @throws TypeError that names the fix */
export function createAuthenticator(baseUrl: string, options?: AgentIdentityAuthOptions): Authenticator {
  const where = "agentIdentityAuth";
  if (typeof (baseUrl as unknown) !== "string") {
    throw new TypeError(
      `${where}: the base URL comes first, as in app.use(${where}("https://chatgpt.com/backend-api"))`,
    );
  }
  const checked = checkOptions(where, options, OPTION_CHECKS);
  const { credentialsRequired = true, realm = DEFAULT_REALM, resourceMetadata } = checked;
  const { directory, bearer = true } = checked;
  const { tokens, facade: verifier } = selectVerifier(where, baseUrl, checked);
  const assertions = directory && new AssertionVerifier(directory);
  const schemes = new Map<string, Scheme>();
  if (bearer) schemes.set("bearer", "Bearer");
  if (assertions) schemes.set("agentassertion", "AgentAssertion");
  if (schemes.size === 0) throw new TypeError(`${where}: bearer: false needs a directory, or nobody could get in`);

  const authenticate: Authenticate<Outcome> = (request) => {
    const credentials = readCredentials(request, schemes);
    if (credentials instanceof Refusal) return credentials;
    const { scheme, value } = credentials;
    const isAssertion = assertions !== undefined && scheme === "AgentAssertion";
    const verify = () => {
      const outcome = isAssertion ? assertions.verify(value, accountIdOf(request)) : tokens.verify(value);
      return isMalformed(outcome) && !isB64token(value) ? new Refusal("request_malformed") : outcome;
    };
    return traceVerification(scheme, verify, () => (isAssertion ? undefined : tokens.remembered(value)));
  };

  const restrictedBy =
    (restrict: (outcome: Outcome) => Outcome): Authenticate<Outcome> =>
    (request) => {
      const outcome = authenticate(request);
      if (!isThenable(outcome)) return restrict(outcome);
      return (async () => restrict(await outcome))();
    };

  return {
    verifier,
    toError: createErrorFactory({ realm, resourceMetadata }),
    authenticate,
    authenticateAsConfigured: credentialsRequired
      ? authenticate
      : (request) => {
          const verdict = authenticate(request);
          return verdict instanceof Refusal && verdict.code === "credentials_missing" ? ANONYMOUS : verdict;
        },
    restrictTo(restrictions) {
      return restrictedBy(createRestriction(restrictions));
    },
  };
}

/** What is malformed is found out at once, without a promise. */
function isMalformed(outcome: Outcome | Promise<Outcome>): boolean {
  return outcome instanceof Refusal && (outcome.code === "token_malformed" || outcome.code === "assertion_malformed");
}

/** @throws TypeError for what would let everyone in */
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
    return violation ? new Refusal(violation.code, { reason: printable(violation.message) }) : outcome;
  };
}
