/** Charts by uPlot, each with its figures as a table beside it for whoever can't see it. */

import { h, renew, table } from "./dom.js";

const HEIGHT = 220;
// Rows of the table: what can be read; the chart has them all.
const TABLE_ROWS = 60;
const FILL = "22"; // alpha of the area below a line

/** The colour that a variable of the style sheet stands for in the theme of now. */
function colour(name) {
  const probe = document.getElementById("probe") ?? h("span", { id: "probe", hidden: true });
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(--${name})`;
  const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  return `#${[red, green, blue].map((each) => Math.round(each).toString(16).padStart(2, "0")).join("")}`;
}

const DAY = 86400;
const two = (value) => String(value).padStart(2, "0");

/** The labels of a time axis, 24 hours a day; the date where it begins and where the day changes. */
function times(_, splits, axis, space, step) {
  let day = null;
  return splits.map((split) => {
    const at = new Date(split * 1000);
    const date = `${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
    if (step >= DAY) return date;
    const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}${step < 60 ? `:${two(at.getUTCSeconds())}` : ""}`;
    const first = date !== day;
    day = date;
    return first ? `${clock}\n${date}` : clock;
  });
}

/**
 * A chart over time. `series`: `{label, colour, format, bars?}` (`colour`: a variable's name), all on
 * one scale; `range`: fixed bounds; `leastSpan`: seconds that are shown at least. `update(columns, pad)`
 * takes seconds and a column for each series; `pad` is left free before and after, in seconds.
 */
export function chart({ title, description, series, range, leastSpan = 0, height = HEIGHT, timeLabel = "Time (UTC)", timeFormat }) {
  const host = h("div", { class: "plot", role: "img", "data-own": "" });
  const legend = h("ul", { class: "legend", "aria-hidden": "true" });
  const rows = h("div", { class: "scroll" });
  const details = h("details", { class: "figures", ontoggle: () => figures() }, h("summary", {}, "Figures as a table"), rows);
  const root = h(
    "figure",
    { class: "chart", "data-own": "" },
    h("figcaption", {}, h("h3", {}, title), description && h("p", {}, description)),
    legend,
    host,
    details,
  );
  let data = [[], ...series.map(() => [])];
  let plot = null;
  let pointed = null;
  let padding = 0;

  function draw() {
    plot?.destroy();
    const width = host.clientWidth;
    if (!width) return;
    const ink = colour("dim");
    const line = colour("line");
    const axis = { stroke: ink, font: `12px ${getComputedStyle(document.body).fontFamily}`, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    plot = new uPlot(
      {
        width,
        height,
        tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
        legend: { show: false },
        cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { size: 7 } },
        scales: {
          x: {
            range: (_, low, high) =>
              low === null ? [0, 1] : [Math.min(low, high - leastSpan) - padding, high + padding],
          },
          y: { range: range ?? ((_, low, high) => [0, high > 0 ? high * 1.1 : 1]) },
        },
        axes: [
          { ...axis, space: 70, size: 44, values: times },
          { ...axis, size: 50, values: (_, splits) => splits.map((each) => series[0].axis?.(each) ?? series[0].format(each)) },
        ],
        series: [
          {},
          ...series.map((each) => {
            const stroke = colour(each.colour);
            return {
              label: each.label,
              stroke,
              width: each.bars ? 0 : 2,
              fill: each.bars ? stroke : stroke + FILL,
              paths: each.bars ? uPlot.paths.bars({ size: [0.7, 40], radius: 0.15 }) : undefined,
              points: { show: !each.bars && data[0].length < 3, size: 6 },
              spanGaps: false,
            };
          }),
        ],
        hooks: { setCursor: [(self) => ((pointed = self.cursor.idx), labels())] },
      },
      data,
      host,
    );
  }

  function labels() {
    const last = data[0].length - 1;
    const at = pointed ?? last;
    renew(
      legend,
      series.map((each, n) =>
        h(
          "li",
          {},
          h("span", { class: "swatch", style: { background: `var(--${each.colour})` } }),
          `${each.label} `,
          h("strong", {}, last < 0 ? "–" : each.format(data[n + 1][at])),
        ),
      ),
      pointed !== null && data[0][at] !== undefined && h("li", { class: "dim" }, timeFormat(data[0][at])),
    );
    host.setAttribute("aria-label", told(last));
  }

  const told = (last) =>
    last < 0
      ? `${title}: no data yet.`
      : `${title}. Latest, ${timeFormat(data[0][last])}: ${series
          .map((each, n) => `${each.label} ${each.format(data[n + 1][last])}`)
          .join(", ")}. All figures are in the table below.`;

  function figures() {
    if (!details.open) return renew(rows);
    const newest = data[0].map((at, n) => [at, ...series.map((_, k) => data[k + 1][n])]).slice(-TABLE_ROWS).reverse();
    renew(
      rows,
      table({
        caption: title,
        hideCaption: true,
        columns: [
          { label: timeLabel, head: true, cell: (row) => timeFormat(row[0]) },
          ...series.map((each, n) => ({ label: each.label, number: true, cell: (row) => each.format(row[n + 1]) })),
        ],
        rows: newest,
        key: (row) => String(row[0]),
        empty: "No data yet.",
      }),
    );
  }

  const sized = new ResizeObserver(() => {
    if (!plot) draw();
    else if (host.clientWidth) plot.setSize({ width: host.clientWidth, height });
  });
  sized.observe(host);
  const themed = matchMedia("(prefers-color-scheme: dark)");
  themed.addEventListener("change", draw);
  document.addEventListener("themechange", draw);

  return {
    root,
    update(columns, pad = 0) {
      padding = pad;
      const few = data[0].length < 3;
      data = columns;
      if (plot && few === (columns[0].length < 3)) plot.setData(data);
      else draw();
      labels();
      figures();
    },
    destroy() {
      sized.disconnect();
      themed.removeEventListener("change", draw);
      document.removeEventListener("themechange", draw);
      plot?.destroy();
    },
  };
}
