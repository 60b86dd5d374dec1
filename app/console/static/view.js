/** Parts that several pages have. */

import { Problem } from "./api.js";
import { badge, h } from "./dom.js";
import { tone, words } from "./format.js";

/** A problem as it is told: what an answer said, with its trace, and what can be done. */
export function failure(problem, signIn) {
  const { status } = problem;
  const known = problem instanceof Problem;
  const title =
    status === 401 ? "Sign in to see this" : status === 403 ? "Not for your role" : known ? problem.title : "Something went wrong here";
  return h(
    "div",
    { class: status === 403 || status === 401 ? "notice" : "notice bad", role: status === 0 ? "status" : "alert" },
    h("p", { class: "notice-title" }, status > 0 ? `${title} (${status})` : title),
    h("p", {}, known ? problem.detail : String(problem?.message ?? problem)),
    problem.traceId && h("p", { class: "dim" }, "Trace ", h("code", {}, problem.traceId)),
    (status === 401 || status === 403) &&
      signIn &&
      h("button", { type: "button", onclick: signIn }, status === 401 ? "Sign in" : "Sign in as somebody else"),
  );
}

export const status = (word) => badge(words(word), tone(word));

export const orderLink = (id) => h("a", { href: `#/orders/${encodeURIComponent(id)}`, class: "id" }, id);

/** Buttons of which one is pressed. `options`: `[value, label]`. */
export function choice(label, options, chosen, choose) {
  return h(
    "div",
    { class: "choice", role: "group", "aria-label": label },
    options.map(([value, text]) =>
      h(
        "button",
        { type: "button", key: String(value), "aria-pressed": String(value === chosen), onclick: () => choose(value) },
        text,
      ),
    ),
  );
}

/** A figure with its name. */
export function figure(name, value, hint, kind) {
  return h(
    "div",
    { class: kind ? `stat ${kind}` : "stat", key: name },
    h("dt", {}, name),
    h("dd", {}, value, hint && h("small", {}, hint)),
  );
}

/** A value of a record as readable text. */
export function pretty(value) {
  if (value === undefined || value === null) return "null";
  // What is no JSON comes as base64, with its text where it is one.
  if (value.base64 !== undefined && Object.keys(value).length <= 2) return value.text ?? `base64 ${value.base64}`;
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** A card with a heading. */
export function card(heading, ...children) {
  return h("section", { class: "card" }, h("h2", {}, heading), children);
}

/** Submit without leaving the page; a problem is told beside the form, and the button waits. */
export function form(props, submit, ...children) {
  const told = h("div", { class: "told", role: "status" });
  return h(
    "form",
    {
      ...props,
      async onsubmit(event) {
        event.preventDefault();
        const button = event.submitter ?? this.querySelector("[type=submit]");
        if (button) button.disabled = true;
        try {
          const said = await submit(new FormData(this), this);
          told.replaceChildren(said ?? "");
        } catch (problem) {
          told.replaceChildren(failure(problem));
        } finally {
          if (button) button.disabled = false;
        }
      },
    },
    children,
    told,
  );
}
