/** The gate in front of an MCP transport, on Node and on fetch. */

import type { AgentIdentity } from "../protocol/agent-identity.js";
import { whenSettled } from "../runtime/thenable.js";
import type { Authenticate } from "../verify/http/authenticator.js";
import { credentialsOfRequest, withoutCredentials } from "../verify/http/credentials.js";
import { responseOf } from "../verify/http/response.js";
import { requireNodeRequest, type CredentialsSource } from "../verify/http/request-headers.js";
import {
  answerOf,
  isAgentIdentityError,
  Refusal,
  type AgentIdentityError,
  type ErrorAnswer,
  type ErrorFactory,
} from "../verify/outcome/errors.js";
import {
  ADMITTED,
  admit,
  identityOrThrow,
  type Admission,
  type IdentityCarrier,
  type Outcome,
} from "../verify/outcome/verdict.js";

/** The SDK's `AuthInfo`, without the token: the SDK hands it to every tool. */
export interface McpAuthInfo {
  /** Always empty: the token contains the agent's private key. */
  token: string;
  /** The agent. */
  clientId: string;
  /** Always empty: agent identities have no scopes. */
  scopes: string[];
  /** When the token or the task ends, in seconds since the epoch. */
  expiresAt: number;
  /** The URL of this server. */
  resource: URL;
  /** The verified identity. */
  extra: {
    /** The caller: see `agentOf`. */
    agentIdentity: AgentIdentity;
  };
}

/** The part of a Node request that the gate uses. */
export interface McpNodeRequest extends CredentialsSource {
  /** Set by the gate. */
  auth?: unknown;
}

/** The part of a Node response that the gate uses. */
export interface McpNodeResponse {
  /** Whether an answer has begun. */
  readonly headersSent: boolean;
  /** The HTTP status. */
  statusCode: number;
  /** Sets a header. */
  setHeader(name: string, value: string): unknown;
  /** Ends the answer. */
  end(body?: string): unknown;
}

/** Middleware for Express, Connect and plain Node, and the same for servers of `Request` and `Response`. */
export interface McpGate {
  (req: McpNodeRequest, res: McpNodeResponse, next: (error?: unknown) => void): void;
  /**
   * Makes a handler that answers refused requests itself, and calls `handler` with a request without its token for all others.
   * @example
   * export default { fetch: agents.protect((request, authInfo) => handler.fetch(request, { authInfo })) };
   */
  protect<Rest extends unknown[]>(
    handler: (request: Request, authInfo: McpAuthInfo, ...rest: Rest) => Response | Promise<Response>,
  ): (request: Request, ...rest: Rest) => Promise<Response>;
  /**
   * For servers that call the transport by hand. The token leaves the headers of a Node request.
   * @throws {AgentIdentityError}
   * @example
   * await transport.handleRequest(Object.assign(req, { auth: await agents.authenticate(req) }), res);
   */
  authenticate(request: CredentialsSource | Request): Promise<McpAuthInfo>;
}

export function authInfoOf(
  agentIdentity: AgentIdentity,
  resource: URL,
  expiresAt = agentIdentity.expiresAt,
): McpAuthInfo {
  const clientId = agentIdentity.agentRuntimeId;
  return { token: "", clientId, scopes: [], expiresAt, resource: new URL(resource), extra: { agentIdentity } };
}

/** @param onError called with a refusal before its answer */
export function createGate(
  authenticate: Authenticate<Outcome>,
  toError: ErrorFactory,
  resource: URL,
  onError: (error: AgentIdentityError, request: McpNodeRequest | Request) => void = () => undefined,
): McpGate {
  const gate = (req: McpNodeRequest, res: McpNodeResponse, next: (error?: unknown) => void): void => {
    requireNodeRequest(req);
    if (typeof (next as unknown) !== "function") throw new TypeError("the gate takes (req, res, next)");
    const carrier: IdentityCarrier = {};
    const proceed = (admission: Admission) => {
      if (isAgentIdentityError(admission)) {
        if (res.headersSent) return;
        try {
          onError(admission, req);
        } catch (error) {
          next(error); // thrown from here, it could end the process
          return;
        }
        send(answerOf(admission), res);
      } else if (admission !== ADMITTED) next(admission);
      else if (carrier.agentIdentity === undefined) next(new Error("the verification gave no identity"));
      else if (setAuth(req, authInfoOf(carrier.agentIdentity, resource))) next();
      else next(new Error("req.auth cannot be set: other code has defined it"));
    };
    void whenSettled(admit(authenticate, req, carrier, toError), proceed);
  };
  return Object.assign(gate, {
    protect<Rest extends unknown[]>(
      handler: (request: Request, authInfo: McpAuthInfo, ...rest: Rest) => Response | Promise<Response>,
    ) {
      if (typeof (handler as unknown) !== "function") {
        throw new TypeError("protect takes a handler: (request, authInfo) => Response");
      }
      return async (request: Request, ...rest: Rest): Promise<Response> => {
        const outcome = await authenticate(credentialsOfRequest(request));
        if (outcome instanceof Refusal) {
          const error = toError(outcome);
          onError(error, request);
          return responseOf(answerOf(error));
        }
        const authInfo = authInfoOf(identityOrThrow(outcome, toError), resource);
        return handler(withoutCredentials(request), authInfo, ...rest);
      };
    },
    async authenticate(request: CredentialsSource | Request): Promise<McpAuthInfo> {
      return authInfoOf(identityOrThrow(await authenticate(sourceOf(request)), toError), resource);
    },
  });
}

function sourceOf(request: CredentialsSource | Request): CredentialsSource {
  const { headers } = Object(request) as { headers?: { get?: unknown } };
  if (typeof headers?.get === "function") return credentialsOfRequest(request as Request);
  requireNodeRequest(request);
  return request;
}

/** @returns whether it is set: other code may have frozen the request, or defined a setter */
function setAuth(req: McpNodeRequest, auth: McpAuthInfo): boolean {
  try {
    req.auth = auth;
    return req.auth === auth;
  } catch {
    return false;
  }
}

function send({ status, headers, body }: ErrorAnswer, res: McpNodeResponse): void {
  res.statusCode = status;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  res.end(body);
}
