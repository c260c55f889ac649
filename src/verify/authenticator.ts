/** What every framework's middleware does, without the framework: headers in, identity or refusal out. */

import { findLoginViolation, parseLoginRestrictions, type LoginRestrictions } from "../protocol/login-restrictions.js";
import { aBoolean, checkOptions, type OptionChecks } from "../protocol/options.js";
import { printable } from "../protocol/printable.js";
import { aRealm, aResourceMetadataUrl, DEFAULT_REALM } from "./challenge.js";
import { anAgentDirectory, type AgentDirectory } from "./agent-directory.js";
import { AssertionVerifier } from "./assertion-verifier.js";
import { ACCOUNT_HEADER, isB64token, readCredentials, type CredentialsSource, type Scheme } from "./credentials.js";
import { createErrorFactory, Refusal, type ErrorFactory } from "./errors.js";
import type { Outcome } from "./outcome.js";
import { traceVerification } from "./trace.js";
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
  assertions?: AgentDirectory | undefined;
  /** `false` accepts `AgentAssertion` only. Default `true`. */
  bearer?: boolean | undefined;
}

const OPTION_CHECKS: OptionChecks<AgentIdentityAuthOptions> = {
  credentialsRequired: aBoolean,
  realm: aRealm,
  resourceMetadata: aResourceMetadataUrl,
  assertions: anAgentDirectory,
  bearer: aBoolean,
  ...VERIFIER_OPTION_CHECKS,
};

/** Decides on one request. `undefined`: there were no credentials, and none are required. */
export type Authenticate<V = Verdict> = (request: CredentialsSource) => V | Promise<V>;
export type Verdict = Outcome | undefined;

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
  const { credentialsRequired = true, realm = DEFAULT_REALM, resourceMetadata, ...rest } = checked;
  const { assertions: directory, bearer = true, ...verifierOptions } = rest;
  const { tokens, facade: verifier } = selectVerifier(where, baseUrl, verifierOptions);
  const assertions = directory && new AssertionVerifier(directory);
  const schemes = new Map<string, Scheme>();
  if (bearer) schemes.set("bearer", "Bearer");
  if (assertions) schemes.set("agentassertion", "AgentAssertion");
  if (schemes.size === 0) throw new TypeError(`${where}: bearer: false needs assertions, or nobody could get in`);

  const authenticate: Authenticate<Outcome> = (request) => {
    const credentials = readCredentials(request, schemes);
    if (credentials instanceof Refusal) return credentials;
    const { scheme, value } = credentials;
    const isAssertion = assertions !== undefined && scheme === "AgentAssertion";
    const verify = () => {
      const outcome = isAssertion ? assertions.verify(value, request.headers[ACCOUNT_HEADER]) : tokens.verify(value);
      return isMalformed(outcome) && !isB64token(value) ? new Refusal("request_malformed") : outcome;
    };
    return traceVerification(scheme, verify, () => (isAssertion ? undefined : tokens.remembered(value)));
  };

  return {
    verifier,
    toError: createErrorFactory({ realm, resourceMetadata }),
    authenticate,
    authenticateAsConfigured: credentialsRequired
      ? authenticate
      : (request) => {
          const verdict = authenticate(request);
          return verdict instanceof Refusal && verdict.code === "credentials_missing" ? undefined : verdict;
        },
    restrictTo(restrictions) {
      const restrict = createRestriction(restrictions);
      return (request) => {
        const outcome = authenticate(request);
        return outcome instanceof Promise ? outcome.then(restrict) : restrict(outcome);
      };
    },
  };
}

/** What is malformed is found out at once, without a promise. */
function isMalformed(outcome: Outcome | Promise<Outcome>): boolean {
  return outcome instanceof Refusal && (outcome.code === "token_malformed" || outcome.code === "assertion_malformed");
}

function createRestriction(restrictions: LoginRestrictions): (outcome: Outcome) => Outcome {
  const parsed = parseLoginRestrictions("restrictTo", restrictions);
  if (parsed.loginMethod === undefined && parsed.workspaceIds === undefined) {
    throw new TypeError("restrictTo: it would let everyone in: set forcedLoginMethod or forcedChatgptWorkspaceId");
  }
  return (outcome) => {
    if (outcome instanceof Refusal) return outcome;
    const violation = findLoginViolation(parsed, { mode: "agentIdentity", accountId: outcome.accountId });
    return violation ? new Refusal(violation.code, { reason: printable(violation.message) }) : outcome;
  };
}
