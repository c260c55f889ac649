/** One attempt to fetch a key set, with one deadline, a bound on its size, and no redirects. It never throws. */

import { types } from "node:util";
import { monotonicNow } from "../../runtime/captured-globals.js";
import { parseUtf8Json } from "../../protocol/encoding.js";
import { ownProperties } from "../../protocol/options.js";
import { withDeadline } from "../../runtime/thenable.js";
import { publishJwksFetch } from "../outcome/diagnostics.js";
import { parseKeySet, type KeySet } from "./key-set.js";

/** The part of `fetch` that this package uses. The global `fetch` has this type, and undici's. */
export type JwksFetch = (
  url: string,
  init: { headers: Record<string, string>; redirect: "manual"; signal?: AbortSignal; cache?: "no-store" },
) => Promise<JwksResponse>;

/** The part of a `Response` that this package uses. */
export interface JwksResponse {
  /** The HTTP status. */
  readonly status: number;
  /** Whether `fetch` followed a redirect. Such an answer is refused. */
  readonly redirected: boolean;
  /** Only `Retry-After` is read. */
  readonly headers: {
    /** The case of the name does not matter. */
    get(name: string): string | null;
  };
  /** A stream of bytes. */
  readonly body: object | null;
}

export interface JwksRequest {
  readonly url: string;
  readonly fetch: JwksFetch | undefined;
  /** ms, for everything from the connection to the last byte. */
  readonly timeoutDuration: number;
  /** Called when the answer has come: the set that it may replace. */
  readonly previous: () => KeySet | undefined;
}

export type JwksAnswer =
  | { readonly keySet: KeySet; readonly status: number }
  | { readonly error: string; readonly status?: number; /** ms */ readonly retryAfter?: number };

/** In bytes: several hundred keys. */
export const MAX_JWKS_SIZE = 256 * 1024;

export async function fetchJwks(request: JwksRequest): Promise<JwksAnswer> {
  const startedAt = monotonicNow();
  const answer = await fetchBeforeDeadline(request);
  publishJwksFetch(() => ({
    url: request.url,
    ...("error" in answer
      ? { outcome: "failure", kids: [], error: answer.error }
      : { outcome: "success", kids: answer.keySet.kids }),
    ...(answer.status !== undefined && { status: answer.status }),
    durationMs: monotonicNow() - startedAt,
  }));
  return answer;
}

async function fetchBeforeDeadline(request: JwksRequest): Promise<JwksAnswer> {
  const abort = new AbortController();
  const { timeoutDuration } = request;
  try {
    // The signal alone is not enough: a custom `fetch` may ignore it.
    return await withDeadline(download(request, abort.signal), timeoutDuration, () => ({
      error: `no complete answer within ${timeoutDuration} ms`,
    }));
  } catch (error) {
    return { error: describeNetworkError(error) };
  } finally {
    abort.abort(); // nobody reads the rest of the answer
  }
}

async function download({ url, fetch, previous }: JwksRequest, signal: AbortSignal): Promise<JwksAnswer> {
  const headers: Record<string, string> = { accept: "application/jwk-set+json, application/json" };
  // Minutes pass between two fetches, so the endpoint may close a kept connection just as it is used again.
  if (fetch === undefined) headers["connection"] = "close";
  const init = ownProperties({
    headers,
    redirect: "manual" as const,
    ...accepted({ signal }),
    ...accepted({ cache: "no-store" as const }), // an HTTP cache must not keep a withdrawn key alive
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
 * The member, or `undefined` where this runtime refuses it: some runtimes do not know `cache`, and Node's `fetch` refuses a
 * signal of jsdom. A refused member would make every fetch fail; without the signal, the deadline still holds.
 */
function accepted<T extends { signal: AbortSignal } | { cache: "no-store" }>(member: T): T | undefined {
  try {
    new Request("http://localhost", member as RequestInit);
    return member;
  } catch {
    return undefined;
  }
}

/** @returns ms; `NaN` if the value is neither seconds nor a date (RFC 9110 §10.2.3) */
function parseRetryAfter(value: string): number {
  return /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
}

/** @returns `undefined` for a body that is too large: the rest is not read */
async function readBody(response: JwksResponse, signal: AbortSignal): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    // A custom `fetch` may go on after the deadline, or give something else than bytes.
    signal.throwIfAborted();
    if (!types.isUint8Array(chunk)) throw new TypeError("not a byte stream");
    size += chunk.byteLength;
    if (size > MAX_JWKS_SIZE) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJwks(body: Buffer, previous?: KeySet): KeySet | string {
  let document: unknown;
  try {
    document = parseUtf8Json(body);
  } catch {
    return "not JSON";
  }
  return parseKeySet(document, previous);
}

/** Gives a code such as `ECONNREFUSED`, and never a message, because a library wrote that. */
function describeNetworkError(error: unknown): string {
  try {
    const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
    const known = [cause?.code, code].find((value) => typeof value === "string" && /^[A-Z][A-Z0-9_]*$/.test(value));
    if (known !== undefined) return `no answer (${known as string})`;
  } catch {
    // A custom `fetch` may reject with a value that throws when it is read.
  }
  return "no answer";
}
