/** Orders: a list with filters, search by id, and a form for a test order. */

import { query, send } from "./api.js";
import { emptyState, field, h, renew, say, table } from "./dom.js";
import { money, number, time, words } from "./format.js";
import { form, orderLink, status } from "./view.js";

const REFRESH_MS = 2000;
const PAGE = 50;
const STATUSES = ["PENDING", "CONFIRMED", "CANCELLED"];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const PRODUCTS_OFFERED = 200;

export function show(view) {
  view.titled("Orders");
  const user = view.query.get("user") ?? "";
  const state = view.query.get("status") ?? "";
  const cursor = view.query.get("cursor") ?? "";
  const list = h("section", { class: "card", "aria-label": "Orders" });
  view.body.append(filters(view, user, state), placing(view), list);

  const refresh = view.every(REFRESH_MS, async () => {
    const told = await view.get(`/orders${query({ userId: user, status: state, limit: PAGE, cursor })}`);
    renew(list, listed(view, told, { user, status: state, cursor }));
  });
  view.refresh = refresh;
}

function filters(view, user, state) {
  const byUser = h("input", { name: "user", value: user, maxlength: 128, autocomplete: "off", placeholder: "any" });
  const byStatus = h(
    "select",
    { name: "status", value: state },
    h("option", { value: "" }, "Any"),
    STATUSES.map((each) => h("option", { value: each }, words(each))),
  );
  const id = h("input", { name: "id", autocomplete: "off", spellcheck: "false", required: true, placeholder: "0b0d6c1e-…", size: 38 });
  return h(
    "div",
    { class: "card tools" },
    form(
      { class: "inline", role: "search", "aria-label": "Filter orders" },
      (given) => view.asks({ user: given.get("user").trim(), status: given.get("status") }),
      field("User", byUser),
      field("Status", byStatus),
      h("button", { type: "submit" }, "Filter"),
    ),
    form(
      { class: "inline", role: "search", "aria-label": "Find an order" },
      (given) => {
        const asked = given.get("id").trim().toLowerCase();
        if (!UUID.test(asked)) return "An order's id is a UUID, such as 0b0d6c1e-5d2c-4f0e-9a50-7a1f5a3e9f10.";
        location.hash = `#/orders/${asked}`;
        return "";
      },
      field("Order id", id),
      h("button", { type: "submit" }, "Find"),
    ),
  );
}

function placing(view) {
  const products = h("datalist", { id: "products" });
  let offered = false;
  async function offer() {
    if (offered) return;
    offered = true;
    const told = await view.get(`/inventory${query({ limit: PRODUCTS_OFFERED })}`);
    renew(products, told.inventory.map((each) => h("option", { value: each.productId }, `${each.available} available`)));
  }
  return h(
    "details",
    { class: "card", ontoggle: () => offer().catch(() => (offered = false)) },
    h("summary", {}, "Place a test order"),
    form(
      { class: "inline", "aria-label": "Place a test order" },
      async (given) => {
        const body = {
          userId: given.get("user"),
          items: [{ productId: given.get("product"), quantity: Number(given.get("quantity")), price: Number(given.get("price")) }],
        };
        if (given.get("country")) body.country = given.get("country");
        const response = await send("/orders", { method: "POST", body, headers: { "Idempotency-Key": crypto.randomUUID() } });
        const { orderId } = await response.json();
        view.refresh();
        say("The order is accepted.");
        return h("p", {}, "Accepted: ", orderLink(orderId), ". Trace ", h("code", {}, response.headers.get("X-Trace-Id")), ".");
      },
      field("User", h("input", { name: "user", required: true, maxlength: 128, value: "console" })),
      field("Product", h("input", { name: "product", required: true, maxlength: 64, list: "products", autocomplete: "off" })),
      products,
      field("Quantity", h("input", { name: "quantity", type: "number", min: 1, step: 1, value: "1", required: true })),
      field("Unit price", h("input", { name: "price", type: "number", min: 0, step: "0.01", value: "2.50", required: true })),
      field("Country", h("input", { name: "country", maxlength: 64, placeholder: "optional" })),
      h("button", { type: "submit", class: "primary" }, "Place order"),
    ),
  );
}

function listed(view, told, asked) {
  const filtered = asked.user || asked.status;
  return [
    table({
      caption: asked.cursor ? "Older orders, newest first" : "Orders, newest first",
      key: (order) => order.orderId,
      rows: told.orders,
      empty: filtered
        ? emptyState("No order is like that", "Take a filter away, or look for another user.")
        : emptyState("No orders yet", "Place a test order above, or send some: ", h("code", {}, "faust -A app replay")),
      columns: [
        { label: "Order", head: true, cell: (order) => orderLink(order.orderId) },
        { label: "User", cell: (order) => h("a", { href: `#/orders${query({ user: order.userId })}` }, order.userId) },
        { label: "Status", cell: (order) => status(order.status) },
        { label: "Reason", cell: (order) => (order.reason ? words(order.reason) : order.saga.step ? `at ${order.saga.step}` : "") },
        { label: "Lines", number: true, cell: (order) => number(order.items.length) },
        { label: "Total", number: true, cell: (order) => money(order.total) },
        { label: "Last event (UTC)", cell: (order) => time(order.updatedAt) },
      ],
    }),
    h(
      "nav",
      { class: "pager", "aria-label": "Pages of orders" },
      asked.cursor && h("button", { type: "button", key: "newest", onclick: () => view.asks({ ...asked, cursor: "" }) }, "Newest"),
      told.nextCursor &&
        h("button", { type: "button", key: "older", onclick: () => view.asks({ ...asked, cursor: told.nextCursor }) }, "Older"),
    ),
  ];
}
