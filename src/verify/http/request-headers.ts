/** What this package reads of a request. */

/** What credentials are read from; `IncomingMessage` is one. */
export interface CredentialsSource {
  /** By name in lower case. */
  readonly headers: {
    /** Scheme and credentials. */
    readonly authorization?: string | undefined;
    readonly [name: string]: string | string[] | undefined;
  };
  /** Names and values in turn, as received. Node keeps one of two `Authorization` headers: only here are both. */
  readonly rawHeaders?: readonly string[];
}

/** @throws TypeError for what is no request of Node's, which names the mistake */
export function requireNodeRequest(source: unknown): asserts source is CredentialsSource {
  const { headers } = Object(source) as { headers?: unknown };
  if (typeof headers !== "object" || headers === null) {
    throw new TypeError("pass the request: an object with the member headers");
  }
  if (typeof (headers as { get?: unknown }).get === "function") {
    throw new TypeError("this is a fetch Request: take agentIdentityAuth of agent-identity-auth/fetch for it");
  }
}

/** Where in `rawHeaders` the name of an `Authorization` header stands, with its value after it; -1 for nowhere. */
export function findAuthorization(rawHeaders: readonly string[], from = 0): number {
  for (let i = from; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === "authorization".length && name.toLowerCase() === "authorization") return i;
  }
  return -1;
}
