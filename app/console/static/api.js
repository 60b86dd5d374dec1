/** The API of the process that serves this page, and who is signed in at it. */

const ROOT = document.documentElement.dataset.api;
const TOKEN = "orderflow.token";
// Above the longest answer that is not held; a page that waits longer says so instead.
const PATIENCE_MS = 20_000;

/** Whether a gateway serves this page; a worker else. */
export const onGateway = ROOT !== "";

/** An answer that is not as hoped: an RFC 9457 problem, or no answer at all (status 0). */
export class Problem extends Error {
  constructor(status, title, detail, traceId) {
    super(detail || title);
    Object.assign(this, { status, title, detail: detail || title, traceId });
  }
}

export const session = new (class extends EventTarget {
  #asking = null;
  /** Set by main.js: asks for a token; resolves to it, or to null. */
  ask = async () => null;

  get token() {
    return sessionStorage.getItem(TOKEN);
  }

  set token(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
    this.dispatchEvent(new Event("change"));
  }

  /** Ask once for all that were refused; whoever says no is not asked again before `reset`. */
  refused(detail) {
    this.#asking ??= this.ask(detail).then((token) => {
      if (token) {
        this.#asking = null;
        this.token = token;
      }
      return token;
    });
    return this.#asking;
  }

  reset() {
    this.#asking = null;
  }
})();

function headersOf(more) {
  const headers = { Accept: "application/json", ...more };
  if (session.token) headers.Authorization = `Bearer ${session.token}`;
  return headers;
}

async function problemOf(response) {
  let told = {};
  try {
    told = await response.json();
  } catch {
    // Whoever answered is not one of ours: a proxy.
  }
  const problem = new Problem(
    response.status,
    told.title ?? response.statusText,
    [told.detail, ...(told.errors ?? []).map((each) => `${each.field}: ${each.detail}`)].filter(Boolean).join(" "),
    told.traceId ?? response.headers.get("X-Trace-Id"),
  );
  return Object.assign(problem, { told, instance: response.headers.get("X-Instance-Id") });
}

/** Send a request; again after a sign-in, if the answer is 401. */
export async function send(path, { method = "GET", body, headers, signal, patience = PATIENCE_MS } = {}) {
  const used = session.token;
  const options = { method, headers: headersOf(headers), cache: "no-store" };
  options.signal = AbortSignal.any([signal, patience && AbortSignal.timeout(patience)].filter(Boolean));
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(ROOT + path, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    const late = error.name === "TimeoutError";
    throw new Problem(
      0,
      "No answer",
      late ? "The server did not answer in time." : "The server can't be reached. It is asked again.",
    );
  }
  if (response.status === 401) {
    const problem = await problemOf(response);
    // Somebody may have signed in while this was under way.
    const token = session.token !== used ? session.token : await session.refused(problem.detail);
    if (token && token !== used) return send(path, { method, body, headers, signal, patience });
    throw problem;
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** The JSON of an answer. */
export async function call(path, options) {
  const response = await send(path, options);
  return response.json();
}

/** A path of the API: `at`orders/${id}`` with what is data encoded. */
export function at(parts, ...values) {
  return parts.reduce((path, part, n) => path + encodeURIComponent(values[n - 1]) + part);
}

/** A query string of what is not empty. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
