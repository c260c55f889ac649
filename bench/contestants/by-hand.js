/** What contestants share: the floor, and the code that a user writes around a library that only verifies tokens. */

import { hash, randomUUID } from "node:crypto";

/** As long as the id of an agent, so that the answers have the same size. */
export const nobody = randomUUID();

const tokenOf = (authorization) => (authorization?.startsWith("Bearer ") ? authorization.slice(7) : undefined);

function ReturnsItsArgument(object) {
  return object;
}

/** Puts a private field on an object that exists already. */
class Kept extends ReturnsItsArgument {
  #authorization;

  constructor(headers, authorization) {
    super(headers);
    this.#authorization = authorization;
  }

  static of = (headers) => headers.#authorization;
}

/** The least that a middleware with a cache of verified credentials does. It verifies nothing. */
export function readToken(authorization = "") {
  return hash("sha256", tokenOf(authorization) ?? authorization); // an AgentAssertion, with its scheme
}

/** The floor: as little, and the token leaves the request as this package's middleware makes it leave. */
export function readAndHideToken({ headers, rawHeaders }) {
  const { authorization } = headers;
  const placeholder = `Bearer hidden.${readToken(authorization).slice(0, 16)}`;
  headers.authorization = placeholder;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name.length === 13 && name.toLowerCase() === "authorization") rawHeaders[i + 1] = placeholder;
  }
  new Kept(headers, authorization);
}

/** Decodes a token and verifies nothing: the yardstick of refusals. Returns the error, if the token is bad. */
export function refuseByHand(authorization) {
  const refusal = (message) => Object.assign(new Error(message), { status: 401 });
  const token = tokenOf(authorization);
  if (token === undefined) return refusal("no bearer token");
  try {
    const [header, claims] = token.split(".", 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
    if (claims.exp < Date.now() / 1000) return refusal("expired token");
    return header.kid === "unknown" ? refusal("unknown key") : undefined;
  } catch {
    return refusal("malformed token");
  }
}

/** The middleware on Express around a library that only verifies tokens. */
export function bearerMiddleware(verify) {
  return async (req, res, next) => {
    const token = tokenOf(req.headers.authorization);
    if (token === undefined) return void res.status(401).json({ error: "no bearer token" });
    try {
      req.auth = await verify(token);
    } catch {
      return void res.status(401).json({ error: "invalid token" });
    }
    next();
  };
}

/** The options of this package in each of its roles. */
export function optionsOf(role, trust) {
  return { directory: role === "directory" ? directoryOf(trust) : undefined, keepCredentials: role === "keeping" };
}

/** A directory that answers at once. */
export function directoryOf({ agents }) {
  const keys = new Map(agents);
  const expiresAt = Math.floor(Date.now() / 1000) + 86_400;
  const account = { accountId: "a", chatgptUserId: "u", planType: "pro", chatgptAccountIsFedramp: false };
  return {
    findAgent: (id) => (keys.has(id) ? { publicKey: keys.get(id), ...account } : undefined),
    findTask: (id) => (keys.has(id) ? { agentRuntimeId: id, expiresAt } : undefined),
  };
}
