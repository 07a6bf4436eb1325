/** The query string as an object; of a name that comes twice the last value. */
export function queryOf(request: Request): Record<string, string> {
  return request.url.includes("?") ? Object.fromEntries(new URL(request.url).searchParams) : {};
}
