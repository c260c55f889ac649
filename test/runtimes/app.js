/** The server under test: the same routes and the same adapter on every runtime. */

import { agentIdentityAuth, agentIdentityErrorResponse, createVerifier } from "../../dist/fetch.js";

/** @returns `(request: Request) => Promise<Response>` */
export function createApp(baseUrl, options) {
  const required = agentIdentityAuth(baseUrl, options);
  const optional = agentIdentityAuth(baseUrl, { ...options, credentialsRequired: false });
  const answer = (_request, identity) => Response.json(identity?.agentRuntimeId ?? "nobody");
  const acct1 = { forcedChatgptWorkspaceId: "acct-1" };
  const routes = {
    "/required": required.protect(answer),
    "/acct-1": required.restrictTo(acct1).protect(answer),
    "/acct-2": required.restrictTo({ forcedChatgptWorkspaceId: ["acct-2"] }).protect(answer),
    "/api-only": required.restrictTo({ forcedLoginMethod: "api" }).protect(answer),
    "/pro": required.require(async ({ planType }) => planType === "pro").protect(answer),
    "/optional": optional.protect(answer),
    "/optional/acct-1": optional.restrictTo(acct1).protect(answer),
    // A factory that is called for each request shares its keys all the same.
    "/per-request": (request) => agentIdentityAuth(baseUrl).protect(answer)(request),
    "/status": () => Response.json(required.verifier.jwks.status()),
    "/last-error": async () => {
      const { jwks } = createVerifier("http://127.0.0.1:65534", { jwks: {} });
      await jwks.ready().catch(() => undefined);
      return Response.json(jwks.status().lastError);
    },
  };
  return async (request) => {
    const handler = routes[new URL(request.url).pathname];
    try {
      return (await handler?.(request)) ?? new Response(null, { status: 404 });
    } catch (error) {
      return agentIdentityErrorResponse(error) ?? new Response(String(error), { status: 500 });
    }
  };
}
