/** REST calls: JSON in, JSON out, and a Problem where the service refuses (RFC 9457). */

export class Problem extends Error {
  /** status 0: the service did not answer at all. errors: `{field, value, message}` each. */
  constructor(status, detail, errors = []) {
    super(detail);
    this.status = status;
    this.errors = errors;
  }
}

/** Call the service; `body` is sent as JSON. Returns what it answers, null where that is nothing. */
export async function call(method, path, body) {
  const options = { method, headers: { Accept: "application/json" }, cache: "no-cache" };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Problem(0, "The service does not answer. Is it still running?");
  }
  if (!response.ok) throw await problemOf(response);
  return response.status === 204 ? null : response.json();
}

/** Read what the service says of a request that it refused. */
export async function problemOf(response) {
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) return new Problem(401, "You are signed out: sign in again.");
  return new Problem(response.status, told.detail ?? response.statusText, told.errors ?? []);
}
