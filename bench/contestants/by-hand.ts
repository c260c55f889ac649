/** The middleware that one writes around a library that only verifies tokens. */

import type { Request, RequestHandler } from "express";

export type VerifiedClaims = Readonly<Record<string, unknown>>;

export function bearerMiddleware(verify: (token: string) => Promise<VerifiedClaims>): RequestHandler {
  return async (req, res, next) => {
    const { authorization } = req.headers;
    if (authorization?.startsWith("Bearer ") !== true) {
      res.status(401).json({ error: "no bearer token" });
      return;
    }
    let claims: VerifiedClaims;
    try {
      claims = await verify(authorization.slice("Bearer ".length));
    } catch {
      res.status(401).json({ error: "invalid token" });
      return;
    }
    setAuth(req, claims);
    next();
  };
}

/** `req.auth` is where the middlewares of others leave the claims, too. */
interface AuthenticatedRequest {
  auth?: VerifiedClaims;
}

function setAuth(req: unknown, claims: VerifiedClaims): void {
  (req as AuthenticatedRequest).auth = claims;
}

export function agentOf(req: Request): string | undefined {
  const { auth } = req as unknown as AuthenticatedRequest;
  return auth?.["agent_runtime_id"] as string | undefined;
}
