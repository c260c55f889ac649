/** One attempt to fetch a key set: one deadline for all of it, a cap on its size, no redirects. It never throws. */

import { channel } from "node:diagnostics_channel";
import { types } from "node:util";
import { monotonicNow } from "../../runtime/captured-globals.js";
import { parseUtf8Json } from "../../protocol/encoding.js";
import { ownProperties } from "../../protocol/options.js";
import { withDeadline } from "../../runtime/thenable.js";
import { parseKeySet, type KeySet } from "./key-set.js";

/** What is used of `fetch`; the global one fits, and undici's. */
export type JwksFetch = (
  url: string,
  init: { headers: Record<string, string>; redirect: "manual"; signal?: AbortSignal; cache?: "no-store" },
) => Promise<JwksResponse>;

/** What is used of a `Response`. */
export interface JwksResponse {
  /** Of HTTP. */
  readonly status: number;
  /** Whether redirects were followed, which is refused. */
  readonly redirected: boolean;
  /** `Retry-After` is read. */
  readonly headers: {
    /** By name, in whatever case. */
    get(name: string): string | null;
  };
  /** A stream of bytes. */
  readonly body: object | null;
}

/** What `agent-identity-auth:jwks.fetch` publishes when an attempt to fetch a key set has ended. */
export interface JwksFetchEvent {
  /** What was asked. */
  readonly url: string;
  /** Whether there was a usable key set. */
  readonly outcome: "success" | "failure";
  /** Of HTTP, where there was an answer. */
  readonly status?: number;
  /** The ids of the usable keys; none with a failure. */
  readonly kids: readonly string[];
  /** ms, to the last byte. */
  readonly durationMs: number;
  /** Only of a failure: what is wrong, in words of our own. */
  readonly error?: string;
}

export interface JwksRequest {
  readonly url: string;
  readonly fetch: JwksFetch | undefined;
  /** ms, for everything from the connection to the last byte. */
  readonly timeoutDuration: number;
  /** Asked for once the answer is there. */
  readonly previous: () => KeySet | undefined;
}

export type JwksAnswer =
  | { readonly keySet: KeySet; readonly status: number }
  | { readonly error: string; readonly status?: number; /** ms */ readonly retryAfter?: number };

/** Bytes. A set of this size holds several hundred keys. */
export const MAX_JWKS_SIZE = 256 * 1024;

const fetchChannel = channel("agent-identity-auth:jwks.fetch");

export async function fetchJwks(request: JwksRequest): Promise<JwksAnswer> {
  const startedAt = monotonicNow();
  const answer = await fetchBeforeDeadline(request);
  if (fetchChannel.hasSubscribers) {
    const failed = "error" in answer;
    const event: JwksFetchEvent = {
      url: request.url,
      outcome: failed ? "failure" : "success",
      ...(answer.status !== undefined && { status: answer.status }),
      kids: failed ? [] : answer.keySet.kids,
      durationMs: monotonicNow() - startedAt,
      ...(failed && { error: answer.error }),
    };
    fetchChannel.publish(event);
  }
  return answer;
}

async function fetchBeforeDeadline(request: JwksRequest): Promise<JwksAnswer> {
  const abort = new AbortController();
  const { timeoutDuration } = request;
  try {
    // Not left to the signal, which a custom `fetch` may not heed.
    return await withDeadline(download(request, abort.signal), timeoutDuration, () => ({
      error: `no complete answer within ${timeoutDuration} ms`,
    }));
  } catch (error) {
    return { error: describeNetworkError(error) };
  } finally {
    abort.abort(); // whatever is left of the answer is not wanted
  }
}

async function download({ url, fetch, previous }: JwksRequest, signal: AbortSignal): Promise<JwksAnswer> {
  const headers: Record<string, string> = { accept: "application/jwk-set+json, application/json" };
  // Minutes pass between two fetches: a connection that was kept would be one that the endpoint is about to close.
  if (fetch === undefined) headers["connection"] = "close";
  const init = ownProperties({
    headers,
    redirect: "manual" as const,
    ...accepted({ signal }),
    ...accepted({ cache: "no-store" as const }), // a key that is withdrawn must not live on in an HTTP cache
  });
  const response = await (fetch ?? globalThis.fetch)(url, init);
  const { status } = response;
  if (response.redirected) return { status, error: "the answer was redirected" };
  if (status !== 200) {
    const retryAfter = parseRetryAfter(response.headers.get("retry-after") ?? "");
    return { status, error: `status ${status}`, ...(retryAfter > 0 && { retryAfter }) };
  }
  const body = await readBody(response, signal);
  if (body === undefined) return { status, error: `an answer of more than ${MAX_JWKS_SIZE} bytes` };
  const keySet = parseJwks(body, previous());
  return typeof keySet === "string" ? { status, error: keySet } : { status, keySet };
}

/**
 * A member of a fetch's options, unless this runtime refuses it, and with it every fetch. Some do not know `cache`, and Node
 * takes no signal of jsdom's. What it is for is raced as well.
 */
function accepted<T extends { signal: AbortSignal } | { cache: "no-store" }>(member: T): T | undefined {
  try {
    new Request("http://localhost", member as RequestInit);
    return member;
  } catch {
    return undefined;
  }
}

/** In ms; `NaN` if it is neither seconds nor a date (RFC 9110 §10.2.3). */
function parseRetryAfter(value: string): number {
  return /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
}

/** `undefined` if it is too large; reading stops there. */
async function readBody(response: JwksResponse, signal: AbortSignal): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    // A custom fetch may not end its stream at the deadline, nor give bytes.
    signal.throwIfAborted();
    if (!types.isUint8Array(chunk)) throw new TypeError("not a byte stream");
    size += chunk.byteLength;
    if (size > MAX_JWKS_SIZE) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function parseJwks(body: Buffer, previous?: KeySet): KeySet | string {
  let document: unknown;
  try {
    document = parseUtf8Json(body);
  } catch {
    return "not JSON";
  }
  return parseKeySet(document, previous);
}

/** A code such as `ECONNREFUSED`; never the message, which is a library's. */
function describeNetworkError(error: unknown): string {
  try {
    const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
    const known = [cause?.code, code].find((value) => typeof value === "string" && /^[A-Z][A-Z0-9_]*$/.test(value));
    if (known !== undefined) return `no answer (${known as string})`;
  } catch {
    // A custom fetch may reject with whatever it likes.
  }
  return "no answer";
}
