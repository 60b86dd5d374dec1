/** Topics: what each is for, how much it holds. */

import { emptyState, h, renew, table } from "./dom.js";
import { bytes, number, words } from "./format.js";
import { choice } from "./view.js";

const REFRESH_MS = 3000;
const KINDS = [
  ["", "All"],
  ["events", "Events"],
  ["input", "Input"],
  ["deadLetters", "Dead letters"],
  ["changelog", "Changelogs"],
];
export const KIND_NAMES = Object.fromEntries(KINDS);

export function show(view) {
  view.titled("Topics");
  const kind = view.query.get("kind") ?? "";
  const list = h("section", { class: "card", "aria-label": "Topics" });
  view.body.append(
    h("div", { class: "card tools" }, choice("Kind of topic", KINDS, kind, (value) => view.asks({ kind: value }))),
    list,
  );
  view.every(REFRESH_MS, async () => {
    const told = await view.get("/topics");
    const rows = told.topics.filter((topic) => !kind || topic.kind === kind);
    renew(
      list,
      table({
        caption: kind ? `Topics: ${KIND_NAMES[kind] ?? kind}` : "Topics",
        rows,
        key: (topic) => topic.name,
        empty: emptyState("No topic is like that", "Topics are made when the first worker starts."),
        columns: [
          { label: "Topic", head: true, cell: (topic) => h("a", { class: "id", href: `#/topics/${encodeURIComponent(topic.name)}` }, topic.name) },
          { label: "Kind", cell: (topic) => KIND_NAMES[topic.kind] ?? words(topic.kind) },
          { label: "Written by", cell: (topic) => topic.owner ?? "" },
          { label: "Key", cell: (topic) => topic.key ?? "" },
          { label: "Messages", number: true, cell: (topic) => number(topic.messages) },
          ...(rows.some((topic) => topic.bytes !== undefined) ? [{ label: "Size", number: true, cell: (topic) => bytes(topic.bytes) }] : []),
          { label: "Partitions", number: true, cell: (topic) => number(topic.partitions.length) },
          { label: "Kept", number: true, cell: (topic) => (topic.retentionHours ? `${number(topic.retentionHours)} h` : "compacted") },
        ],
      }),
    );
  });
}
