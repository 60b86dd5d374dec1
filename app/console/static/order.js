/** One order: what was ordered, how its saga went, its payment, and its trace. */

import { at, call, Problem } from "./api.js";
import { badge, confirmed, h, renew, say, table } from "./dom.js";
import { money, number, seconds, time, words } from "./format.js";
import { card, figure, status } from "./view.js";

const REFRESH_MS = 1000;
// An order that has ended changes no more, but its payment may be told a moment later.
const ENDED_MS = 10_000;
const LINES_SHOWN = 100;
const GONE = 404;
const LATER = 503;

export function show(view) {
  view.titled("Order");
  const cancel = h("button", { type: "button", class: "danger", hidden: true, onclick: () => cancelling(view, refresh) }, "Cancel order");
  view.actions.append(cancel);
  let looked = 0;
  const refresh = view.every(REFRESH_MS, async () => {
    const ended = looked && Date.now() - looked < ENDED_MS;
    if (ended) return;
    const [order, saga, payment] = await Promise.all([
      view.get(at`/orders/${view.id}`),
      unless(view.get(at`/sagas/${view.id}`), LATER),
      unless(view.get(at`/payments/${view.id}`), GONE),
    ]);
    looked = order.status === "PENDING" ? 0 : Date.now();
    view.titled(`Order ${order.orderId.slice(0, 8)}`);
    cancel.hidden = order.status !== "PENDING";
    renew(view.body, detailed(order, saga, payment));
  });
}

/** What is there, or null where the answer is that there is none (yet). */
async function unless(asked, absent) {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Problem && error.status === absent) return null;
    throw error;
  }
}

async function cancelling(view, refresh) {
  const sure = await confirmed({
    title: "Cancel this order?",
    detail: "What its saga has done is undone: stock is released, a payment is refunded. An order that ends first stays as it is.",
    action: "Cancel order",
    danger: true,
  });
  if (!sure) return;
  try {
    await call(at`/orders/${view.id}/cancel`, { method: "POST" });
    say("The cancellation is asked for.");
    view.fail(null, cancelling);
  } catch (problem) {
    view.fail(problem, cancelling);
  }
  refresh();
}

function detailed(order, saga, payment) {
  return [
    h(
      "dl",
      { class: "stats" },
      figure("Status", status(order.status), order.reason && words(order.reason)),
      figure("Total", money(order.total), order.items.length === 1 ? "1 line" : `${number(order.items.length)} lines`),
      figure("User", order.userId, order.country ?? undefined, "text"),
      figure("Took", seconds(saga?.seconds), saga?.endedAt ? "to its end" : "so far"),
    ),
    saga && card("Steps", steps(saga)),
    card("Events", timeline(order.history)),
    card("Payment", paid(payment)),
    card("Identity", identity(order, saga)),
    card("Lines", lines(order)),
  ];
}

function steps(saga) {
  const owed = saga.compensations.filter((each) => each.state === "OWED").map((each) => each.step);
  return [
    h(
      "ol",
      { class: "steps" },
      saga.steps.map((step) =>
        h(
          "li",
          { key: step.name, class: step.name === saga.step ? "current" : undefined },
          h("span", { class: "step-name" }, words(step.name)),
          status(step.state),
          h(
            "small",
            {},
            [
              step.doneAt && `done ${time(step.doneAt, { exact: true })}`,
              step.failedAt && `failed ${time(step.failedAt, { exact: true })}`,
              step.undoneAt && `undone ${time(step.undoneAt, { exact: true })}`,
              step.attempts && `${step.attempts} refused attempts to undo`,
              owed.includes(step.name) && "to be undone",
              step.name === saga.step && "under way",
            ]
              .filter(Boolean)
              .join(", ") || "not begun",
          ),
        ),
      ),
    ),
    h("p", { class: "dim" }, "Saga: ", status(saga.state), ` in the order ${saga.order.join(", ")}.`),
    saga.compensations.length > 0 &&
      table({
        caption: "Compensations",
        columns: [
          { label: "Step", head: true, cell: (each) => words(each.step) },
          { label: "State", cell: (each) => status(each.state) },
          { label: "At (UTC)", cell: (each) => time(each.at, { exact: true }) },
        ],
        rows: saga.compensations,
        key: (each) => each.step,
      }),
  ];
}

const BAD = /Rejected|Failed|Cancel/;
const BACK = /Released|Refunded|Refund/;

function timeline(history) {
  const began = Date.parse(history[0]?.at);
  return h(
    "ol",
    { class: "timeline" },
    history.map((entry) =>
      h(
        "li",
        { key: entry.event, class: BAD.test(entry.event) ? "bad" : BACK.test(entry.event) ? "waiting" : "good" },
        h("strong", {}, entry.event),
        h("time", { datetime: entry.at }, `${time(entry.at, { exact: true })} UTC`),
        h("small", {}, `+${seconds((Date.parse(entry.at) - began) / 1000)}`),
      ),
    ),
  );
}

function paid(payment) {
  if (!payment) return h("p", { class: "dim" }, "Nothing was charged or refused so far.");
  return pairs({
    Status: status(payment.status),
    Amount: money(payment.amount),
    At: `${time(payment.at, { exact: true })} UTC`,
    Payment: payment.paymentId && h("code", {}, payment.paymentId),
    Detail: payment.detail,
    Refunded: payment.refundedAt && `${time(payment.refundedAt, { exact: true })} UTC`,
  });
}

function identity(order, saga) {
  const trace = saga?.traceId ?? order.traceId;
  return pairs({
    Order: h("code", {}, order.orderId),
    Correlation: h("code", {}, order.correlationId),
    Trace: trace ? h("code", {}, trace) : "not recorded yet",
    Placed: `${time(order.placedAt, { exact: true })} UTC`,
  });
}

function pairs(values) {
  return h(
    "dl",
    { class: "pairs" },
    Object.entries(values)
      .filter(([, value]) => value)
      .map(([name, value]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, value))),
  );
}

function lines(order) {
  const shown = order.items.slice(0, LINES_SHOWN);
  return [
    table({
      caption: "Lines",
      hideCaption: true,
      columns: [
        { label: "Product", head: true, cell: (item) => h("a", { href: `#/stock?q=${encodeURIComponent(item.productId)}` }, item.productId) },
        { label: "Quantity", number: true, cell: (item) => number(item.quantity) },
        { label: "Unit price", number: true, cell: (item) => money(item.price) },
        { label: "Sum", number: true, cell: (item) => money(item.quantity * item.price) },
      ],
      rows: shown,
    }),
    order.items.length > shown.length && h("p", { class: "dim" }, badge("Shortened", "plain"), ` The first ${shown.length} of ${order.items.length} lines.`),
  ];
}
