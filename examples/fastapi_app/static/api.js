/** The REST client. Every change that a user makes is sent here, and all clients receive it as an event. */

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Api {
  constructor(token = null) {
    this.token = token;
  }

  get = (path) => this.#request("GET", path);
  /** The answer, and the position in the history of events from which on `channel/follow` adds to it, or null. */
  snapshot = (path) => this.#request("GET", path, undefined, (answer, headers) => [answer, headers.get("X-Position")]);
  post = (path, body) => this.#request("POST", path, body);
  patch = (path, body) => this.#request("PATCH", path, body);
  put = (path, body) => this.#request("PUT", path, body);
  delete = (path) => this.#request("DELETE", path);

  async #request(method, path, body, read = (answer) => answer) {
    const headers = { Accept: "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(address(path), {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
    } catch {
      throw new ApiError(0, "The server cannot be reached.");
    }
    const answer = await response.json().catch(() => null);
    if (response.ok) return read(answer, response.headers);
    throw new ApiError(response.status, reason(answer) ?? `The server answered ${response.status}.`);
  }
}

/** A path of the application as a URL, also if the application is mounted below a prefix. */
export function address(path) {
  return new URL(path.replace(/^\//, ""), document.baseURI).href;
}

/** `path` with its `{}` filled in order, each value escaped. */
export function at(path, ...values) {
  return path.replaceAll("{}", () => encodeURIComponent(values.shift()));
}

/** FastAPI's description of an error: a text, or a list of fields. */
function reason(answer) {
  const detail = answer?.detail;
  if (Array.isArray(detail)) return detail.map(({ loc, msg }) => `${loc?.at(-1) ?? "Input"}: ${msg}`).join("; ");
  return typeof detail === "string" ? detail : null;
}
