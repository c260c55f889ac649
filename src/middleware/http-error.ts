import createError from "http-errors";
import type { AgentIdentityError } from "../verify/outcome/errors.js";

/** The same object, as `http-errors` marks those that Express, Koa and Fastify answer with. */
export function toHttpError(error: AgentIdentityError): AgentIdentityError {
  createError(error.status, error, { expose: true });
  return error;
}
