/** The metadata of a protected resource (RFC 9728). */

import { requestPath } from "../runtime/request-path.js";
import { aResourceMetadataUrl } from "../verify/outcome/challenge.js";

/** Seconds that clients may keep the document. */
const MAX_AGE = 3600;

/** The part of a Node request and response that the metadata uses. */
interface MetadataRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  /** Express: the URL before a mount path was cut off. */
  readonly originalUrl?: string | undefined;
}

interface MetadataResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body?: string): unknown;
}

/** Serves the document at its well-known path, and passes on all other requests. */
export interface McpMetadata {
  (req: MetadataRequest, res: MetadataResponse, next: () => void): void;
  /** The URL of the document, which every challenge names. */
  readonly url: string;
  /** The answer to a request for the document, or `undefined` for any other request. */
  fetch(request: Request): Response | undefined;
}

/** @throws TypeError that names the fix */
export function resourceUrlOf(resource: unknown): URL {
  const text = Object.prototype.toString.call(resource) === "[object URL]" ? String(resource) : resource;
  if (!aResourceMetadataUrl.accepts(text)) {
    throw new TypeError(
      `agentIdentityAuth: resource must be ${aResourceMetadataUrl.expected}: the URL of the MCP server`,
    );
  }
  return new URL(text as string);
}

export function createMetadata(resource: URL): McpMetadata {
  const path = `/.well-known/oauth-protected-resource${resource.pathname === "/" ? "" : resource.pathname}`; // RFC 9728 §3.1
  const url = new URL(path + resource.search, resource).href;
  const document = JSON.stringify({ resource: resource.href, bearer_methods_supported: ["header"] });

  const answer = (method: string | undefined): { status: number; headers: Record<string, string>; body?: string } => {
    const headers = {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
      "Access-Control-Allow-Headers": "MCP-Protocol-Version",
    };
    if (method === "OPTIONS") return { status: 204, headers };
    if (method !== "GET" && method !== "HEAD")
      return { status: 405, headers: { ...headers, Allow: "GET, HEAD, OPTIONS" } };
    const found = { ...headers, "Content-Type": "application/json", "Cache-Control": `public, max-age=${MAX_AGE}` };
    return { status: 200, headers: found, ...(method === "GET" && { body: document }) };
  };

  const middleware = (req: MetadataRequest, res: MetadataResponse, next: () => void): void => {
    if (requestPath(req.originalUrl ?? req.url) !== path) {
      next();
      return;
    }
    const { status, headers, body } = answer(req.method);
    res.statusCode = status;
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    res.end(body);
  };
  return Object.assign(middleware, {
    url,
    fetch(request: Request): Response | undefined {
      if (new URL(request.url).pathname !== path) return undefined;
      const { status, headers, body = null } = answer(request.method);
      return new Response(body, { status, headers });
    },
  });
}
