/** Dead letters: what could not be handled, why, and what to do with it. */

import { at, call, query } from "./api.js";
import { badge, confirmed, emptyState, field, h, renew, say, table } from "./dom.js";
import { number, time, words } from "./format.js";
import { choice, orderLink, pretty } from "./view.js";

const REFRESH_MS = 3000;
const PAGE = 50;
const STATES = [
  ["open", "Open"],
  ["replayed", "Replayed"],
  ["discarded", "Discarded"],
];
const TONES = { open: "bad", replayed: "good", discarded: "plain" };

export function show(view) {
  view.titled("Dead letters");
  const state = view.query.get("state") || "open";
  const topic = view.query.get("topic") ?? "";
  const cursor = view.query.get("cursor") ?? "";
  const chosen = new Set();
  const tools = h("div", { class: "card tools" });
  const result = h("div", { class: "told", role: "status" });
  const list = h("section", { class: "card", "aria-label": "Dead letters" });
  view.body.append(tools, result, list);
  let told = null;

  const refresh = view.every(REFRESH_MS, async () => {
    told = await view.get(`/dlq${query({ topic, state, limit: PAGE, cursor })}`);
    const there = new Set(told.deadLetters.map((letter) => letter.id));
    for (const id of chosen) if (!there.has(id)) chosen.delete(id);
    draw();
  });

  function draw() {
    renew(tools, toolsOf(view, told, { state, topic }, act));
    renew(list, listed(view, told, { state, topic, cursor, chosen, draw, act }));
  }

  /** Replay or discard the letters of these ids, or all open ones of the topic where `ids` is null. */
  async function act(verb, ids) {
    const letters = told.deadLetters.filter((letter) => ids?.includes(letter.id));
    const count = ids ? ids.length : open(told, topic);
    const why = h("input", { name: "why", maxlength: 200, autocomplete: "off" });
    const sure = await confirmed({
      title: `${words(verb)} ${count === 1 ? "this dead letter" : `${number(count)} dead letters`}?`,
      detail:
        verb === "replay"
          ? "The records are sent to their topic again, as they were. What was done before is not done twice. Do it once the cause is gone: else they come back."
          : "The records stay in the dead-letter topic and are marked as handled; nothing is done with them any more.",
      action: words(verb),
      danger: verb === "discard",
      extra: verb === "discard" && field("Why", why, "Kept with the record."),
    });
    if (!sure) return;
    const byTopic = new Map(ids ? [] : [[topic, null]]);
    for (const letter of letters) byTopic.set(letter.topic, [...(byTopic.get(letter.topic) ?? []), letter.id]);
    const sums = { done: 0, remaining: 0, failed: [] };
    try {
      for (const [name, some] of byTopic) {
        const body = { ...(some && { ids: some }), ...(verb === "discard" && why.value && { why: why.value }) };
        const answer = await call(at`/dlq/${name}/` + verb, { method: "POST", body });
        sums.done += answer.ids.length;
        sums.remaining += ids ? 0 : answer.remaining;
        sums.failed.push(...answer.failed);
      }
      view.fail(null, act);
    } catch (problem) {
      view.fail(problem, act);
    }
    const rest = sums.remaining ? ` ${number(sums.remaining)} are left: one call takes so many; do it again.` : "";
    const text = `${number(sums.done)} ${verb === "replay" ? "replayed" : "discarded"}.${rest}`;
    renew(result, h("p", {}, text), sums.failed.map((each) => h("p", {}, badge("Not done", "bad"), ` ${each.id}: ${each.detail}`)));
    say(text);
    chosen.clear();
    refresh();
  }
}

const open = (told, topic) =>
  told.counts.filter((each) => !topic || each.topic === topic).reduce((sum, each) => sum + each.open, 0);

function toolsOf(view, told, { state, topic }, act) {
  const all = open(told, topic);
  return [
    choice("State", STATES, state, (value) => view.asks({ topic, state: value === "open" ? "" : value })),
    field(
      "Topic",
      h(
        "select",
        { name: "topic", value: topic, onchange: (event) => view.asks({ topic: event.target.value, state: state === "open" ? "" : state }) },
        h("option", { value: "" }, `All (${number(open(told, ""))} open)`),
        told.counts.map((each) => h("option", { value: each.topic }, `${each.topic} (${number(each.open)} open)`)),
      ),
    ),
    h(
      "div",
      { class: "actions" },
      topic &&
        all > 0 &&
        state === "open" && [
          h("button", { type: "button", class: "primary", key: "replay", onclick: () => act("replay", null) }, `Replay all ${number(all)} of the topic`),
          h("button", { type: "button", key: "discard", onclick: () => act("discard", null) }, "Discard all of the topic"),
        ],
    ),
  ];
}

function listed(view, told, { state, topic, cursor, chosen, draw, act }) {
  const letters = told.deadLetters;
  const canAct = state === "open";
  const pick = (id, on) => {
    if (on) chosen.add(id);
    else chosen.delete(id);
    draw();
  };
  return [
    canAct &&
      letters.length > 0 &&
      h(
        "div",
        { class: "actions picked", role: "group", "aria-label": "The chosen dead letters" },
        h("label", { class: "check" },
          h("input", {
            type: "checkbox",
            checked: chosen.size === letters.length,
            indeterminate: chosen.size > 0 && chosen.size < letters.length,
            onchange: (event) => {
              for (const letter of letters) {
                if (event.target.checked) chosen.add(letter.id);
                else chosen.delete(letter.id);
              }
              draw();
            },
          }),
          `All ${letters.length} shown`,
        ),
        h("button", { type: "button", class: "primary", disabled: chosen.size === 0, onclick: () => act("replay", [...chosen]) }, `Replay ${chosen.size || ""} chosen`),
        h("button", { type: "button", class: "danger", disabled: chosen.size === 0, onclick: () => act("discard", [...chosen]) }, `Discard ${chosen.size || ""} chosen`),
      ),
    table({
      caption: `${words(state)} dead letters, newest first`,
      rows: letters,
      key: (letter) => letter.id,
      empty:
        state === "open"
          ? emptyState("No dead letters", "What cannot be handled comes here with its reason. That there is nothing is how it should be.")
          : emptyState(`None ${state}`, "Look at the open ones."),
      columns: [
        ...(canAct
          ? [
              {
                label: "Choose",
                cell: (letter) =>
                  h("input", {
                    type: "checkbox",
                    "aria-label": `Choose ${letter.id}`,
                    checked: chosen.has(letter.id),
                    onchange: (event) => pick(letter.id, event.target.checked),
                  }),
              },
            ]
          : []),
        { label: "Record", head: true, cell: (letter) => record(letter) },
        { label: "Reason", cell: (letter) => [badge(words(letter.reason), TONES[letter.state] ?? "plain"), letter.detail && h("p", { class: "detail" }, letter.detail), letter.why && h("p", { class: "detail" }, `Why: ${letter.why}`)] },
        { label: "Group", cell: (letter) => letter.group ?? "" },
        { label: "Order", cell: (letter) => (letter.orderId ? orderLink(letter.orderId) : "") },
        { label: canAct ? "At (UTC)" : "Handled (UTC)", cell: (letter) => [time(canAct ? letter.at : letter.handledAt ?? letter.at), !canAct && letter.handledBy && h("small", {}, ` by ${letter.handledBy}`)] },
        ...(canAct
          ? [
              {
                label: "Do",
                cell: (letter) =>
                  h(
                    "div",
                    { class: "actions" },
                    h("button", { type: "button", "aria-label": `Replay ${letter.id}`, onclick: () => act("replay", [letter.id]) }, "Replay"),
                    h("button", { type: "button", class: "quiet", "aria-label": `Discard ${letter.id}`, onclick: () => act("discard", [letter.id]) }, "Discard"),
                  ),
              },
            ]
          : []),
      ],
    }),
    h(
      "nav",
      { class: "pager", "aria-label": "Pages of dead letters" },
      cursor && h("button", { type: "button", key: "newest", onclick: () => view.asks({ topic, state }) }, "Newest"),
      told.nextCursor && h("button", { type: "button", key: "older", onclick: () => view.asks({ topic, state, cursor: told.nextCursor }) }, "Older"),
    ),
  ];
}

function record(letter) {
  return [
    h("span", { class: "id" }, letter.topic),
    h("small", {}, letter.original ? `partition ${letter.original.partition}, offset ${letter.original.offset}` : ""),
    letter.replays > 0 && h("small", {}, `replayed in vain ${letter.replays} times`),
    h(
      "details",
      {},
      h("summary", {}, "Record"),
      h("p", { class: "dim" }, "Key ", h("code", {}, pretty(letter.key)), ", dead letter ", h("code", {}, letter.id)),
      h("pre", { tabindex: "0", role: "region", "aria-label": `Value of ${letter.id}` }, pretty(letter.value)),
      h("pre", { tabindex: "0", role: "region", "aria-label": `Headers of ${letter.id}` }, pretty(letter.headers)),
    ),
  ];
}
