/** One attempt to fetch a key set, and the event that tells of it. It never throws. */

import { monotonicNow } from "../../runtime/captured-globals.js";
import { fetchBytes, type FetchAnswer } from "../../runtime/bounded-fetch.js";
import type { Fetch } from "../../runtime/fetch.js";
import { parseUtf8Json } from "../../protocol/encoding.js";
import { publishJwksFetch } from "../outcome/diagnostics.js";
import { parseKeySet, type KeySet } from "./key-set.js";

export interface JwksRequest {
  readonly url: string;
  readonly fetch: Fetch | undefined;
  /** ms, for everything from the connection to the last byte. */
  readonly timeoutDuration: number;
  /** Called when the answer has come: the set that it may replace. */
  readonly previous: () => KeySet | undefined;
}

export type JwksAnswer =
  { readonly keySet: KeySet; readonly status: number } | Exclude<FetchAnswer, { readonly body: Buffer }>;

/** In bytes: several hundred keys. */
export const MAX_JWKS_SIZE = 256 * 1024;

export async function fetchJwks(request: JwksRequest): Promise<JwksAnswer> {
  const startedAt = monotonicNow();
  const { url, previous } = request;
  const answer = await requestJwks(request);
  const outcome = "body" in answer ? parseJwks(answer, previous()) : answer;
  publishJwksFetch(() => ({
    url,
    ...("error" in outcome
      ? { outcome: "failure", kids: [], error: outcome.error }
      : { outcome: "success", kids: outcome.keySet.kids }),
    ...(outcome.status !== undefined && { status: outcome.status }),
    durationMs: monotonicNow() - startedAt,
  }));
  return outcome;
}

/** The request alone. */
export function requestJwks({ url, fetch, timeoutDuration }: Omit<JwksRequest, "previous">): Promise<FetchAnswer> {
  const headers = { accept: "application/jwk-set+json, application/json" };
  return fetchBytes({ url, headers, fetch, timeoutDuration, maxSize: MAX_JWKS_SIZE });
}

export function parseJwks({ status, body }: { status: number; body: Buffer }, previous?: KeySet): JwksAnswer {
  if (status !== 200) return { status, error: `status ${status}` };
  let document: unknown;
  try {
    document = parseUtf8Json(body);
  } catch {
    return { status, error: "not JSON" };
  }
  const keySet = parseKeySet(document, previous);
  return typeof keySet === "string" ? { status, error: keySet } : { status, keySet };
}
