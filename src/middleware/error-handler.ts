/** What the error handlers of all frameworks have in common. */

import { aFunction, checkOptions } from "../protocol/options.js";
import type { AgentIdentityError } from "../verify/outcome/errors.js";

/** Options of `agentIdentityErrorHandler`. */
export interface ErrorHandlerOptions<Request> {
  /** Called with each error that is answered, before the answer: for a log of yours. Default: none. */
  onError?: ((error: AgentIdentityError, req: Request) => void) | undefined;
}

/** They may have been set for the answer that the handler would have given. */
export const HEADERS_OF_ANOTHER_ANSWER: readonly string[] = [
  "Content-Length",
  "Transfer-Encoding",
  "Content-Encoding",
  "Content-Range",
  "ETag",
  "Last-Modified",
];

/**
 * @param argumentCount how many the factory was called with: a framework that it is mounted on calls it with several
 * @throws TypeError that names the fix
 */
export function checkErrorHandlerOptions<Request>(
  options: ErrorHandlerOptions<Request> | undefined,
  argumentCount: number,
): ErrorHandlerOptions<Request> {
  const where = "agentIdentityErrorHandler";
  if (argumentCount > 1) throw new TypeError(`${where} is mounted without its call: write app.use(${where}())`);
  return checkOptions<ErrorHandlerOptions<Request>>(where, options, { onError: aFunction });
}
