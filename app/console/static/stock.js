/** Stock: what is available, held and sold; search, and setting a level. */

import { at, call, Problem, query } from "./api.js";
import { emptyState, field, h, renew, say, table } from "./dom.js";
import { number, time } from "./format.js";
import { failure, form } from "./view.js";

const REFRESH_MS = 2000;
const PAGE = 50;
const CHANGES = 10;
const LOW = 10;
const GONE = 404;

export function show(view) {
  view.titled("Stock");
  const asked = view.query.get("q") ?? "";
  const after = view.query.get("after") ?? "";
  const list = h("section", { class: "card", "aria-label": "Stock" });
  const search = h("input", { name: "q", value: asked, maxlength: 64, autocomplete: "off", placeholder: "85123A" });
  view.body.append(
    h(
      "div",
      { class: "card tools" },
      form(
        { class: "inline", role: "search", "aria-label": "Find a product" },
        (given) => view.asks({ q: given.get("q").trim() }),
        field("Product id, or how it begins", search),
        h("button", { type: "submit" }, "Find"),
      ),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", onclick: () => setting(view, { productId: "", available: 100 }, refresh) }, "Add a product"),
      ),
    ),
    list,
  );
  const refresh = view.every(REFRESH_MS, async () => {
    const { rows, next } = asked ? await found(view, asked) : await page(view, after);
    renew(list, listed(view, rows, { asked, after, next }, refresh));
  });
}

async function page(view, after) {
  const told = await view.get(`/inventory${query({ limit: PAGE, after })}`);
  return { rows: told.inventory, next: told.next };
}

/** The product of this id, and those whose ids begin so: ids are listed in order. */
async function found(view, asked) {
  const [exact, following] = await Promise.all([
    view.get(at`/inventory/${asked}`).catch((error) => {
      if (error instanceof Problem && error.status === GONE) return null;
      throw error;
    }),
    view.get(`/inventory${query({ limit: PAGE, after: asked })}`),
  ]);
  const like = following.inventory.filter((each) => each.productId.startsWith(asked));
  return { rows: exact ? [exact, ...like] : like, next: null };
}

function listed(view, rows, { asked, after, next }, refresh) {
  return [
    table({
      caption: asked ? "Products found" : "Products, by id",
      rows,
      key: (stock) => stock.productId,
      empty: asked
        ? emptyState("No such product", "Ids are matched from their first character, upper and lower case apart.")
        : emptyState("The shelf is empty", "Add a product above, or stock it all: ", h("code", {}, "faust -A app stock")),
      columns: [
        { label: "Product", head: true, cell: (stock) => stock.productId },
        {
          label: "Available",
          number: true,
          cell: (stock) => (stock.available < LOW ? h("span", { class: "low" }, number(stock.available), h("small", {}, stock.available ? " low" : " out")) : number(stock.available)),
        },
        { label: "Held", number: true, cell: (stock) => number(stock.reserved) },
        { label: "Sold", number: true, cell: (stock) => number(stock.sold) },
        {
          label: "Level",
          number: true,
          cell: (stock) =>
            h("button", { type: "button", "aria-label": `Set level of ${stock.productId}`, onclick: () => setting(view, stock, refresh) }, "Set level"),
        },
      ],
    }),
    h(
      "nav",
      { class: "pager", "aria-label": "Pages of products" },
      after && h("button", { type: "button", key: "first", onclick: () => view.asks({}) }, "First"),
      next && h("button", { type: "button", key: "next", onclick: () => view.asks({ after: next }) }, "Next"),
    ),
  ];
}

function setting(view, stock, refresh) {
  const known = stock.productId !== "";
  const changes = h("div", {});
  const dialog = h(
    "dialog",
    { "aria-labelledby": "level", onclose: () => dialog.remove() },
    h("h2", { id: "level" }, known ? `Level of ${stock.productId}` : "Add a product"),
    form(
      {},
      async (given) => {
        const product = known ? stock.productId : given.get("product").trim();
        const told = await call(at`/inventory/${product}`, { method: "PUT", body: { available: Number(given.get("available")) } });
        say(`${told.productId} has ${told.available} available.`);
        dialog.close();
        refresh();
      },
      !known && field("Product id", h("input", { name: "product", required: true, maxlength: 64, autocomplete: "off" })),
      field("Available", h("input", { name: "available", type: "number", min: 0, step: 1, required: true, value: String(stock.available) }), "Set under the product's lock; what is held for orders stays held."),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Back"),
        h("button", { type: "submit", class: "primary" }, "Set level"),
      ),
    ),
    changes,
  );
  document.body.append(dialog);
  dialog.showModal();
  if (known) history(view, stock.productId, changes);
}

async function history(view, product, host) {
  try {
    const told = await view.get(at`/inventory/${product}/history` + query({ limit: CHANGES }));
    if (!told.history.length) return;
    renew(
      host,
      table({
        caption: "Set by hand, newest first",
        columns: [
          { label: "At (UTC)", head: true, cell: (each) => time(each.at) },
          { label: "Before", number: true, cell: (each) => number(each.before) },
          { label: "After", number: true, cell: (each) => number(each.after) },
        ],
        rows: told.history,
        key: (each) => String(each.token),
      }),
    );
  } catch (problem) {
    if (!view.signal.aborted) renew(host, failure(problem));
  }
}
