import type { ErrorAnswer } from "../outcome/errors.js";

/** The answer to a refused request, for servers of `Request` and `Response`. */
export function responseOf({ status, headers, body }: ErrorAnswer): Response {
  return new Response(body, { status, headers });
}
