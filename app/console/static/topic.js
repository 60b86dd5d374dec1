/** One topic: its partitions, and its messages page by page. */

import { at, query } from "./api.js";
import { badge, emptyState, field, h, renew, table } from "./dom.js";
import { bytes, number, time } from "./format.js";
import { form, pretty } from "./view.js";

const REFRESH_MS = 3000;
const LIMIT = 50;

export function show(view) {
  view.titled(view.id);
  const partition = view.query.get("partition") ?? "";
  const offset = view.query.get("offset") ?? "";
  const newest = offset === "";
  const tools = h("div", { class: "card tools" });
  const list = h("section", { class: "card", "aria-label": "Messages" });
  const parts = h("section", { class: "card" });
  view.actions.append(h("a", { href: "#/topics", class: "button" }, "All topics"));
  view.body.append(tools, list, parts);
  let read = false;

  view.every(REFRESH_MS, async () => {
    // A page by offset stays what it is; the newest move.
    if (read && !newest) return;
    const told = await view.get(at`/topics/${view.id}/messages` + query({ partition, offset, limit: LIMIT }));
    if (!read) renew(tools, asking(view, told, partition, offset));
    read = true;
    renew(list, messages(view, told, { partition, offset, newest }));
    renew(parts, partitions(view, told));
  });
}

function asking(view, told, partition, offset) {
  return form(
    { class: "inline", role: "search", "aria-label": "Read messages" },
    (given) => {
      const from = given.get("offset").trim();
      view.asks({ partition: given.get("partition") || (from && String(told.partitions[0]?.partition ?? 0)), offset: from });
    },
    field(
      "Partition",
      h(
        "select",
        { name: "partition", value: partition },
        h("option", { value: "" }, "All, newest first"),
        told.partitions.map((each) => h("option", { value: String(each.partition) }, `${each.partition} (${number(each.begin)} to ${number(each.end)})`)),
      ),
    ),
    field("From offset", h("input", { name: "offset", type: "number", min: 0, step: 1, value: offset, placeholder: "newest" })),
    h("button", { type: "submit" }, "Read"),
  );
}

function messages(view, told, { partition, offset, newest }) {
  const [one] = told.partitions.filter((each) => String(each.partition) === partition);
  const rows = newest ? [...told.messages].sort(byTime) : told.messages;
  const first = Math.min(...told.messages.map((each) => each.offset));
  const next = one?.nextOffset;
  return [
    table({
      caption: newest ? "Newest messages" : `Messages of partition ${partition} from offset ${number(Number(offset))}`,
      rows,
      key: (message) => `${message.partition}-${message.offset}`,
      empty: emptyState("No messages here", newest ? "What is sent to this topic appears here." : "There is none at or after this offset; take a smaller one."),
      columns: [
        { label: "Partition, offset", head: true, cell: (message) => `${message.partition}, ${number(message.offset)}` },
        { label: "At (UTC)", cell: (message) => time(message.at, { exact: true }) },
        { label: "Type", cell: (message) => message.type ?? "" },
        { label: "Key", cell: (message) => h("span", { class: "id" }, pretty(message.key)) },
        { label: "Size", number: true, cell: (message) => bytes(message.bytes) },
        { label: "Value", cell: value },
      ],
    }),
    one &&
      h(
        "nav",
        { class: "pager", "aria-label": "Pages of messages" },
        told.messages.length > 0 &&
          first > one.begin &&
          h("button", { type: "button", key: "older", onclick: () => view.asks({ partition, offset: String(Math.max(one.begin, first - LIMIT)) || "0" }) }, "Older"),
        !newest &&
          next !== undefined &&
          next !== null &&
          next < one.end &&
          h("button", { type: "button", key: "newer", onclick: () => view.asks({ partition, offset: String(next) }) }, "Newer"),
        !newest && h("button", { type: "button", key: "newest", onclick: () => view.asks({ partition }) }, "Newest"),
      ),
  ];
}

const byTime = (one, other) => Date.parse(other.at) - Date.parse(one.at) || other.offset - one.offset;

function value(message) {
  const where = `${message.partition}, ${message.offset}`;
  return h(
    "details",
    {},
    h("summary", { "aria-label": `Value of ${where}` }, "Show"),
    message.truncated && badge("Shortened", "plain"),
    h("pre", { tabindex: "0", role: "region", "aria-label": `Value of ${where}` }, pretty(message.value)),
    h("pre", { tabindex: "0", role: "region", "aria-label": `Headers of ${where}` }, pretty(message.headers)),
  );
}

function partitions(view, told) {
  return [
    h("h2", {}, "Partitions"),
    table({
      caption: "Partitions",
      hideCaption: true,
      rows: told.partitions,
      key: (each) => String(each.partition),
      columns: [
        { label: "Partition", head: true, cell: (each) => h("a", { href: `${location.hash.split("?")[0]}?partition=${each.partition}` }, each.partition) },
        { label: "First offset", number: true, cell: (each) => number(each.begin) },
        { label: "End", number: true, cell: (each) => number(each.end) },
        { label: "Offsets", number: true, cell: (each) => number(each.end - each.begin) },
      ],
    }),
  ];
}
