/** Consumer groups: their members, and how far behind each is. */

import { badge, emptyState, h, renew, table } from "./dom.js";
import { number } from "./format.js";
import { figure } from "./view.js";

const REFRESH_MS = 2000;
const TONES = { stable: "good", empty: "bad", dead: "bad" };

export function show(view) {
  view.titled("Groups");
  const totals = h("dl", { class: "stats" });
  const list = h("div", { class: "groups" });
  view.body.append(totals, list);
  view.every(REFRESH_MS, async () => {
    const { groups } = await view.get("/groups");
    const members = new Set(groups.flatMap((group) => group.members.map((member) => member.host + member.clientId.replace(/-[a-z]+$/, ""))));
    renew(totals, [
      figure("Lag of all", number(groups.reduce((sum, group) => sum + (group.lag ?? 0), 0)), "records not yet committed"),
      figure("Groups", number(groups.length), `${groups.filter((group) => lower(group.state) === "stable").length} stable`),
      figure("Workers", number(members.size), "with a member"),
    ]);
    renew(list, groups.length ? groups.map(shown) : emptyState("No groups", "A group appears when a worker joins it: ", h("code", {}, "make up"), "."));
  });
}

const lower = (text) => String(text).toLowerCase();

function shown(group) {
  const id = `group-${group.group}`;
  return h(
    "section",
    { class: "card", key: group.group, "aria-labelledby": id },
    h(
      "div",
      { class: "card-head" },
      h("h2", { id }, group.service ?? group.group),
      badge(group.state, TONES[lower(group.state)] ?? "waiting"),
      h("p", { class: "lag" }, "Lag ", h("strong", {}, number(group.lag))),
    ),
    h("p", { class: "dim" }, h("code", {}, group.group), `, ${number(group.members.length)} members, ${number(group.partitions.length)} partitions`),
    h(
      "details",
      {},
      h("summary", {}, h("span", {}, "Members and partitions"), h("span", { class: "sr" }, ` of ${group.service ?? group.group}`)),
      table({
        caption: "Members",
        rows: group.members,
        key: (member) => member.id,
        empty: emptyState("No members", "Nobody works for this group: its lag grows until a worker joins."),
        columns: [
          { label: "Member", head: true, cell: (member) => member.clientId },
          { label: "Host", cell: (member) => member.host },
          { label: "Partitions", cell: (member) => owned(member.partitions) },
        ],
      }),
      table({
        caption: "Partitions",
        rows: group.partitions,
        key: (each) => `${each.topic}-${each.partition}`,
        empty: "It has committed nothing yet.",
        columns: [
          { label: "Partition", head: true, cell: (each) => `${each.topic} ${each.partition}` },
          { label: "Committed", number: true, cell: (each) => number(each.committed) },
          { label: "End", number: true, cell: (each) => number(each.end) },
          { label: "Lag", number: true, cell: (each) => number(each.lag) },
        ],
      }),
    ),
  );
}

/** `order.events.v1: 0, 1, 2`, a line a topic. */
function owned(partitions) {
  const byTopic = new Map();
  for (const each of partitions) byTopic.set(each.topic, [...(byTopic.get(each.topic) ?? []), each.partition]);
  return [...byTopic].map(([topic, numbers]) => h("div", { key: topic }, `${topic}: ${numbers.sort((a, b) => a - b).join(", ")}`));
}
