/** A process that a test waits for: everything that it asks hangs, and it has nothing else to do. */

import { agentIdentityAuth, createVerifier } from "../../src/index.js";
import { assertion, createAgent } from "../support/assertions.js";

const [baseUrl = "", token = ""] = process.argv.slice(2);
const never = (): Promise<never> => new Promise(() => undefined);
const minute = 60_000;

const jwks = { fetch: never, timeoutDuration: minute };
void createVerifier(baseUrl, { jwks }).verify(token);
void createVerifier(baseUrl, { jwks: { ...jwks, store: { get: never, set: never } } }).verify(token);
// The endpoint answers, and the set waits to be refreshed.
const { verifier } = agentIdentityAuth(baseUrl, { jwks: { cacheMaxAge: minute } });
await verifier.jwks.ready();

const directory = { findAgent: never, findTask: never };
const authorization = assertion(createAgent("agent-1"));
void agentIdentityAuth(baseUrl, { directory: directory }).authenticate({ headers: { authorization } });

// Started last, so that nothing of the above is over before it is looked at.
setImmediate(() => {
  const timers = process.getActiveResourcesInfo().filter((name) => name === "Timeout");
  if (timers.length > 0) throw new Error(`${timers.length} timers keep the process alive`);
});
