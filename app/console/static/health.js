/** Health: circuit breakers of the gateway that answers, and whether processes are ready. */

import { onGateway, Problem, send } from "./api.js";
import { badge, emptyState, h, renew, table } from "./dom.js";
import { number, time, words } from "./format.js";
import { card, figure, status } from "./view.js";

const REFRESH_MS = 2000;
const UNAVAILABLE = 503;

export function show(view) {
  view.titled("Health");
  const ready = h("dl", { class: "stats" });
  const checks = h("div", {});
  const breakers = h("div", {});
  view.body.append(ready, onGateway ? card("Circuit breakers", breakers) : card("This worker", checks));
  view.every(REFRESH_MS, async () => {
    const { told, instance } = await readiness(view);
    renew(ready, onGateway ? ofGateway(told, instance) : ofWorker(told, instance));
    if (!onGateway) renew(checks, checksOf(told));
  });
  if (onGateway) {
    view.every(REFRESH_MS, async () => {
      renew(breakers, breakersOf((await view.get("/breakers")).breakers));
    });
  }
}

/** Not being ready is an answer here, no fault. */
async function readiness(view) {
  try {
    const response = await send("/readyz", { signal: view.signal });
    return { told: await response.json(), instance: response.headers.get("X-Instance-Id") };
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== UNAVAILABLE) throw problem;
    return { told: problem.told, instance: problem.instance };
  }
}

const yes = (is) => (is ? badge("Ready", "good") : badge("Not ready", "bad"));

function ofGateway(told, instance) {
  return [
    figure("Gateway", instance ?? "–", "answered this", "text"),
    figure("State", yes(told.ready)),
    figure("Workers", told.workers ? `${number(told.workers.live)} of ${number(told.workers.total)}` : "–", "live"),
  ];
}

function ofWorker(told, instance) {
  return [figure("Worker", instance ?? "–", "answers this page", "text"), figure("State", yes(told.status === "ok"), told.status === "ok" ? undefined : words(told.status ?? ""))];
}

function checksOf(told) {
  const { services = {}, ...servers } = told.checks ?? {};
  const rows = [
    ...Object.entries(servers).map(([name, fine]) => ({ name, kind: "Server", fine })),
    ...Object.entries(services).map(([name, fine]) => ({ name, kind: "Service", fine })),
  ];
  return table({
    caption: "What it needs, and what it does",
    rows,
    key: (row) => row.name,
    empty: emptyState("It does not say", "It is stopping, or just starting."),
    columns: [
      { label: "Name", head: true, cell: (row) => words(row.name) },
      { label: "Kind", cell: (row) => row.kind },
      { label: "State", cell: (row) => yes(row.fine) },
    ],
  });
}

function breakersOf(rows) {
  return table({
    caption: "Workers, as this gateway sees them",
    rows,
    key: (row) => row.target,
    empty: emptyState("No workers", "GATEWAY_WORKERS names those that the gateway sends requests to."),
    columns: [
      { label: "Worker", head: true, cell: (row) => h("span", { class: "id" }, row.target) },
      { label: "Live", cell: (row) => (row.live ? badge("Live", "good") : badge("Away", "bad")) },
      { label: "Breaker", cell: (row) => status(row.state) },
      { label: "Failures in a row", number: true, cell: (row) => number(row.failures) },
      { label: "Under way", number: true, cell: (row) => number(row.outstanding) },
      { label: "Opened (UTC)", cell: (row) => time(row.openedAt) },
      { label: "Tried again (UTC)", cell: (row) => time(row.retryAt) },
    ],
  });
}
