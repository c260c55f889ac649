/** The part of a request that this package reads. */

/** A request, or another object with headers, such as an `IncomingMessage`. */
export interface CredentialsSource {
  /** By name in lower case. */
  readonly headers: {
    /** Scheme and credentials. */
    readonly authorization?: string | undefined;
    readonly [name: string]: string | string[] | undefined;
  };
  /** Names and values in turn, as received. Only here are both of two `Authorization` headers: `headers` has one. */
  readonly rawHeaders?: readonly string[] | undefined;
}

/** @throws TypeError that names the mistake, for anything but a Node request */
export function requireNodeRequest(source: unknown): asserts source is CredentialsSource {
  const { headers } = Object(source) as { headers?: unknown };
  if (typeof headers !== "object" || headers === null) {
    throw new TypeError("pass the request: an object with the member headers");
  }
  if (typeof (headers as { get?: unknown }).get === "function") {
    throw new TypeError("this is a fetch Request: take agentIdentityAuth of agent-identity-auth/fetch for it");
  }
}

/** The index of an `Authorization` header's name in `rawHeaders`; its value follows it. -1 if there is none. */
export function findAuthorization(rawHeaders: readonly string[], from = 0): number {
  // Stryker disable next-line EqualityOperator: behind the last entry there is no name
  for (let i = from; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === "authorization".length && name.toLowerCase() === "authorization") return i;
  }
  return -1;
}
