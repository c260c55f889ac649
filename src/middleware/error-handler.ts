/** What the error handlers of all frameworks have in common. */

import { aFunction, checkOptions } from "../protocol/options.js";
import type { AgentIdentityError } from "../verify/outcome/errors.js";

/** Options of `agentIdentityErrorHandler`. */
export interface ErrorHandlerOptions<Request> {
  /** Called with each error that is answered, before the answer: for your log. Default: none. */
  onError?: ((error: AgentIdentityError, req: Request) => void) | undefined;
}

/** Headers that describe another answer: the handler may have set them before the error. */
export const HEADERS_OF_ANOTHER_ANSWER: readonly string[] = [
  "Content-Length",
  "Transfer-Encoding",
  "Content-Encoding",
  "Content-Range",
  "ETag",
  "Last-Modified",
];

/**
 * @param argumentCount how many arguments the factory got: a framework on which the factory itself is mounted passes several
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
