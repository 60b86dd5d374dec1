/** Making and renewing the page's elements. Data only ever becomes text, never markup. */

const PROPERTIES = new Set(["value", "checked", "disabled", "open", "indeterminate"]);

/**
 * Make an element. `props` are attributes, handlers (`onclick`), properties, `style` as an object,
 * and `key`, by which `renew` finds it again. Children are elements, texts, numbers or lists.
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node[name] = value;
    else if (name === "key") node.dataset.key = value;
    else if (name === "style") Object.assign(node.style, value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else if (value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  add(node, children);
  if (tag === "select" && props?.value !== undefined) node.value = props.value; // its options are there now
  return node;
}

function add(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

/** Make `node` hold these children, keeping the elements (and the focus) that can stay. */
export function renew(node, ...children) {
  const wanted = document.createDocumentFragment();
  add(wanted, children);
  renewChildren(node, wanted);
}

const keyOf = (node) => node.dataset?.key;

function renewChildren(node, wanted) {
  const kept = new Map();
  for (const child of node.children) if (keyOf(child)) kept.set(keyOf(child), child);
  const keys = new Set([...wanted.children].map(keyOf).filter(Boolean));
  let at = node.firstChild;
  for (const child of [...wanted.childNodes]) {
    // What is gone goes first: an element that is moved would lose the focus.
    while (at && keyOf(at) && !keys.has(keyOf(at))) at = dropped(at);
    const key = keyOf(child);
    const same = key ? kept.get(key) : at && !keyOf(at) && alike(at, child) ? at : null;
    if (same && alike(same, child)) {
      if (same === at) at = at.nextSibling;
      else node.insertBefore(same, at);
      renewNode(same, child);
    } else {
      node.insertBefore(child, at);
    }
  }
  while (at) at = dropped(at);
}

function dropped(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName;
}

const HANDLERS = ["onclick", "onchange", "onsubmit", "oninput", "ontoggle", "onkeydown"];

function renewNode(node, wanted) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== wanted.data) node.data = wanted.data;
    return;
  }
  if (node.dataset.own !== undefined) return; // it looks after itself: a chart, a form
  for (const { name } of [...node.attributes]) {
    if (name !== "style" && name !== "open" && !wanted.hasAttribute(name)) node.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (name !== "style" && name !== "open" && node.getAttribute(name) !== value) {
      node.setAttribute(name, value);
    }
  }
  if (node.style.cssText !== wanted.style.cssText) node.style.cssText = wanted.style.cssText;
  for (const name of HANDLERS) node[name] = wanted[name];
  if (node.type === "checkbox" || node.type === "radio") {
    node.checked = wanted.checked;
    node.indeterminate = wanted.indeterminate;
  }
  if ("disabled" in node) node.disabled = wanted.disabled;
  renewChildren(node, wanted);
}

/** Tell whoever listens to the page (a screen reader) what happened. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/**
 * A table with a caption. `columns`: `{label, cell(row), number?, head?}`; `head` marks the cell that
 * names its row. At phone width each row becomes a card, so the roles are said as well.
 */
export function table({ caption, columns, rows, key, empty, hideCaption = false, rowClass }) {
  const many = rows.length > 0;
  return h(
    "table",
    { role: "table", class: many ? "cards" : "cards none" },
    h("caption", { class: hideCaption ? "sr" : undefined }, caption),
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        columns.map((column) =>
          h("th", { scope: "col", role: "columnheader", class: column.number && "number" }, column.label),
        ),
      ),
    ),
    h(
      "tbody",
      { role: "rowgroup" },
      many
        ? rows.map((row) =>
            h(
              "tr",
              { role: "row", key: key?.(row), class: rowClass?.(row) },
              columns.map((column) =>
                h(
                  column.head ? "th" : "td",
                  {
                    role: column.head ? "rowheader" : "cell",
                    scope: column.head ? "row" : undefined,
                    class: column.number && "number",
                    "data-label": text(column.label),
                  },
                  column.cell(row),
                ),
              ),
            ),
          )
        : h(
            "tr",
            { role: "row" },
            h("td", { role: "cell", colspan: columns.length, class: "empty" }, empty ?? "Nothing here."),
          ),
    ),
  );
}

const text = (label) => (label instanceof Node ? label.textContent : label);

/** A note that there is nothing, and what to do about it. */
export function emptyState(title, ...hint) {
  return h("div", { class: "empty-state" }, h("p", { class: "empty-title" }, title), h("p", {}, hint));
}

/** A word with a meaning, as a badge: colour and text. */
export function badge(word, tone) {
  return h("span", { class: `badge ${tone}` }, word);
}

/** A labelled control. */
export function field(label, control, hint) {
  return h("label", { class: "field" }, h("span", {}, label), control, hint && h("small", {}, hint));
}

/** Ask before something that can't be taken back; true once it is confirmed. */
export function confirmed({ title, detail, action, danger = false, extra }) {
  return new Promise((resolve) => {
    const id = `dialog-${Date.now()}`;
    const close = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const dialog = h(
      "dialog",
      { "aria-labelledby": id, oncancel: () => resolve(false) },
      h("h2", { id }, title),
      h("p", {}, detail),
      extra,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: "quiet", onclick: () => close(false) }, "Back"),
        h("button", { type: "button", class: danger ? "danger" : "primary", onclick: () => close(true) }, action),
      ),
    );
    dialog.onclose = () => dialog.remove();
    document.body.append(dialog);
    dialog.showModal();
  });
}
