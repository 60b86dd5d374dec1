/** The overview: what flows, what came of it, and by window. */

import { query } from "./api.js";
import { chart } from "./charts.js";
import { badge, emptyState, h, renew, table } from "./dom.js";
import { clock, compact, money, number, percent, rate, seconds, time, words } from "./format.js";
import { live } from "./live.js";
import { card, choice, figure } from "./view.js";

const FLOW_MS = 1000;
const WINDOWS_MS = 3000;
const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
const SIZES = [
  [MINUTE, "Minute"],
  [HOUR, "Hour"],
  [DAY, "Day"],
];
const BREAKDOWNS = [
  ["country", "Countries"],
  ["product", "Products"],
];
const WINDOWS_SHOWN = 60;
// The live chart shows so many seconds at least, so that it moves from its first point on.
const LEAST_SPAN = 30;
// Countries of all windows that are shown, so many cells at most.
const CELLS = 4000;
const TOP = 10;
// Windows that begin later than this are of a clock that is ahead: they must not hide the present.
const AHEAD_MS = HOUR * 1000;
const FORWARD = "forward";

/** What is chosen stays chosen while the console is open. */
const chosen = { size: MINUTE, breakdown: "country" };

export function show(view) {
  view.titled("Overview");
  const stats = h("dl", { class: "stats", "data-own": "" });
  const flow = h("div", { class: "flow-box" });
  const charts = made();
  const top = h("div", {});
  const controls = h("div", {});
  const windows = h("section", { class: "card", "aria-labelledby": "windows" }, h("div", { class: "card-head" }, h("h2", { id: "windows" }, "By window"), controls), charts.note, charts.revenue.root, charts.success.root);
  const breakdown = h("section", { class: "card", "aria-labelledby": "breakdown" }, top);
  view.body.append(
    stats,
    card("Orders through the saga", flow),
    h("section", { class: "card" }, h("h2", {}, "Now"), charts.now.root),
    windows,
    breakdown,
  );

  const summary = () => {
    renew(stats, statsOf(live.summary));
    const { at, orders, confirmed, cancelled } = live.history;
    charts.now.update([[...at], [...orders], [...confirmed], [...cancelled]]);
  };
  live.addEventListener("change", summary);
  view.atEnd(() => live.removeEventListener("change", summary));
  view.atEnd(() => [charts.now, charts.revenue, charts.success].forEach((each) => each.destroy()));
  summary();

  view.every(FLOW_MS, async () => {
    renew(flow, flowOf(await view.get("/sagas/flow")));
  });
  const refresh = view.every(WINDOWS_MS, async () => {
    const { size } = chosen;
    const told = await view.get(`/analytics/windows${query({ size, to: soon(), limit: WINDOWS_SHOWN, allow: "partial" })}`);
    if (size === chosen.size) charts.show(told);
    renew(top, await topOf(view, chosen, choose));
  });
  function choose(values) {
    Object.assign(chosen, values);
    drawControls();
    refresh();
  }
  function drawControls() {
    renew(controls, choice("Size of the windows", SIZES, chosen.size, (size) => choose({ size })));
  }
  drawControls();
}

function made() {
  const stamp = (at) => `${time(at * 1000)} UTC`;
  const now = chart({
    title: "Orders a second",
    description: "As they are counted, for the last five minutes.",
    timeFormat: (at) => clock(at * 1000),
    leastSpan: LEAST_SPAN,
    series: [
      { label: "Placed", colour: "accent", format: rate, axis: compact },
      { label: "Confirmed", colour: "good", format: rate },
      { label: "Cancelled", colour: "bad", format: rate },
    ],
  });
  const revenue = chart({
    title: "Revenue",
    timeFormat: stamp,
    series: [{ label: "Revenue of confirmed orders", colour: "accent", format: money, axis: compact, bars: true }],
  });
  const success = chart({
    title: "Success rate",
    description: "Confirmed orders among those that have ended.",
    timeFormat: stamp,
    range: [0, 1],
    series: [{ label: "Success rate", colour: "good", format: percent, axis: (value) => `${Math.round(value * 100)} %` }],
  });
  const note = h("p", { class: "dim" });
  return {
    now,
    revenue,
    success,
    note,
    show(told) {
      const starts = told.windows.map((each) => Date.parse(each.start) / 1000);
      // Half a window, so that the first and the last bar are whole.
      revenue.update([starts, told.windows.map((each) => each.revenue)], told.size / 2);
      success.update([starts, told.windows.map((each) => each.successRate)], told.size / 2);
      const open = told.windows.filter((each) => !each.final).length;
      note.textContent = told.windows.length
        ? `The newest ${told.windows.length} windows with orders, by the time an order was placed; ${open} still open.` +
          (told.partial ? ` Partial: ${told.partitions.covered} of ${told.partitions.total} partitions.` : "")
        : "No orders yet: place one on the page Orders, and a window begins.";
    },
  };
}

function statsOf(told) {
  const by = Object.entries(told?.cancelledBy ?? {}).sort(([, one], [, other]) => other - one);
  return [
    figure("Revenue", money(told?.revenue), "confirmed orders"),
    figure("Orders", number(told?.orders), told ? `${number(told.confirmed)} confirmed` : undefined),
    figure("Success rate", percent(told?.successRate), "of ended orders"),
    figure("Orders a minute", rate(told?.ordersPerMinute), "last five minutes"),
    figure("Cancelled", number(told?.cancelled), by.length ? `most: ${words(by[0][0])}` : "none"),
    figure("Saga, median", seconds(told?.sagaSeconds?.p50), `99 %: ${seconds(told?.sagaSeconds?.p99)}`),
  ];
}

const STEP_NAMES = { order: "Order record", inventory: "Inventory", payment: "Payment" };
const stepName = (step) => STEP_NAMES[step] ?? words(step);

function flowOf(told) {
  const more = told.atLeast ? "+" : "";
  const waits = (each) =>
    h(
      "li",
      { key: each.direction + each.step, class: each.waiting ? "step busy" : "step" },
      h("span", { class: "step-name" }, each.direction === FORWARD ? stepName(each.step) : `Undo ${stepName(each.step).toLowerCase()}`),
      h("strong", {}, `${number(each.waiting)}${each.waiting ? more : ""}`),
      h("small", {}, each.waiting ? `waiting, longest ${seconds(each.oldestSeconds)}` : "nothing waits"),
    );
  const forward = told.steps.filter((each) => each.direction === FORWARD && (each.step !== "order" || each.waiting));
  const back = told.steps.filter((each) => each.direction !== FORWARD);
  const reasons = Object.entries(told.cancelledBy).sort(([, one], [, other]) => other - one);
  const most = Math.max(1, ...reasons.map(([, count]) => count));
  return [
    h(
      "ol",
      { class: "flow", "aria-label": "Steps of the saga, with the orders that wait at each" },
      h("li", { key: "pending", class: "step edge" }, h("span", { class: "step-name" }, "Under way"), h("strong", {}, `${number(told.pending)}${more}`), h("small", {}, "placed, not ended")),
      forward.map(waits),
      h("li", { key: "confirmed", class: "step end good" }, h("span", { class: "step-name" }, "Confirmed"), h("strong", {}, number(told.confirmed)), h("small", {}, "in all")),
    ),
    h(
      "ol",
      { class: "flow back", "aria-label": "Compensations, with the orders that wait at each" },
      back.map(waits),
      h("li", { key: "cancelled", class: "step end bad" }, h("span", { class: "step-name" }, "Cancelled"), h("strong", {}, number(told.cancelled)), h("small", {}, "in all")),
    ),
    reasons.length > 0 &&
      h(
        "ul",
        { class: "reasons", "aria-label": "Cancelled, by reason" },
        reasons.map(([reason, count]) =>
          h(
            "li",
            { key: reason },
            h("span", {}, words(reason)),
            h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${(100 * count) / most}%` } })),
            h("strong", {}, number(count)),
          ),
        ),
      ),
    told.partial && h("p", { class: "dim" }, badge("Partial", "waiting"), " Counts of ended orders miss partitions that are moving."),
  ];
}

async function topOf(view, { size, breakdown }, choose) {
  const rows = breakdown === "country" ? await countries(view, size) : await products(view, size);
  const most = Math.max(1, ...rows.rows.map((row) => row.revenue));
  return [
    h(
      "div",
      { class: "card-head" },
      h("h2", { id: "breakdown" }, `Top ${breakdown === "country" ? "countries" : "products"}`),
      choice("Broken down by", BREAKDOWNS, breakdown, (value) => choose({ breakdown: value })),
    ),
    h("p", { class: "dim" }, rows.note),
    rows.rows.length === 0
      ? emptyState("Nothing sold yet", "It fills with the first confirmed order.")
      : table({
          caption: rows.caption,
          hideCaption: true,
          columns: [
            { label: rows.name, head: true, cell: (row) => row.key || "unknown" },
            {
              label: "Revenue",
              number: true,
              cell: (row) => [h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${(100 * row.revenue) / most}%` } })), money(row.revenue)],
            },
            { label: "Orders", number: true, cell: (row) => number(row.orders) },
            { label: "Confirmed", number: true, cell: (row) => number(row.confirmed) },
          ],
          rows: rows.rows,
          key: (row) => row.key,
        }),
  ];
}

/** By whole hours, so that a gateway can give one answer to all who look. */
function soon() {
  return new Date((Math.floor(Date.now() / AHEAD_MS) + 2) * AHEAD_MS).toISOString();
}

async function countries(view, size) {
  const told = await view.get(`/analytics/windows${query({ size, by: "country", to: soon(), limit: CELLS, allow: "partial" })}`);
  const sums = new Map();
  const starts = [...new Set(told.windows.map((each) => each.start))].slice(-WINDOWS_SHOWN);
  const counted = new Set(starts);
  for (const each of told.windows) {
    if (!counted.has(each.start)) continue;
    const sum = sums.get(each.key) ?? { key: each.key, revenue: 0, orders: 0, confirmed: 0 };
    sum.revenue += each.revenue;
    sum.orders += each.orders;
    sum.confirmed += each.confirmed;
    sums.set(each.key, sum);
  }
  return {
    name: "Country",
    caption: "Countries by revenue",
    note: `By revenue, of the newest ${starts.length} windows.`,
    rows: [...sums.values()].sort((one, other) => other.revenue - one.revenue).slice(0, TOP),
  };
}

async function products(view, size) {
  const told = await view.get(`/analytics/top${query({ metric: "revenue", size, n: TOP, allow: "partial" })}`);
  return {
    name: "Product",
    caption: "Products by revenue",
    note: told.window ? `By revenue, of the newest window, from ${time(told.window.start)} UTC.` : "By revenue, of the newest window.",
    rows: told.products.map((each) => ({ ...each, key: each.productId })),
  };
}
