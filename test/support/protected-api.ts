/** A verifier with a key set of its own, whose backend can be made to fail. Each question says what has to come of it. */

import { expect } from "vitest";
import { createVerifier, type AgentIdentityError, type JwksOptions, type Verifier } from "../../src/index.js";
import { mint } from "./agents.js";
import { startBackend, type Backend } from "./servers.js";

export interface Asked {
  /** Seconds, of `Retry-After`. */
  retryAfter: number;
  /** ms. */
  duration: number;
}

type Ask = (token?: string) => Promise<Asked>;

export interface ProtectedApi {
  backend: Backend;
  verifier: Verifier;
  /** Fails unless the token is accepted. */
  valid: Ask;
  /** Fails unless the answer is 401. */
  invalid: Ask;
  /** Fails unless the answer is 503, with a `Retry-After` of 1 to 30 s. */
  unavailable: Ask;
}

/** The resolver is a private one: `jwks` may be empty. */
export async function startProtectedApi(jwks: JwksOptions = {}): Promise<ProtectedApi> {
  const backend = await startBackend();
  const verifier = createVerifier(backend.baseUrl, { jwks });
  const ask =
    (expected: number): Ask =>
    async (token = mint()) => {
      const startedAt = process.hrtime.bigint(); // not the clocks that tests move
      const error = await verifier.verify(token).then(
        () => undefined,
        (reason: unknown) => reason as AgentIdentityError,
      );
      expect(error?.status ?? 200, error?.code).toBe(expected);
      const retryAfter = Number(error?.headers["Retry-After"]);
      if (expected === 503) expect(retryAfter >= 1 && retryAfter <= 30, error?.headers["Retry-After"]).toBe(true);
      return { retryAfter, duration: Number(process.hrtime.bigint() - startedAt) / 1e6 };
    };
  return { backend, verifier, valid: ask(200), invalid: ask(401), unavailable: ask(503) };
}

export const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;
