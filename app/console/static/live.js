/**
 * The live summary: server-sent events over `fetch`, so that a token can be sent.
 *
 * However many events come, listeners are told once a frame, and the history is one point a second.
 */

import { Problem, send, session } from "./api.js";

// The feed says something every 10 s at the latest (app/web/analytics/feed.py): two of these are
// missed before the connection counts as dead.
const SILENCE_MS = 25_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
// Five minutes, a point a second.
export const HISTORY_POINTS = 300;
// An event that is longer is none of ours.
const EVENT_CHARACTERS = 1_000_000;

/** What the state is called, and told. */
const STATES = {
  starting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  partial: "Partial",
  refused: "Not signed in",
  denied: "Not allowed",
};

/** Server-sent events out of a text that comes in pieces. */
export class EventParser {
  #rest = "";

  *feed(piece) {
    this.#rest += piece;
    let end;
    while ((end = this.#rest.indexOf("\n\n")) >= 0) {
      const lines = this.#rest.slice(0, end).split("\n");
      this.#rest = this.#rest.slice(end + 2);
      let type = "message";
      const data = [];
      for (const line of lines) {
        if (line.startsWith("event:")) type = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
      }
      if (data.length) yield { type, data: data.join("\n") };
    }
    if (this.#rest.length > EVENT_CHARACTERS) throw new Error("An event without an end.");
  }
}

class Live extends EventTarget {
  state = "starting";
  detail = "";
  summary = null;
  /** Columns of the history: seconds, and orders, confirmed and cancelled a second. */
  history = { at: [], orders: [], confirmed: [], cancelled: [] };
  #base = null;
  #drawing = false;
  #attempt = 0;
  #running = null;

  start() {
    session.addEventListener("change", () => this.#again());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.state !== "live") this.#again();
    });
    this.#again();
  }

  /** Connect anew at once, whatever is under way. */
  #again() {
    this.#running?.abort();
    this.#running = new AbortController();
    this.#attempt = 0;
    this.#run(this.#running.signal);
  }

  async #run(signal) {
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
          this.#is(error.status === 401 ? "refused" : "denied", error.detail);
          return; // until somebody else signs in
        }
      }
      if (signal.aborted) return;
      this.#attempt += 1;
      this.#is("reconnecting", `Attempt ${this.#attempt}`);
      const wait = Math.min(FIRST_WAIT_MS * 2 ** (this.#attempt - 1), LONGEST_WAIT_MS);
      // Pages that lost the same server do not all come back at the same moment.
      await pause(wait * (0.5 + Math.random() / 2), signal);
    }
  }

  async #follow(signal) {
    const quiet = new AbortController();
    const response = await send("/analytics/stream", {
      headers: { Accept: "text/event-stream" },
      signal: AbortSignal.any([signal, quiet.signal]),
      patience: 0,
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    let watchdog;
    try {
      for (;;) {
        watchdog = setTimeout(() => quiet.abort(), SILENCE_MS);
        const { done, value } = await reader.read();
        clearTimeout(watchdog);
        if (done) return;
        for (const event of parser.feed(value)) this.#hear(event);
      }
    } finally {
      clearTimeout(watchdog);
      reader.cancel().catch(() => {});
    }
  }

  #hear({ type, data }) {
    const told = JSON.parse(data);
    this.#attempt = 0;
    if (type === "summary") {
      this.summary = told;
      this.#is(told.partial ? "partial" : "live", coverageOf(told));
      this.#note(told, Date.now() / 1000);
    } else if (type === "unavailable") {
      this.#is("partial", told.detail ?? "Some partitions are missing for now.");
    }
    this.#draw();
  }

  /** Rates out of what two summaries differ by. */
  #note(told, now) {
    const base = this.#base;
    const counts = { orders: told.orders, confirmed: told.confirmed, cancelled: told.cancelled };
    if (told.partial || !base || Object.keys(counts).some((name) => counts[name] < base.counts[name])) {
      this.#base = told.partial ? null : { at: now, counts };
      return;
    }
    const passed = now - base.at;
    if (passed < 0.9) return;
    this.#base = { at: now, counts };
    const { history } = this;
    history.at.push(now);
    for (const name of Object.keys(counts)) {
      history[name].push((counts[name] - base.counts[name]) / passed);
    }
    if (history.at.length > HISTORY_POINTS) for (const column of Object.values(history)) column.shift();
  }

  #is(state, detail = "") {
    if (state === this.state && detail === this.detail) return;
    this.state = state;
    this.detail = detail;
    this.#draw();
  }

  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.dispatchEvent(new Event("change"));
    });
  }

  get stateName() {
    return STATES[this.state];
  }
}

function coverageOf(told) {
  return told.partial ? `${told.partitions.covered} of ${told.partitions.total} partitions` : "";
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

export const live = new Live();
