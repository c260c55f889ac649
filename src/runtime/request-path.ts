/** The path of a request's URL, without the query. */
export function requestPath(url: string | undefined): string {
  return url?.split("?", 1)[0] ?? "";
}
