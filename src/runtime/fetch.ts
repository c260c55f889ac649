/** The part of `fetch` that this package uses. The global `fetch` has this type, and undici's. */
export type Fetch = (
  url: string,
  init: {
    method?: "POST";
    headers: Record<string, string>;
    body?: string;
    redirect: "manual";
    signal?: AbortSignal;
    cache?: "no-store";
  },
) => Promise<FetchResponse>;

/** The part of a `Response` that this package uses. */
export interface FetchResponse {
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
