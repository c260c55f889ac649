/** One HTTP request with one deadline and a bound on the size of the answer. It follows no redirect, and it never rejects. */

import type { Fetch } from "./fetch.js";
import { readBytes } from "./read-bytes.js";
import { withDeadline } from "./thenable.js";

export interface FetchRequest {
  readonly url: string;
  readonly headers: Record<string, string>;
  /** Sent with POST; without it, the request is a GET. */
  readonly body?: string;
  /** `undefined` for the global one, as it is at the moment of the request. */
  readonly fetch: Fetch | undefined;
  /** ms, for everything from the connection to the last byte. */
  readonly timeoutDuration: number;
  /** Bytes. The rest of a larger answer is not read. */
  readonly maxSize: number;
}

/** `error` is fit for a log: no text of the server or of a library is in it. */
export type FetchAnswer =
  | { readonly status: number; readonly body: Buffer }
  | { readonly error: string; readonly status?: number; /** ms */ readonly retryAfter?: number };

export async function fetchBytes(request: FetchRequest): Promise<FetchAnswer> {
  const abort = new AbortController();
  const { timeoutDuration } = request;
  try {
    // The signal alone is not enough: a custom `fetch` may ignore it.
    return await withDeadline(send(request, abort.signal), timeoutDuration, () => ({
      error: `no complete answer within ${timeoutDuration} ms`,
    }));
  } catch (error) {
    return { error: describeNetworkError(error) };
  } finally {
    abort.abort(); // nobody reads the rest of the answer
  }
}

async function send(request: FetchRequest, signal: AbortSignal): Promise<FetchAnswer> {
  const { url, body, fetch, maxSize } = request;
  const headers = { ...request.headers };
  // Minutes pass between two requests, so the server may close a kept connection just as it is used again.
  if (fetch === undefined) headers["connection"] = "close";
  const init = {
    __proto__: null,
    headers,
    ...(body !== undefined && { method: "POST" as const, body }),
    redirect: "manual" as const,
    ...accepted({ signal }),
    ...accepted({ cache: "no-store" as const }), // an HTTP cache must not keep a withdrawn key alive
  };
  const response = await (fetch ?? globalThis.fetch)(url, init);
  const { status } = response;
  if (response.redirected) return { status, error: "the answer was redirected" };
  if (status < 200 || status > 299) {
    const retryAfter = parseRetryAfter(response.headers.get("retry-after") ?? "");
    return { status, error: `status ${status}`, ...(retryAfter > 0 && { retryAfter }) };
  }
  const bytes = await readBytes((response.body ?? []) as AsyncIterable<unknown>, maxSize, signal);
  return bytes === undefined ? { status, error: `an answer of more than ${maxSize} bytes` } : { status, body: bytes };
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
