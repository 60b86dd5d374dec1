/** Start: pages by the address's hash, the theme, who is signed in, and the live state. */

import { call, onGateway, Problem, session } from "./api.js";
import { field, h, renew, say } from "./dom.js";
import { live } from "./live.js";
import { failure } from "./view.js";
import * as deadLetters from "./dead-letters.js";
import * as groups from "./groups.js";
import * as health from "./health.js";
import * as order from "./order.js";
import * as orders from "./orders.js";
import * as overview from "./overview.js";
import * as stock from "./stock.js";
import * as topic from "./topic.js";
import * as topics from "./topics.js";

const NAME = "Orderflow console";
const PAGES = [
  { path: "", label: "Overview", page: overview },
  { path: "orders", label: "Orders", page: orders, one: order },
  { path: "stock", label: "Stock", page: stock },
  { path: "dead-letters", label: "Dead letters", page: deadLetters },
  { path: "topics", label: "Topics", page: topics, one: topic },
  { path: "groups", label: "Groups", page: groups },
  { path: "health", label: "Health", page: health },
];

const element = (id) => document.getElementById(id);
const main = element("main");
let shown = null;
let started = false;

/** What the address asks for: `#/orders/4f1…?status=PENDING`. */
function asked() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  const [first, ...rest] = path.split("/").filter(Boolean).map(decoded);
  const found = PAGES.find((each) => each.path === (first ?? ""));
  const one = rest.length === 1 && found?.one;
  return {
    entry: found && (rest.length === 0 || one) ? found : null,
    page: one ? found.one : found?.page,
    id: rest[0],
    query: new URLSearchParams(search),
  };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function show() {
  const { entry, page, id, query } = asked();
  const again = shown && shown.page === page && shown.id === id;
  const focused = again && main.contains(document.activeElement) ? document.activeElement : null;
  shown?.leave();
  const leaving = new AbortController();
  const title = h("h1", { tabindex: "-1" }, "");
  const note = h("div", { class: "notes" });
  const body = h("div", { class: "page" });
  const actions = h("div", { class: "actions" });
  const state = { page, id, ended: [], problems: new Map(), leave: () => (leaving.abort(), state.ended.forEach((end) => end())) };
  shown = state;
  const view = {
    id,
    query,
    body,
    actions,
    note,
    signal: leaving.signal,
    /** Called when the page is left. */
    atEnd: (end) => state.ended.push(end),
    titled(text) {
      title.textContent = text;
      document.title = `${text} · ${NAME}`;
    },
    /** The JSON at a path, as long as the page is there. */
    get: (path) => call(path, { signal: leaving.signal }),
    /** Show above the page that something does not work, or that it does again. */
    fail(problem, source = view) {
      if (problem) state.problems.set(source, problem);
      else if (!state.problems.delete(source)) return;
      const [first] = state.problems.values();
      renew(note, first && failure(first, signIn));
    },
    /** Do it now and every so often, while the page can be seen; returns what does it at once. */
    every: (ms, work) => repeat(ms, work, view),
    /** Another query at the same page. */
    asks: (values) => {
      const text = new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();
      location.hash = location.hash.split("?")[0] + (text ? `?${text}` : "");
    },
  };
  main.replaceChildren(h("div", { class: "head" }, title, actions), note, body);
  navigation(entry);
  if (entry) {
    page.show(view);
  } else {
    view.titled("No such page");
    body.append(h("p", {}, "There is nothing at this address. ", h("a", { href: "#/" }, "Go to the overview"), "."));
  }
  // Whoever follows a link, by keys or by ear, begins at the page's heading; whoever sets a filter
  // stays at it.
  if (started && (!again || focused)) (likeOf(focused) ?? title).focus();
  started = true;
}

/** The control of the page of now that is what this one was before. */
function likeOf(control) {
  if (!control) return null;
  const named = (each) => each.name || each.getAttribute("aria-label") || each.textContent;
  return [...main.querySelectorAll(control.localName)].find((each) => named(each) === named(control));
}

function repeat(ms, work, view) {
  let timer;
  let again = false;
  let working = false;
  async function once() {
    clearTimeout(timer);
    if (working) return (again = true);
    working = true;
    try {
      do {
        again = false;
        await work();
        if (!view.signal.aborted) view.fail(null, work);
      } while (again && !view.signal.aborted);
    } catch (error) {
      if (!view.signal.aborted) view.fail(error, work);
    } finally {
      working = false;
      if (!view.signal.aborted) timer = setTimeout(next, ms);
    }
  }
  const next = () => (document.hidden ? (timer = setTimeout(next, ms)) : once());
  view.atEnd(() => clearTimeout(timer));
  once();
  return once;
}

function navigation(entry) {
  renew(
    element("nav"),
    h(
      "ul",
      {},
      PAGES.map((each) =>
        h(
          "li",
          { key: each.label },
          h("a", { href: `#/${each.path}`, "aria-current": each === entry ? "page" : undefined }, each.label),
        ),
      ),
    ),
    h(
      "p",
      { class: "nav-foot" },
      h("a", { href: onGateway ? "api/docs" : "docs" }, "API reference"),
      h("span", {}, onGateway ? "Through a gateway" : "At a worker"),
    ),
  );
  menu(false);
}

function menu(open) {
  element("menu").setAttribute("aria-expanded", String(open));
  element("nav").classList.toggle("shown", open);
}

function themed(choice) {
  if (choice === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  document.dispatchEvent(new Event("themechange"));
}

/** Ask for a token; resolves to it, or to null. */
function askForToken(detail) {
  return new Promise((resolve) => {
    const token = h("textarea", { rows: 3, required: true, spellcheck: "false", autocomplete: "off" });
    const said = h("div", {});
    const done = (answer) => {
      resolve(answer);
      dialog.close();
    };
    const user = h("input", { value: "operator", required: true, maxlength: 128 });
    const role = h(
      "select",
      { value: "operator" },
      ["customer", "operator", "admin"].map((each) => h("option", { value: each }, each)),
    );
    const dialog = h(
      "dialog",
      { "aria-labelledby": "sign-in", onclose: () => (resolve(null), dialog.remove()) },
      h("h2", { id: "sign-in" }, "Sign in"),
      h("p", {}, detail || "This system asks for a token."),
      h(
        "form",
        {
          onsubmit: (event) => {
            event.preventDefault();
            done(token.value.trim());
          },
        },
        field("Token", token, "A JSON Web Token. It is kept in this tab and forgotten when the tab is closed."),
        h(
          "div",
          { class: "actions" },
          h("button", { type: "button", class: "quiet", onclick: () => done(null) }, "Not now"),
          h("button", { type: "submit", class: "primary" }, "Sign in"),
        ),
      ),
      onGateway &&
        h(
          "details",
          {},
          h("summary", {}, "In development: get a token"),
          h(
            "form",
            {
              class: "inline",
              onsubmit: async (event) => {
                event.preventDefault();
                try {
                  const body = { userId: user.value, role: role.value };
                  done((await call("/token", { method: "POST", body })).token);
                } catch (problem) {
                  renew(said, failure(problem));
                }
              },
            },
            field("User", user),
            field("Role", role),
            h("button", { type: "submit" }, "Get a token"),
          ),
          said,
        ),
    );
    document.body.append(dialog);
    dialog.showModal();
    token.focus();
  });
}

async function signIn() {
  session.reset();
  const token = await session.refused("");
  if (token) show();
}

function signedIn() {
  const button = element("session");
  button.textContent = session.token ? "Sign out" : "Sign in";
  button.onclick = () => {
    if (!session.token) return signIn();
    session.token = null;
    session.reset();
    say("You are signed out.");
    show();
  };
}

function liveState() {
  const box = element("live");
  if (box.dataset.state !== live.state) box.dataset.state = live.state;
  const text = live.detail ? `${live.stateName}: ${live.detail}` : live.stateName;
  const label = element("live-text");
  if (label.textContent !== text) label.textContent = text;
}

session.ask = askForToken;
session.addEventListener("change", signedIn);
signedIn();
live.addEventListener("change", liveState);
live.start();
element("theme").value = localStorage.getItem("orderflow.theme") ?? "auto";
element("theme").onchange = (event) => {
  localStorage.setItem("orderflow.theme", event.target.value);
  themed(event.target.value);
};
element("menu").onclick = () => menu(!element("nav").classList.contains("shown"));
element("skip").onclick = (event) => {
  event.preventDefault();
  main.focus();
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && element("nav").classList.contains("shown")) {
    menu(false);
    element("menu").focus();
  }
});
addEventListener("hashchange", show);
addEventListener("unhandledrejection", (event) => {
  if (event.reason instanceof Problem || event.reason?.name === "AbortError") event.preventDefault();
});
show();
