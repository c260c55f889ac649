/** WebSocket upgrades: Node hands over a bare socket, whose errors end the process unless somebody listens. */

import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { AgentIdentity } from "../protocol/agent-identity.js";
import type { Authenticate } from "../verify/http/authenticator.js";
import { requireNodeRequest, type CredentialsSource } from "../verify/http/request-headers.js";
import { toErrorAnswer, type ErrorAnswer, type ErrorFactory } from "../verify/outcome/errors.js";
import { identityOrThrow, type Outcome } from "../verify/outcome/verdict.js";

/** The answer to a fault of the server. A warning tells the operator. */
const SERVER_ERROR: ErrorAnswer = { status: 500, headers: { "Cache-Control": "no-store" }, body: "" };

export async function upgrade(
  authenticate: Authenticate<Outcome>,
  req: CredentialsSource,
  socket: Duplex,
  toError: ErrorFactory,
): Promise<AgentIdentity | undefined> {
  if (typeof (socket as Partial<Duplex> | undefined)?.end !== "function") {
    throw new TypeError("upgrade takes the request and its socket: agents.upgrade(req, socket)");
  }
  socket.on("error", closed); // Node has taken its own listener away; this one stays
  try {
    requireNodeRequest(req);
    const identity = identityOrThrow(await authenticate(req), toError);
    return socket.destroyed ? undefined : identity;
  } catch (error) {
    const answer = toErrorAnswer(error);
    refuse(socket, answer ?? SERVER_ERROR);
    if (answer === undefined) process.emitWarning(new Error("a WebSocket upgrade failed", { cause: error }));
    return undefined;
  }
}

/** Nothing is to be done: "close" follows a reset. */
function closed(): void {
  // Without a listener, the error ends the process.
}

function refuse(socket: Duplex, { status, headers, body }: ErrorAnswer): void {
  const fields = { ...headers, Connection: "close", "Content-Length": String(Buffer.byteLength(body)) };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  // The client may keep its half open for ever.
  socket.once("finish", () => socket.destroy());
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`, ...lines, "", body].join("\r\n"));
}
